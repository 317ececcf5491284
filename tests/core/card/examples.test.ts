import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readExamples } from '../../../src/core/card/examples.js';
import { evaluated, makeCard, readJson } from '../../helpers/cards.js';
import { jsonLines, type Row } from '../../helpers/judged.js';
import { tempFolder } from '../../helpers/temp.js';

/** Label and score files of these rows, in a folder of their own. */
function written(labels: readonly Row[], scores: readonly Row[]) {
  const folder = tempFolder();
  const files = { labels: join(folder, 'labels.jsonl'), scores: join(folder, 'scores.jsonl') };
  writeFileSync(files.labels, jsonLines(labels));
  writeFileSync(files.scores, jsonLines(scores));
  return files;
}

describe('readExamples', () => {
  const pair = (id: string, left: string, right: string, labels: readonly number[]) => ({
    id,
    type: 'pair',
    left,
    right,
    labels,
  });

  it('picks the surest, the middle and the closest of pairs that were judged and scored, without their folders', async () => {
    const labels = [
      pair('a', 'secret/folder/a.png', 'b.png', [1, 1, 0.5]),
      pair('b', 'c.png', 'd.png', [0]),
      pair('c', 'e.png', 'f.png', [0, 1]),
      pair('unjudged', 'g.png', 'h.png', []),
      pair('unscored', 'i.png', 'j.png', [1]),
    ];
    const scores = [
      { id: 'b', logit: -3 },
      { id: 'a', logit: 1 },
      { id: 'c', logit: 0.1 },
      { id: 'unjudged', logit: 9 },
    ];
    const examples = await readExamples(written(labels, scores), 'pair');
    expect(examples.map(({ pick, id }) => [pick, id])).toEqual([
      ['surest', 'b'],
      ['middle', 'a'],
      ['closest', 'c'],
    ]);
    expect(examples[1]).toMatchObject({
      parts: [
        { name: 'left', text: 'a.png' },
        { name: 'right', text: 'b.png' },
      ],
      votes: { left: 2, right: 0, tie: 1 },
      rated: null,
    });
  });

  it('shows items with the score of raters, and cuts long texts', async () => {
    const content = 'a word and '.repeat(40);
    const labels = [{ id: '1', type: 'abs', item: 'text', content, score: 0.7 }];
    const [only, ...rest] = await readExamples(written(labels, [{ id: '1', logit: 0.2 }]), 'absolute');
    expect(rest).toEqual([]);
    expect(only).toMatchObject({ pick: 'highest', rated: 0.7, votes: null });
    expect(only.parts[0].text).toHaveLength(120);
  });

  it('keeps rows out of a card that holds none of them, and such a card in the first version of the schema', async () => {
    const folder = tempFolder();
    const report = await evaluated(folder, { prompts: 6 });
    await makeCard(join(folder, 'with'), { evaluations: [report] });
    await makeCard(join(folder, 'without'), { evaluations: [report], copyData: false });
    expect(readJson(join(folder, 'with/card.json'))).toMatchObject({
      schema: 'hpsv3/card@2',
      examples: [{ pick: 'surest' }, {}, {}],
    });
    expect(readJson(join(folder, 'without/card.json'))).toMatchObject({ schema: 'hpsv3/card@1' });
    expect(readJson(join(folder, 'without/card.json'))).not.toHaveProperty('examples');
    expect(readFileSync(join(folder, 'with/README.md'), 'utf8')).toContain('| Its surest |');
    expect(readFileSync(join(folder, 'without/README.md'), 'utf8')).not.toContain('Its surest');
  });
});
