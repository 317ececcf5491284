import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { evaluationSchema } from '../../src/core/card/documents.js';
import { probeWords } from '../../src/core/card/words.js';
import { evaluateFiles } from '../../src/core/lifecycle/evaluate/evaluate.js';
import { runBatch } from '../../src/core/lifecycle/score/batch.js';
import { PROJECT } from '../helpers/cli.js';
import { tinyModel } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

const PROBES = `${PROJECT}configs/probes/`;
const rowsOf = (name: string) =>
  readFileSync(`${PROBES}${name}.jsonl`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const folder = sharedFolder();
let model = '';
beforeAll(async () => {
  model = await tinyModel(folder, 'text');
}, 60_000);

describe('the probes', () => {
  it.each([
    ['texts', 60, 10],
    ['pictures', 30, 5],
  ])('are %s: %d of %d prompts, an honest one and one of each attack', (name, items, prompts) => {
    const rows = rowsOf(name);
    const sides = rows.flatMap(({ left, right, context }) => [`${context}: ${left}`, `${context}: ${right}`]);
    expect(new Set(sides).size).toBe(items);
    expect(new Set(rows.map(({ prompt_id }) => prompt_id)).size).toBe(prompts);
    const honest = rows.map(({ left, right, labels }) => (labels[0] === 1 ? left : right));
    expect(new Set(honest).size).toBe(prompts);
    // Neither side says which one is honest.
    expect(Math.abs(rows.filter(({ labels }) => labels[0] === 1).length / rows.length - 0.5)).toBeLessThan(0.05);
  });

  it('are what their script makes', async () => {
    const out = join(folder, 'made');
    const { status, stderr } = spawnSync(process.execPath, [`${PROJECT}scripts/make-probes.js`, out]);
    expect(status, `${stderr}`).toBe(0);
    for (const name of ['texts', 'pictures']) {
      expect(readFileSync(join(out, `${name}.jsonl`), 'utf8')).toBe(readFileSync(`${PROBES}${name}.jsonl`, 'utf8'));
    }
    const made = join(out, 'pictures');
    expect(readdirSync(made)).toEqual(readdirSync(`${PROBES}pictures`));
    // Writing depends on the fonts of a machine; all else does not.
    for (const name of readdirSync(made).filter((one) => !/praise|copied/.test(one))) {
      const [now, then] = await Promise.all(
        [join(made, name), `${PROBES}pictures/${name}`].map((path) => sharp(readFileSync(path)).raw().toBuffer()),
      );
      expect(now.equals(then), name).toBe(true);
    }
  });

  it('are scored and judged as any pairs, and told in a sentence', async () => {
    const [labels, scores] = [`${PROBES}texts.jsonl`, join(folder, 'scores.jsonl')];
    expect(await runBatch({ models: [model], input: labels, out: scores })).toMatchObject({ rows: 50, failed: 0 });
    const report = await evaluateFiles({ labels, scores, by: ['attack'], minGroup: 5, resamples: 100 });
    expect(report.groups.map(({ value, n }) => [value, n])).toEqual(
      ['copied', 'empty', 'praise', 'repeated', 'stuffed'].map((attack) => [attack, 10]),
    );
    const read = evaluationSchema.parse(JSON.parse(JSON.stringify(report)));
    const [sentence] = probeWords(read);
    expect(sentence).toMatch(
      /^Of 50 probes that should fool nobody, [\d.]+ % are ranked above the honest item of their prompt: /,
    );
    expect(probeWords({ ...read, groups: [] })).toEqual([]);
    const hidden = await evaluateFiles({ labels, scores, by: ['attack'], minGroup: 30, resamples: 100 });
    expect(probeWords(evaluationSchema.parse(JSON.parse(JSON.stringify(hidden))))).toEqual([
      '5 attacks have fewer than 30 rows and are not shown.',
    ]);
  });

  it('of another modality than the model reads are refused, row by row', async () => {
    const out = join(folder, 'pictures.jsonl');
    const image = await tinyModel(folder, 'image');
    const texts = await runBatch({ models: [image], input: `${PROBES}texts.jsonl`, out, force: true });
    expect(texts).toMatchObject({ rows: 50, failed: 50, out: null });
    expect(await runBatch({ models: [image], input: `${PROBES}pictures.jsonl`, out, force: true })).toMatchObject({
      rows: 25,
      failed: 0,
    });
  });
});
