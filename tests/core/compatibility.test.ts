import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { readConfigFile } from '../../src/core/cli/config.js';
import { verifyModelCard } from '../../src/core/lifecycle/card/verify.js';
import { applyEnsemble } from '../../src/core/lifecycle/ensemble/apply.js';
import { reportRun } from '../../src/core/lifecycle/report/run-report.js';
import { type BatchOptions, runBatch } from '../../src/core/lifecycle/score/batch.js';
import { embedFile } from '../../src/core/lifecycle/score/embed.js';
import { trainModel } from '../../src/core/lifecycle/train/train.js';
import { verifyModels } from '../../src/core/lifecycle/verify/verify.js';
import { recommendedSetting } from '../../src/core/profiling/recommended.js';
import { readTensor } from '../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../src/core/tensor/values.js';
import { makeCard, readJson } from '../helpers/cards.js';
import type { Row } from '../helpers/judged.js';
import { exportFile } from '../helpers/pico.js';
import { sharedFolder } from '../helpers/temp.js';

/**
 * Files that hpsv3 0.1.0 wrote, and what it made of them (tests/golden/compat-0.1.0/make.js): every later version reads them
 * with the same scores.
 */
const PACKED = fileURLToPath(new URL('../golden/compat-0.1.0/files/', import.meta.url));
const CONFIG = fileURLToPath(new URL('../golden/compat-0.1.0/train.yaml', import.meta.url));
/** Another processor or version of onnxruntime may add in another order; the same one gives the same bits. */
const ATOL = 1e-6;

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  for (const entry of readdirSync(PACKED, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const packed = join(entry.parentPath, entry.name);
    const path = at(relative(PACKED, packed).replace(/\.br$/, ''));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, brotliDecompressSync(readFileSync(packed)));
  }
});

const rowsOf = (path: string): Row[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

const numbersOf = (rows: readonly Row[], key: string): number[] =>
  rows.map((row) => (row[key] ?? Number.NaN) as number);

/** Score rows with the same ids, words and numbers; what they were run with may be another. */
function expectSameScores(path: string, golden: string): void {
  const [rows, before] = [rowsOf(path), rowsOf(at(golden))];
  const words = (list: readonly Row[]) =>
    list.map(({ id, row, winner, model, task }) => ({ id, row, winner, model, task }));
  expect(words(rows)).toEqual(words(before));
  for (const key of ['logit', 'score', 'confidence', 'calibrated', 'disagreement']) {
    expect(numbersOf(rows, key), key).toBeAllClose(numbersOf(before, key), { atol: ATOL });
  }
}

const streams = { stdin: new PassThrough(), stdout: new PassThrough() } as unknown as BatchOptions['streams'];
const score = (model: string, input: string, out: string, options: Partial<BatchOptions> = {}) =>
  runBatch({
    models: [at(model)],
    input: at(input),
    out: at(out),
    batchSize: 32,
    threads: 1,
    resume: false,
    force: false,
    streams,
    ...options,
  });

describe('files of hpsv3 0.1.0', () => {
  it.each([
    ['text-pair', 'text'],
    ['text-item', 'items'],
    ['audio-item', 'audio'],
    ['image-text-item', 'image-text'],
    ['text-pair-int8', 'text'],
    ['text-pair-merged', 'text'],
    ['text-pair-calibrated', 'text'],
  ])('the model %s scores as it did', async (model, input) => {
    await score(`${model}.onnx`, `${input}.jsonl`, `${model}.now.jsonl`);
    expectSameScores(at(`${model}.now.jsonl`), `${model}.scores.jsonl`);
  });

  it.each(['head', 'video-item'])('the model %s has the outputs it had', async (model) => {
    const report = await verifyModels({
      model: at(`${model}.onnx`),
      golden: at(`${model}.golden.safetensors`),
      atol: 1e-5,
      level: 'quick',
      seed: 0,
    });
    expect(report).toMatchObject({ passed: true, reference: 'golden' });
  });

  it.each(['calibrator', 'calibrator-by-kind'])('the calibrator %s gives the probabilities it gave', async (name) => {
    await score('text-pair.onnx', 'text.jsonl', `${name}.now.jsonl`, { calibrator: at(`${name}.json`) });
    expectSameScores(at(`${name}.now.jsonl`), `${name}.scores.jsonl`);
  });

  it('the ensemble weighs its members as it did', async () => {
    await applyEnsemble({
      ensemble: at('ensemble.json'),
      scores: [
        { name: 'one', path: at('text-pair.scores.jsonl') },
        { name: 'two', path: at('text-pair-two.scores.jsonl') },
      ],
      out: at('ensemble.now.jsonl'),
      force: false,
    });
    expectSameScores(at('ensemble.now.jsonl'), 'ensemble.scores.jsonl');
  });

  it('embeddings are what they were', async () => {
    await embedFile({
      model: at('text-item.onnx'),
      input: at('items.jsonl'),
      out: at('now.npy'),
      batchSize: 32,
      threads: 1,
      force: false,
      streams,
    });
    const rows = (name: string) => asFloat32(readFileSync(at(name)).subarray(128)); // behind the header
    expect(rows('now.npy')).toBeAllClose(rows('embeddings.npy'), { atol: ATOL });
    expect(rowsOf(at('now.npy.ids.jsonl'))).toEqual(rowsOf(at('embeddings.npy.ids.jsonl')));
  });

  it('an unfinished batch is resumed where it was stopped', async () => {
    const report = await score('text-pair.onnx', 'text.jsonl', 'resumed.jsonl', { batchSize: 4, resume: true });
    expect(report).toMatchObject({ rows: 80, failed: 0, resumed: 20 });
    expectSameScores(at('resumed.jsonl'), 'batch-of-4.scores.jsonl');
  });

  it('an unfinished training run is resumed, and ends where it would have ended', async () => {
    const { name, model, training } = await readConfigFile(CONFIG);
    await trainModel({
      config: { name, model: model!, training: training! },
      data: [at('text.jsonl')],
      validation: [],
      out: at('run'),
      seed: 3,
      device: 'cpu',
      threads: 1,
      resume: true,
      force: false,
    });
    const [now, before] = [
      await tensorsOf('run/checkpoint.safetensors'),
      await tensorsOf('finished/checkpoint.safetensors'),
    ];
    expect([...now.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [key, values] of before) expect(now.get(key)).toBeAllClose(values, { atol: 1e-5 });
    const last = (log: string) => rowsOf(at(log)).at(-1)!;
    expect(last('run/log.jsonl').step).toBe(6);
    expect(last('run/log.jsonl').loss).toBeCloseTo(last('finished/log.jsonl').loss as number, 5);
  });

  it('a trained checkpoint is exported to a model with the same scores', async () => {
    await exportFile(at('now.onnx'), {
      checkpoint: at('finished/checkpoint.safetensors'),
      modality: 'text',
      mode: 'pair',
    });
    await score('now.onnx', 'text.jsonl', 'finished.now.jsonl');
    const [now, before] = [rowsOf(at('finished.now.jsonl')), rowsOf(at('finished.scores.jsonl'))];
    expect(numbersOf(now, 'logit')).toBeAllClose(numbersOf(before, 'logit'), { atol: ATOL });
  });

  it('a card holds, and its figures are computed again', async () => {
    const report = await verifyModelCard({ folder: at('card'), files: [folder], recompute: true });
    // Renderings are of the version that made them: until the next release this one has the same number and other words.
    expect(report).toMatchObject({ changed: [], differences: [], evaluations: { total: 1, recomputed: 1 } });
    expect(report.recomputed).toBeGreaterThan(100);
  });

  it('a card is made from its reports, with the same facts', async () => {
    const before = readJson(at('card/card.json'));
    const inCard = (name: string): string => at(`card/files/${name}`);
    await makeCard(at('card-now'), {
      model: at('text-pair.onnx'),
      evaluations: [inCard('evaluation.json')],
      calibration: inCard('calibrator.json'),
      quantization: inCard('text-pair-int8.onnx.report.json'),
      exported: inCard('text-pair.onnx.report.json'),
      profile: inCard('profile.json'),
      files: [at('card/files')],
    });
    // Every fact that it had; the examples beside them are what the next version of the schema is for.
    const { tool, pictures, files, schema, ...facts } = before;
    expect(readJson(at('card-now/card.json'))).toMatchObject({ ...facts, schema: 'hpsv3/card@2' });
    expect(schema).toBe('hpsv3/card@1');
  });

  it('a summary finds every report', async () => {
    const { documents, skipped } = await reportRun({ folder: at('card/files'), out: at('summary'), force: false });
    expect(documents).toEqual([
      { path: 'calibrator.json', kind: 'calibrator' },
      { path: 'evaluation.json', kind: 'evaluation' },
      { path: 'profile.json', kind: 'profile' },
      { path: 'text-pair-int8.onnx.report.json', kind: 'quantization' },
      { path: 'text-pair.onnx.report.json', kind: 'export' },
    ]);
    expect(skipped).toEqual([]);
  });

  it('a profile recommends what it recommended', async () => {
    expect(await recommendedSetting(at('card/files/profile.json'), at('text-pair.onnx'))).toEqual({
      batch: 1,
      threads: 1,
      optimization: 'all',
      variant: 'model',
    });
  });
});

/** The values of every tensor of a file. */
async function tensorsOf(name: string): Promise<Map<string, Float32Array>> {
  const checkpoint = await openCheckpoint(at(name));
  try {
    const values = new Map<string, Float32Array>();
    for (const [key, tensor] of checkpoint.tensors) values.set(key, asFloat32(await readTensor(tensor)));
    return values;
  } finally {
    checkpoint.close();
  }
}
