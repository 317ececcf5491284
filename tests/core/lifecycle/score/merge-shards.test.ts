import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ScoreRow } from '../../../../src/core/data/rows.js';
import { createScoreWriter, formatScore } from '../../../../src/core/data/write-scores.js';
import { scoresDocument } from '../../../../src/core/lifecycle/score/manifest.js';
import { mergeShards } from '../../../../src/core/lifecycle/score/merge-shards.js';
import { MemorySink } from '../../../helpers/memory-sink.js';
import { writeRows } from '../../../helpers/scoring.js';
import { tempFolder } from '../../../helpers/temp.js';

const MODEL = 'a'.repeat(64);
const RUNTIME = { version: '1.30.0', device: 'cpu', threads: 1, optimization: 'all' };
const SETTINGS = {
  tool: 'hpsv3 0.2.0',
  models: [{ sha256: MODEL, modality: 'text', preprocessing: 'b'.repeat(64), runtime: RUNTIME }],
  calibrator: null,
  contract: null,
  batchSize: 4,
};

let folder: string;
let input: string;
const at = (name: string): string => join(folder, name);
beforeEach(() => {
  folder = tempFolder();
  const row = (id: string) => ({ id, type: 'pairwise_text', left: 'one', right: 'two' });
  input = writeRows(folder, 'rows.jsonl', ['a', 'b', 'c', 'd'].map(row));
});

const score = (row: number, more: object = {}) => ({
  id: 'abcd'[row - 1],
  logit: row / 4,
  score: 0.5,
  winner: 'left',
  confidence: null,
  calibrated: false,
  row,
  model: MODEL,
  ...more,
});

/** A shard with these rows of the input, and its manifest where settings are given. */
function shard(name: string, rows: readonly object[], settings?: object): string {
  const path = writeRows(folder, name, rows);
  return settings === undefined ? path : withManifest(path, rows.length, settings);
}

function withManifest(path: string, rows: number, settings: object): string {
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
  const manifest = { schema: 'hpsv3/scores@1', sha256, format: 'jsonl', rows, failed: 0 };
  writeFileSync(`${path}.manifest.json`, JSON.stringify({ ...manifest, shard: { index: 0, count: 2 }, settings }));
  return path;
}

const merge = (...shards: string[]) => mergeShards({ shards, input, out: at('merged.jsonl'), force: false });
const merged = () => readFileSync(at('merged.jsonl'), 'utf8');
const manifest = () => scoresDocument.schema.parse(JSON.parse(readFileSync(at('merged.jsonl.manifest.json'), 'utf8')));

describe('mergeShards', () => {
  it('joins shards of one run, and says once what all were computed with', async () => {
    const report = await merge(
      shard('0.jsonl', [score(1), score(4)], SETTINGS),
      shard('1.jsonl', [score(2), score(3)], SETTINGS),
    );
    expect(report).toMatchObject({ rows: 4, failed: 0, manifest: 'merged.jsonl.manifest.json' });
    expect(manifest()).toEqual({
      schema: 'hpsv3/scores@1',
      sha256: report.sha256,
      format: 'jsonl',
      rows: 4,
      failed: 0,
      shard: null,
      settings: SETTINGS,
    });
  });

  it.each(['csv', 'parquet'] as const)('reads shards as %s, and merges them to what JSONL gives', async (format) => {
    const item = { score: 0.25, winner: undefined, confidence: undefined, calibrated: 3.5, calibratedBy: 'contract' };
    const rows = [
      score(1, { truncated: true }),
      score(2, { confidence: 0.7, calibrated: true }),
      score(3, item),
      score(4),
    ];
    const table = async (name: string, part: readonly object[]): Promise<string> => {
      const sink = new MemorySink();
      const writer = createScoreWriter(sink, format);
      for (const row of part) await writer.write(row as ScoreRow);
      await writer.finish();
      writeFileSync(at(name), sink.bytes());
      return withManifest(at(name), part.length, SETTINGS);
    };
    await merge(await table(`0.${format}`, [rows[0], rows[3]]), await table(`1.${format}`, rows.slice(1, 3)));
    expect(merged()).toBe(rows.map((row) => formatScore(row as ScoreRow)).join(''));
    expect(merged()).toContain('"calibrated":3.5,"calibratedBy":"contract"');
  });

  it('writes no empty file where no row of any shard has a score', async () => {
    const failures = ['a', 'b', 'c', 'd'].map((id, i) => ({ line: i + 1, id, code: 'MEDIA_INVALID', message: 'no' }));
    writeRows(folder, '0.jsonl.errors.jsonl', failures);
    const report = await merge(shard('0.jsonl', [], SETTINGS));
    expect(report).toMatchObject({
      rows: 4,
      failed: 4,
      out: null,
      manifest: null,
      errors: 'merged.jsonl.errors.jsonl',
    });
    expect(readdirSync(folder).filter((name) => name.startsWith('merged'))).toEqual(['merged.jsonl.errors.jsonl']);
  });

  it('takes the failed rows of a shard once, though a pattern names their file too', async () => {
    const first = shard('0.jsonl', [score(1), score(4)], SETTINGS);
    const failure = (line: number) => ({ line, id: 'abcd'[line - 1], code: 'MEDIA_INVALID', message: 'no' });
    const failures = writeRows(folder, '0.jsonl.errors.jsonl', [failure(2), failure(3)]);
    expect(await merge(first, failures)).toMatchObject({ shards: 1, rows: 4, failed: 2 });
  });

  const withRuntime = (change: object) => ({
    ...SETTINGS,
    models: [{ ...SETTINGS.models[0], runtime: { ...RUNTIME, ...change } }],
  });
  it.each([
    ['threads', withRuntime({ threads: 8 }), 'models.0.runtime.threads'],
    ['optimization', withRuntime({ optimization: 'basic' }), 'models.0.runtime.optimization'],
    ['version of onnxruntime', withRuntime({ version: '1.31.0' }), 'models.0.runtime.version'],
    ['device', withRuntime({ device: 'cuda:0' }), 'models.0.runtime.device'],
    ['batch size', { ...SETTINGS, batchSize: 8 }, 'batchSize'],
    ['calibrator', { ...SETTINGS, calibrator: 'c'.repeat(64) }, 'calibrator'],
    ['tool', { ...SETTINGS, tool: 'hpsv3 0.3.0' }, 'tool'],
    [
      'preprocessing',
      { ...SETTINGS, models: [{ ...SETTINGS.models[0], preprocessing: 'c'.repeat(64) }] },
      'models.0.preprocessing',
    ],
    ['contract', { ...SETTINGS, contract: 'c'.repeat(64) }, 'contract'],
  ])('refuses a shard that was scored with another %s', async (_, settings, key) => {
    const shards = [shard('0.jsonl', [score(1), score(2)], SETTINGS), shard('1.jsonl', [score(3), score(4)], settings)];
    await expect(merge(...shards)).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      message: expect.stringContaining(`1.jsonl: was scored with another ${key} than 0.jsonl`),
    });
  });

  it('refuses rows that nothing says anything of, and a manifest of other scores', async () => {
    const first = shard('0.jsonl', [score(1), score(2)], SETTINGS);
    const lone = shard('1.jsonl', [score(3), score(4)]);
    await expect(merge(first, lone)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('1.jsonl.manifest.json is missing'),
    });
    writeFileSync(`${lone}.manifest.json`, readFileSync(`${first}.manifest.json`));
    await expect(merge(first, lone)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('is not the file'),
    });
    writeFileSync(`${lone}.manifest.json`, '{"schema":"hpsv3/scores@1"}');
    await expect(merge(first, lone)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    writeFileSync(`${lone}.manifest.json`, '{"schema":"hpsv3/scores@9"}');
    await expect(merge(first, lone)).rejects.toMatchObject({ code: 'MADE_BY_NEWER' });
  });

  it('merges shards of 0.1.0, whose rows say themselves what they were computed with', async () => {
    const earlier = { runtime: RUNTIME };
    await merge(
      shard('0.jsonl', [score(1, earlier), score(2, earlier)]),
      shard('1.jsonl', [score(3, earlier), score(4, earlier)]),
      shard('2.jsonl', []),
    );
    expect(merged()).toBe([1, 2, 3, 4].map((row) => `${JSON.stringify(score(row))}\n`).join(''));
    expect(manifest().settings).toEqual({
      tool: null,
      models: [{ sha256: MODEL, modality: null, preprocessing: null, runtime: RUNTIME }],
      calibrator: null,
      contract: null,
      batchSize: null,
    });
  });

  it.each([
    ['threads', { runtime: { ...RUNTIME, threads: 2 } }],
    ['version', { runtime: { ...RUNTIME, version: '1.29.0' } }],
  ])('refuses shards of 0.1.0 that were scored with another %s', async (key, change) => {
    const shards = [
      shard('0.jsonl', [score(1, { runtime: RUNTIME }), score(2, { runtime: RUNTIME })]),
      shard('1.jsonl', [score(3, change), score(4, change)]),
    ];
    await expect(merge(...shards)).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      message: expect.stringContaining(`1.jsonl: was scored with another models.0.runtime.${key} than 0.jsonl`),
    });
  });

  it('refuses to mix shards of 0.1.0 with later ones', async () => {
    const earlier = shard('1.jsonl', [score(3, { runtime: RUNTIME }), score(4, { runtime: RUNTIME })]);
    await expect(merge(shard('0.jsonl', [score(1), score(2)], SETTINGS), earlier)).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      message: expect.stringContaining('another tool'),
    });
  });
});
