import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatEvaluate } from '../../../../src/core/cli/render-evaluate.js';
import { evaluateFiles } from '../../../../src/core/lifecycle/evaluate/evaluate.js';
import { jsonLines, type Row, writeJudged } from '../../../helpers/judged.js';
import { hasShared, SHARED } from '../../../helpers/shared.js';
import { tempFolder } from '../../../helpers/temp.js';

/** Prompts of three items with ratings 1, 2 and 3; the scorer has the first prompt right, the second reversed. */
const ITEMS: { labels: Row[]; scores: Row[] } = { labels: [], scores: [] };
for (const [prompt, logits] of [
  ['p', [1, 2, 3]],
  ['q', [3, 2, 1]],
] as const) {
  for (const [i, logit] of logits.entries()) {
    const id = `${prompt}${i}`;
    ITEMS.labels.push({ id, type: 'abs', item: 'text', content: id, score: i + 1, prompt_id: prompt });
    ITEMS.scores.push({ id, logit });
  }
}

function files({ labels, scores }: { labels: readonly Row[]; scores: readonly Row[] }) {
  const folder = tempFolder();
  writeJudged(folder, { labels, scores });
  return { folder, labels: join(folder, 'labels.jsonl'), scores: join(folder, 'scores.jsonl'), resamples: 100 };
}

const pair = (id: string, left: string, right: string, labels: number[]): Row => ({
  id,
  type: 'pair',
  left,
  right,
  labels,
  prompt_id: 'p',
});

describe('best of N', () => {
  it('is told of rated items, and says how many prompts have so many', async () => {
    const { bestOf, warnings, options } = await evaluateFiles({ ...files(ITEMS), bestOf: [3, 1, 3, 5] });
    expect(options.bestOf).toEqual([1, 3, 5]);
    expect(bestOf).toMatchObject({ from: 'ratings', items: 6, prompts: 2, incomplete: 0 });
    const [one, three, five] = bestOf!.picks;
    expect([one.humanScore.value, one.winRate.value, one.regret.value, one.captured.value]).toEqual([2, 0.5, 0, null]);
    expect([three.humanScore.value, three.winRate.value, three.regret.value]).toEqual([2, 0.5, 1]);
    expect(five).toMatchObject({ prompts: 0, humanScore: { value: null, ci: null } });
    expect(warnings).toContain('No prompt has 5 judged items: best of 5 cannot be told.');
  });

  it('compares picks with those of a baseline, on the rows both scored', async () => {
    const given = files(ITEMS);
    const baseline = join(given.folder, 'baseline.jsonl');
    const wise = ITEMS.labels.map(({ id, score }) => ({ id, logit: score }));
    writeFileSync(baseline, jsonLines(wise.filter(({ id }) => id !== 'p2').reverse()));
    const report = await evaluateFiles({ ...given, baseline, bestOf: [1, 2] });
    const [one, two] = report.bestOf!.picks;
    expect(one.baseline).toMatchObject({ holm: null, difference: 0 });
    // p has two items left, which both pick rightly: 2; q has three, of which the model picks the worse one of each two: 4/3 for 8/3.
    expect(two.baseline).toMatchObject({ prompts: 2, model: { value: expect.closeTo(5 / 3, 12) } });
    expect(two.baseline!.baseline.value).toBeCloseTo(7 / 3, 12);
    expect(two.baseline!.difference).toBeCloseTo(-2 / 3, 12);
    expect(formatEvaluate(report)).toContain('best of 2');
  });

  it('is told of pairs whose items were all compared, by the votes that each item got', async () => {
    const labels = [
      pair('1', 'a', 'b', [1, 1]),
      pair('2', 'c', 'a', [0]),
      pair('3', 'b', 'c', [1, 0.5]),
      { ...pair('4', 'a', 'b', [1]), prompt_id: 'q' },
      { ...pair('5', 'b', 'c', [1]), prompt_id: 'q' },
    ];
    const scores = [2, -1, 3, 1, 1].map((logit, i) => ({ id: `${i + 1}`, logit }));
    const { bestOf, warnings } = await evaluateFiles({ ...files({ labels, scores }), bestOf: [2, 3] });
    expect(bestOf).toMatchObject({ from: 'comparisons', items: 3, prompts: 1, incomplete: 1 });
    // a wins 1 and 1, b 0 and 3/4, c 0 and 1/4; the scorer says a 1.5, b 0.5, c -2: as people do.
    expect(bestOf!.picks[1].humanScore.value).toBe(1);
    expect(bestOf!.picks[1].regret.value).toBe(0);
    expect(bestOf!.picks[0].humanScore.value).toBeCloseTo((1 + 1 + 3 / 8) / 3, 12);
    expect(warnings).toContain('Best of N leaves 1 prompts out: not all their items were compared with each other.');
  });

  it.each([
    ['no prompt of several items', ITEMS.labels.map(({ prompt_id, ...row }) => row), [1, 2], 'DATA_INVALID'],
    ['more items than any prompt has', ITEMS.labels, [4], 'DATA_INVALID'],
    ['no number of items', ITEMS.labels, [0], 'USAGE'],
    ['no whole number', ITEMS.labels, [1.5], 'USAGE'],
    ['an empty list', ITEMS.labels, [], 'USAGE'],
  ])('is refused for %s', async (_, labels, bestOf, code) => {
    await expect(evaluateFiles({ ...files({ labels, scores: ITEMS.scores }), bestOf })).rejects.toMatchObject({ code });
  });

  // A tie of the scorer is any of the two; by hand for one prompt, by numpy for all: tests/golden/best-of/make.py
  it.skipIf(!hasShared)('is told of real ratings', async () => {
    const data = `${SHARED}data/tifa-abs/`;
    const { bestOf } = await evaluateFiles({
      labels: `${data}labels.jsonl`,
      scores: `${data}scores/clip.jsonl`,
      bestOf: [1, 5],
      resamples: 100,
    });
    expect(bestOf).toMatchObject({ items: 555, prompts: 111 });
    expect(bestOf!.picks[1].winRate.value).toBeGreaterThan(0.6);
  });
});
