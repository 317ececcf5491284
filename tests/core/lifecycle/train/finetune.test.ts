import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { withAtomicOutput } from '../../../../src/core/bytes/output.js';
import { calibratedManifest, embedCalibrator } from '../../../../src/core/calibration/embed.js';
import { HpsError } from '../../../../src/core/errors.js';
import { initCheckpoint } from '../../../../src/core/lifecycle/init/init.js';
import { type FinetuneOptions, finetuneModel } from '../../../../src/core/lifecycle/train/finetune.js';
import { MANIFEST_KEY, manifestOf } from '../../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../../src/core/onnx/read.js';
import { tensorOf } from '../../../../src/core/onnx/tensor-data.js';
import { writeOnnx } from '../../../../src/core/onnx/write.js';
import { readTensor } from '../../../../src/core/tensor/tensor.js';
import type { TrainingEngine } from '../../../../src/core/training/engines/engine.js';
import { onnxruntimeEngine } from '../../../../src/core/training/engines/onnxruntime.js';
import { hpsv3Process } from '../../../helpers/cli.js';
import { exportFile } from '../../../helpers/pico.js';
import { sharedFolder } from '../../../helpers/temp.js';
import { TEXT_MODEL, writeTextPairs } from '../../../helpers/training.js';
import { webgpuEnvironment } from '../../../helpers/webgpu.js';

const webgpu = webgpuEnvironment();

/** A software driver takes most of a minute to compile the shaders of a training step. */
const SHADER_COMPILE_MS = 300_000;

const folder = sharedFolder();
let checkpoint: string;
let model: string;
beforeAll(async () => {
  checkpoint = join(folder, 'start.safetensors');
  model = join(folder, 'start.onnx');
  await initCheckpoint({ config: { name: 'tiny', model: TEXT_MODEL }, seed: 5, out: checkpoint, force: false });
  await exportFile(model, { checkpoint, mode: 'pair', modality: 'text' });
  writeTextPairs(join(folder, 'new.jsonl'), 48, 'blue', 'red');
  writeTextPairs(join(folder, 'old.jsonl'), 16, 'up', 'down');
});

const options = (out: string, changes: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
  source: { model },
  labels: [join(folder, 'new.jsonl')],
  validation: [],
  old: [],
  forget: 0.02,
  out: join(folder, out),
  train: 'all',
  training: { lr: 3e-3, batch_size: 8, mixup: 0, patience: 0, val_fraction: 0.4 },
  epochs: 6,
  engine: 'onnxruntime',
  device: 'cpu',
  threads: 1,
  seed: 1,
  gate: 'off',
  force: false,
  resume: false,
  ...changes,
});

describe('a target that cannot be written', () => {
  it.each([
    ['the model is there', 'OUTPUT_EXISTS', 'there.onnx', undefined],
    ['its report is there', 'OUTPUT_EXISTS', 'reported.onnx', undefined],
    ['its folder is not', 'OUTPUT_INVALID', 'nowhere/tuned.onnx', undefined],
    ['the checkpoint is there', 'OUTPUT_EXISTS', 'tuned.onnx', 'there.onnx'],
  ])('is refused before anything is read or trained: %s', async (_, code, out, checkpointOut) => {
    writeFileSync(join(folder, 'there.onnx'), 'mine');
    writeFileSync(join(folder, 'reported.onnx.report.json'), 'mine');
    const onProgress = vi.fn();
    const more = checkpointOut === undefined ? {} : { checkpointOut: join(folder, checkpointOut) };
    const tuned = finetuneModel(options(out, { source: { checkpoint }, onProgress, ...more }));
    await expect(tuned).rejects.toMatchObject({ code });
    expect(onProgress).not.toHaveBeenCalled();
  });
});

describe('rows that are left out', () => {
  const lines = readFileSync(writeTextPairs(join(sharedFolder(), 'rows.jsonl'), 48, 'blue', 'red'), 'utf8').split('\n');
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const tune = (out: string, labels: string, changes: Partial<FinetuneOptions> = {}) =>
    finetuneModel(options(out, { labels: [labels], epochs: 1, ...changes }));

  it('are counted, said with their lines, and written beside the model', async () => {
    const bad = ['{', '{"id":"x","type":"pair","left":"a","right":"b","labels":[3]}', lines[0]];
    const labels = write(
      'some.jsonl',
      [...lines.slice(0, 9), ...bad, '{"id":"y","type":"pair","left":"a","right":"b"}', ...lines.slice(9)].join('\n'),
    );
    const report = await tune('some.onnx', labels);
    expect(report).toMatchObject({
      failed: 3,
      skippedRows: { INVALID_JSON: 1, FIELD_INVALID: 1, DUPLICATE_ID: 1, 'no label': 1 },
      rows: [{ file: 'some.jsonl', rows: 48, badRows: 3 }],
      errors: 'some.onnx.errors.jsonl',
    });
    expect(report.warnings).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^some\.jsonl: 3 rows refused \(.*\): line 10: .*; line 11: labels .*; line 12: id /),
        '1 row is not used: no label.',
        'The refused rows are in some.onnx.errors.jsonl.',
      ]),
    );
    const written = readFileSync(join(folder, 'some.onnx.errors.jsonl'), 'utf8').trim().split('\n');
    expect(written.map((line) => JSON.parse(line))).toEqual(
      [10, 11, 12].map((line) => expect.objectContaining({ file: 'some.jsonl', line })),
    );
  });

  it('are named where nothing else is there', async () => {
    const labels = write('none.jsonl', '{"id":"1"}\n{"id":"2","type":"pair"}\n');
    await expect(tune('none.onnx', labels)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(
        /has a label\. none\.jsonl: 2 rows refused .*: line 1: type is missing; line 2: left is/,
      ),
    });
    expect(existsSync(join(folder, 'none.onnx.errors.jsonl'))).toBe(false);
  });

  it.each([
    ['1/2', '2', '1'],
    ['chosen/rejected', '"rejected"', '"chosen"'],
  ])('are none where the file codes its votes as %s, which is said', async (coding, right, left) => {
    const coded = lines.join('\n').replaceAll('[0,0,0.5]', `[${right}]`).replaceAll('[1,1,1]', `[${left}]`);
    const [report, plain] = [
      await tune(`${coding.replace('/', '-')}.onnx`, write('coded.jsonl', coded)),
      await tune('plain.onnx', write('plain.jsonl', lines.join('\n').replaceAll('[0,0,0.5]', '[0]')), { force: true }),
    ];
    expect([report.failed, report.gained]).toEqual([0, plain.gained]);
    expect(report.warnings.join()).toContain(`coded.jsonl: Votes are coded ${coding}: `);
  });
});

describe('votes for one side', () => {
  const text = readFileSync(writeTextPairs(join(sharedFolder(), 'rows.jsonl'), 48, 'blue', 'red'), 'utf8');
  it.each([
    ['the left', '[1]', '[1,0.5]', 'every vote to train on is for the left'],
    ['the right', '[0]', '[0]', 'every vote to train on is for the right'],
    ['neither', '[0.5]', '[0.5]', 'every pair to train on is tied'],
  ])('stop before anything is trained: %s', async (side, first, second, message) => {
    const labels = join(folder, `${side}.jsonl`);
    writeFileSync(labels, text.replaceAll('[0,0,0.5]', first).replaceAll('[1,1,1]', second));
    const onProgress = vi.fn();
    await expect(finetuneModel(options('side.onnx', { labels: [labels], onProgress }))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining(message),
    });
    expect(onProgress).not.toHaveBeenCalledWith(expect.objectContaining({ stage: 'Training' }));
  });

  it('stop where they are the old labels, or held out', async () => {
    const labels = join(folder, 'side.jsonl');
    writeFileSync(labels, text.replaceAll('[0,0,0.5]', '[1]'));
    for (const [changes, words] of [
      [{ old: [labels] }, 'of the old labels is for the left'],
      [{ validation: [labels] }, 'that is held out is for the left'],
    ] as const) {
      await expect(
        finetuneModel(options('side.onnx', { ...changes, labels: [join(folder, 'new.jsonl')] })),
      ).rejects.toMatchObject({
        message: expect.stringContaining(words),
      });
    }
  });
});

async function weights(path: string): Promise<Map<string, string>> {
  const file = openOnnx(path);
  const result = new Map<string, string>();
  for (const tensor of file.model.graph.initializer)
    result.set(tensor.name ?? '', Buffer.from(await readTensor(tensorOf(tensor))).toString('base64'));
  file.close();
  return result;
}

function nodes(path: string): unknown {
  const file = openOnnx(path);
  try {
    return file.model.graph.node;
  } finally {
    file.close();
  }
}

/** The model with a calibrator inside. */
async function writeCalibrated(path: string): Promise<void> {
  const file = openOnnx(model);
  try {
    const manifest = manifestOf(file.model, model)!;
    const fit = { kind: 'pair', decision: null, parameters: { kind: 'sigmoid', slope: 1, intercept: 0 } } as const;
    const facts = { method: 'platt', symmetric: true, band: null, n: 9, clusters: 3, dataSha256: '0'.repeat(64) };
    const text = JSON.stringify(calibratedManifest(manifest, { ...fit, ...facts } as never));
    const metadataProps = file.model.metadataProps.map(({ key, value }) => ({
      key,
      value: key === MANIFEST_KEY ? text : value,
    }));
    const embedded = embedCalibrator(file.model, manifest, fit, model);
    await withAtomicOutput(path, {}, (output) => writeOnnx({ ...embedded, metadataProps }, output));
  } finally {
    file.close();
  }
}

/** Number of rows left by elimination with pivots that are not rounding. */
function rankOf(matrix: readonly (readonly number[])[]): number {
  const rows = matrix.map((row) => [...row]);
  const largest = Math.max(...rows.flat().map(Math.abs));
  let rank = 0;
  for (let column = 0; column < rows[0].length && rank < rows.length; column++) {
    const pivot = rows
      .slice(rank)
      .reduce((best, row, i) => (Math.abs(row[column]) > Math.abs(rows[best][column]) ? rank + i : best), rank);
    if (Math.abs(rows[pivot][column]) < 1e-3 * largest) continue;
    [rows[rank], rows[pivot]] = [rows[pivot], rows[rank]];
    for (let i = rank + 1; i < rows.length; i++) {
      const factor = rows[i][column] / rows[rank][column];
      rows[i] = rows[i].map((value, j) => value - factor * rows[rank][j]);
    }
    rank++;
  }
  return rank;
}

describe('finetuneModel', () => {
  it('gains on the new labels by more than chance, and its checkpoint exports to the same weights', async () => {
    const out = 'tuned.onnx';
    const checkpointOut = join(folder, 'tuned.pt');
    const report = await finetuneModel(
      options(out, { source: { checkpoint, modality: 'text' }, checkpointOut, gate: 'quick', epochs: 15 }),
    );
    expect(report.helped).toBe(true);
    expect(report.gained.auc.after).toBeGreaterThan(0.9);
    expect(report.gained.auc.ci![0]).toBeGreaterThan(0);
    expect(report.frozenUpTo).toBeNull();
    expect(report.lineage.map(({ step }) => step)).toEqual(['export', 'finetune']);
    const again = join(folder, 'again.onnx');
    await exportFile(again, {
      checkpoint: checkpointOut,
      mode: 'pair',
      modality: 'text',
      config: { name: 'tiny', model: TEXT_MODEL },
    });
    expect(await weights(again)).toEqual(await weights(join(folder, out)));
    expect(nodes(again)).toEqual(nodes(join(folder, out)));
    expect(JSON.parse(readFileSync(join(folder, 'tuned.onnx.report.json'), 'utf8')).sha256).toBe(report.sha256);
  });

  it('trains the head on embeddings that were computed once, and leaves the rest as it was', async () => {
    const report = await finetuneModel(options('head.onnx', { train: 'head', epochs: 2 }));
    expect(report.frozenUpTo).toEqual(['embedding']);
    const [before, after] = [await weights(model), await weights(join(folder, 'head.onnx'))];
    const changed = [...after].filter(([name, value]) => before.get(name) !== value).map(([name]) => name);
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.every((name) => name.startsWith('head.'))).toBe(true);
  });

  it('adapts matrices by low-rank factors, merged at the end', async () => {
    const training = { ...options('').training, lora_rank: 2 };
    const tuned = await finetuneModel(options('lora.onnx', { train: 'text.*,head.*', training, epochs: 4 }));
    const read = async (path: string) => {
      const file = openOnnx(path);
      const tensor = tensorOf(file.model.graph.initializer.find(({ name }) => name === 'head.pair1.weight')!);
      const bytes = await readTensor(tensor);
      file.close();
      return { shape: tensor.shape, values: new Float32Array(bytes.slice().buffer) };
    };
    const [before, after] = [await read(model), await read(join(folder, 'lora.onnx'))];
    const [rows, columns] = after.shape;
    const change = Array.from({ length: rows }, (_, i) =>
      Array.from({ length: columns }, (__, j) => after.values[i * columns + j] - before.values[i * columns + j]),
    );
    expect(rankOf(change)).toBe(2);
    const start = await weights(model);
    const vectors = [...(await weights(join(folder, 'lora.onnx')))].filter(([name]) => name.endsWith('.bias'));
    for (const [name, value] of vectors) expect(value, name).toBe(start.get(name));
    // The report judges what was written.
    const source = { model: join(folder, 'lora.onnx') };
    const again = await finetuneModel({ ...options('lora-again.onnx', { train: 'head', steps: 1 }), source });
    expect(tuned.gained.auc.after).not.toBe(tuned.gained.auc.before);
    expect(again.gained.auc.before).toBeCloseTo(tuned.gained.auc.after!, 6);
  });

  it('trains by TensorFlow.js to the same weights', async () => {
    const settings = { train: 'head', epochs: 1 } as const;
    await finetuneModel(options('ort.onnx', settings));
    await finetuneModel(options('tfjs.onnx', { ...settings, engine: 'tfjs' }));
    const [ours, theirs] = [await weights(join(folder, 'ort.onnx')), await weights(join(folder, 'tfjs.onnx'))];
    for (const [name, value] of ours) {
      // The bias of utilities cancels between two items: its gradient is rounding alone, which Adam scales to a whole step.
      if (!name.startsWith('head.') || name === 'head.abs2.bias') continue;
      const [a, b] = [value, theirs.get(name)!].map((text) => {
        const bytes = Buffer.from(text, 'base64');
        return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      });
      expect(a, name).toBeAllClose(b, { atol: 1e-3 });
    }
  });

  it.skipIf(webgpu === null)(
    'trains on WebGPU (skipped where no adapter answers)',
    async () => {
      const args = [
        'finetune',
        '--model',
        model,
        '--labels',
        join(folder, 'new.jsonl'),
        '--out',
        join(folder, 'gpu.onnx'),
      ];
      const settings = [
        '--train',
        'head',
        '--steps',
        '1',
        '--batch-size',
        '4',
        '--gate',
        'off',
        '--device',
        'webgpu',
        '--json',
      ];
      const { code, stdout, stderr } = await hpsv3Process([...args, ...settings], { env: webgpu! });
      expect(stderr).not.toContain('Error');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ device: 'webgpu', steps: 1, frozenUpTo: ['embedding'] });
    },
    SHADER_COMPILE_MS,
  );

  it('gives the same bytes of the same seed, and does not write when it forgets too much', async () => {
    const [a, b] = [
      await finetuneModel(options('a.onnx', { epochs: 1 })),
      await finetuneModel(options('b.onnx', { epochs: 1 })),
    ];
    expect(b.sha256).toBe(a.sha256);
    const forgetting = options('c.onnx', { old: [join(folder, 'old.jsonl')], forget: -2, epochs: 1 });
    await expect(finetuneModel(forgetting)).rejects.toMatchObject({ code: 'GATE_FAILED', exitCode: 3 });
    expect(existsSync(join(folder, 'c.onnx'))).toBe(false);
  });

  it('takes a file folded across parameters, without a way back to a checkpoint', async () => {
    const folded = join(folder, 'folded.onnx');
    await exportFile(folded, { checkpoint, mode: 'pair', modality: 'text', optimize: true });
    const source = { model: folded };
    const report = await finetuneModel(options('unfolded.onnx', { source, epochs: 1 }));
    expect(report.warnings.join()).toContain('folded across parameters');
    const wanted = options('no.onnx', { source, checkpointOut: join(folder, 'no.pt') });
    await expect(finetuneModel(wanted)).rejects.toMatchObject({ code: 'ONNX_UNSUPPORTED', exitCode: 2 });
  });

  it('leaves out a calibrator, which belongs to the old weights, and says so', async () => {
    const calibrated = join(folder, 'calibrated.onnx');
    await writeCalibrated(calibrated);
    const report = await finetuneModel(options('recalibrate.onnx', { source: { model: calibrated }, epochs: 1 }));
    expect(report.warnings.join()).toContain('run `hpsv3 calibrate` again');
    const [start, tuned] = [openOnnx(model), openOnnx(join(folder, 'recalibrate.onnx'))];
    onTestFinished(() => {
      start.close();
      tuned.close();
    });
    expect(manifestOf(tuned.model, 'tuned')).toMatchObject({ calibrator: null });
    expect(tuned.model.graph.output).toEqual(start.model.graph.output);
    expect(tuned.model.graph.node).toEqual(start.model.graph.node);
  });

  it('halves the batch where memory runs out, says so, and goes on', async () => {
    const cramped: TrainingEngine = {
      id: 'onnxruntime',
      async open(lossModel, engineOptions) {
        const session = await onnxruntimeEngine.open(lossModel, engineOptions);
        const run: typeof session.run = async (feeds) => {
          if (feeds.get('input_ids')!.shape[0] <= 4) return session.run(feeds);
          throw new HpsError('MODEL_OUT_OF_MEMORY', 'no memory is left for a step');
        };
        return { ...session, run };
      },
    };
    const notes: string[] = [];
    const run = join(folder, 'cramped');
    const settings = { engine: cramped, steps: 2, run, onWarning: (note: string) => void notes.push(note) };
    const report = await finetuneModel(options('cramped.onnx', settings));
    expect(report.steps).toBe(2);
    expect(notes).toEqual([
      'Out of memory: 4 pairs in a run from step 1 on, and more runs a step.',
      'Out of memory: 2 pairs in a run from step 1 on, and more runs a step.',
    ]);
    expect(readFileSync(join(run, 'log.jsonl'), 'utf8')).toContain('"event":"out-of-memory","pairs_per_run":2');
  });

  it('names an operator without a gradient, and its node', async () => {
    const odd = join(folder, 'odd.onnx');
    const file = openOnnx(model);
    const node = file.model.graph.node.flatMap((each) => {
      if (!each.output.includes('left_embedding')) return [each];
      const elu = { name: 'odd', opType: 'Elu', input: ['left_raw'], output: ['left_embedding'], attribute: [] };
      return [{ ...each, output: ['left_raw'] }, elu];
    });
    await withAtomicOutput(odd, {}, (output) =>
      writeOnnx({ ...file.model, graph: { ...file.model.graph, node } }, output),
    );
    file.close();
    const error = await finetuneModel(options('no.onnx', { source: { model: odd } })).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'GRADIENT_UNSUPPORTED', exitCode: 2 });
    expect(error.message).toMatch(/Elu.*odd|odd.*Elu/);
  });

  const rows = (name: string, row: (i: number) => object): string => {
    const path = join(folder, name);
    writeFileSync(path, Array.from({ length: 8 }, (_, i) => JSON.stringify(row(i))).join('\n'));
    return path;
  };
  const pair = { type: 'pair', left: 'a', right: 'b', modality: 'text' };
  it.each([
    ['a selection that names nothing', () => ({ train: 'visual.*' }), 'USAGE'],
    [
      'one cluster alone',
      () => ({ labels: [rows('one.jsonl', (i) => ({ ...pair, id: `${i}`, labels: [1], prompt_id: 'p' }))] }),
      /TOO_FEW_CLUSTERS|DATA_INVALID/,
    ],
    [
      'ties alone',
      () => ({ labels: [rows('ties.jsonl', (i) => ({ ...pair, id: `${i}`, labels: [0.5], prompt_id: `p${i}` }))] }),
      /DATA_INVALID|TOO_FEW_CLUSTERS/,
    ],
    [
      'rows of another modality',
      () => ({ labels: [rows('other.jsonl', (i) => ({ ...pair, id: `${i}`, labels: [1], modality: 'image' }))] }),
      'DATA_INVALID',
    ],
  ])('refuses %s', async (_, changes, code) => {
    const error = await finetuneModel(options('refused.onnx', changes())).catch((caught) => caught);
    expect(error.code).toMatch(code);
    expect(error.exitCode).toBe(2);
    expect(existsSync(join(folder, 'refused.onnx'))).toBe(false);
  });
});
