import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../../../src/core/bytes/source.js';
import { formatScore } from '../../../../src/core/cli/render-score.js';
import { fileInput } from '../../../../src/core/data/input.js';
import { readScoreRows } from '../../../../src/core/data/read-rows.js';
import { recogniseRows } from '../../../../src/core/data/recognise.js';
import { runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { embedFile } from '../../../../src/core/lifecycle/score/embed.js';
import { scoreOne } from '../../../../src/core/lifecycle/score/score.js';
import type { Progress } from '../../../../src/core/run.js';
import { tinyModel, writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const folder = sharedFolder();
let model = '';
beforeAll(async () => {
  model = await tinyModel(folder, 'text', 'item');
}, 60_000);

const LONG = Array.from({ length: 30 }, (_, i) => `Sentence ${i} has some words.`).join(' ');
const ROWS = [
  { id: '1', type: 'pair', left: LONG, right: 'Short.' },
  { id: '2', type: 'abs', item: 'text', content: LONG },
];
const windows = { window: '40t', stride: '20t' };

async function scoresIn(path: string) {
  const source = FileSource.open(path);
  const rows = [];
  try {
    for await (const batch of readScoreRows(await recogniseRows(fileInput(source), undefined), new Map()))
      for (const { row } of batch) rows.push(row);
  } finally {
    source.close();
  }
  return rows;
}

describe('batch in windows', () => {
  it('writes them with every score, in each format, and says so in the manifest', async () => {
    const input = writeRows(folder, 'rows.jsonl', ROWS);
    const [jsonl, csv] = ['out.jsonl', 'out.csv'].map((name) => join(folder, name));
    for (const out of [jsonl, csv]) await runBatch({ models: [model], input, out, windows, batchSize: 4 });
    const manifest = JSON.parse(readFileSync(`${jsonl}.manifest.json`, 'utf8'));
    expect(manifest.schema).toBe('hpsv3/scores@3');
    expect(manifest.settings.windows).toEqual([{ window: '40t', stride: '20t', aggregate: 'mean' }]);
    const [pair, item] = await scoresIn(jsonl);
    expect(item?.windows).toMatchObject({ unit: 'characters', curve: expect.any(Array) });
    expect(pair?.windows).toMatchObject({ left: { count: expect.any(Number) }, right: { count: 1 } });
    const rows = await scoresIn(csv);
    expect(rows.map((row) => row?.windows)).toEqual([pair?.windows, item?.windows]);
  });

  it('is not taken for a run of other windows', async () => {
    const input = writeRows(folder, 'same.jsonl', ROWS);
    const out = join(folder, 'same-out.jsonl');
    await runBatch({ models: [model], input, out, windows });
    const again = runBatch({ models: [model], input, out, windows: { window: '30t' }, resume: true });
    await expect(again).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('windows') });
    expect(await runBatch({ models: [model], input, out, windows, resume: true })).toMatchObject({ resumed: 2 });
  });
});

describe('score in windows', () => {
  it('tells how far it is, and where it is worst', async () => {
    const progress: Progress[] = [];
    const report = await scoreOne({
      model,
      input: { sample: { item: LONG } },
      windows,
      onProgress: (each) => progress.push(each),
    });
    const { count, worst } = report.windows as { count: number; worst: { start: number } };
    expect(progress.map(({ done, total, unit }) => [done, total, unit])).toEqual(
      Array.from({ length: count }, (_, i) => [i + 1, count, 'windows']),
    );
    expect(formatScore(report)).toContain(`${count} windows, the worst in characters ${worst.start} to `);
  });
});

it('embed counts the texts of which the end was left out, and in windows there is none', async () => {
  const input = writeRows(folder, 'embedded.jsonl', ROWS);
  const embed = (cut?: typeof windows) =>
    embedFile({ model, input, out: join(folder, 'embedded.npy'), windows: cut, force: true });
  expect(await embed()).toMatchObject({ rows: 3, truncated: 2 });
  expect(await embed(windows)).toMatchObject({ rows: 3, truncated: 0 });
});
