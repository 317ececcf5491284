import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../src/core/bytes/output.js';
import { Random } from '../../src/core/bytes/random.js';
import { writeSafetensors } from '../../src/core/checkpoint/write-safetensors.js';
import type { QuantizeOptions } from '../../src/core/lifecycle/quantize/options.js';
import { quantizeModel } from '../../src/core/lifecycle/quantize/quantize.js';
import { encodePng } from '../../src/core/media/encode-image.js';
import { MANIFEST_KEY, type Manifest, manifestOf } from '../../src/core/onnx/manifest.js';
import { metadataOf } from '../../src/core/onnx/model.js';
import { openOnnx } from '../../src/core/onnx/read.js';
import { asTensors } from '../../src/core/quantization/rows.js';
import { hpsv3 } from '../helpers/cli.js';
import { exportFile } from '../helpers/pico.js';
import { rowsFor } from '../helpers/rows.js';
import { tempFolder } from '../helpers/temp.js';

/** The pico model is random and all its scores are alike: any change flips pairs, which is not what these tests are about. */
const LOOSE = { flipRate: 1, kendall: -1 };

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

let folder: string;
let model: string;
let out: string;
beforeAll(() => {
  delete process.env['SOURCE_DATE_EPOCH'];
});
beforeEach(async () => {
  folder = tempFolder();
  model = join(folder, 'model.onnx');
  out = join(folder, 'small.onnx');
  await exportFile(model, { modality: 'image' });
});

const quantized = (options: Partial<QuantizeOptions> = {}) =>
  quantizeModel({
    model,
    out,
    scheme: 'weight-only',
    ranges: 'minmax',
    budget: LOOSE,
    ...options,
  });

function readManifest(path: string): Manifest {
  const file = openOnnx(path);
  try {
    return manifestOf(file.model, 'small.onnx')!;
  } finally {
    file.close();
  }
}

async function saveRows(name: string, count: number): Promise<string> {
  const path = join(folder, name);
  const { calibration } = await rowsFor(model, { seed: 1, calibrationRows: Math.max(1, count) });
  const tensors = [...asTensors(calibration).values()].map((tensor) =>
    count > 0 ? tensor : { ...tensor, shape: [0, ...tensor.shape.slice(1)], async *chunks() {} },
  );
  await withAtomicOutput(path, {}, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, tensors);
    return sink.finish();
  });
  return path;
}

describe('weight-only', () => {
  it('writes a smaller file whose rows depend on nothing else, at every level of optimisation', async () => {
    const report = await quantized();
    expect(report.ratio).toBeGreaterThan(1);
    expect(report.latency?.ratio).toBeGreaterThan(0);
    const checks = new Map(report.gate!.checks.map(({ name, passed }) => [name, passed]));
    for (const name of [
      'neighbours',
      'batch-8',
      'optimization-disabled',
      'optimization-basic',
      'optimization-extended',
    ])
      expect(checks.get(name), name).toBe(true);
    expect(JSON.parse(readFileSync(`${out}.report.json`, 'utf8')).sha256).toBe(sha256(out));
  });

  it('states the session options that keep it exact, what is left of the way back, and where it came from', async () => {
    await quantized();
    const [before, after] = [readManifest(model), readManifest(out)];
    expect(after.session).toEqual({ 'session.disable_quant_qdq': '1' });
    const names = Object.keys(after.parameters ?? {});
    expect(names.length).toBeGreaterThan(0);
    expect(names.length).toBeLessThan(Object.keys(before.parameters ?? {}).length);
    expect(after.lineage).toHaveLength(2);
    expect(after.lineage[1]).toMatchObject({
      step: 'quantize',
      inputs: [{ name: 'model.onnx', sha256: sha256(model) }],
      options: { scheme: 'weight-only', perChannel: true },
    });
  });

  it('gives the same bytes again, wherever it is written', async () => {
    await quantized({ gate: 'off' });
    await quantized({ gate: 'off', out: join(folder, 'again.onnx') });
    expect(sha256(join(folder, 'again.onnx'))).toBe(sha256(out));
  });

  it('does not run the model with the gate off', async () => {
    const report = await quantized({ gate: 'off' });
    expect(report).toMatchObject({ latency: null, flips: null, calibration: null, beside: ['small.onnx.report.json'] });
    expect(report.gate?.level).toBe('off');
  });
});

describe('static', () => {
  it('puts the hash of the calibration rows, clip rates and coverage into report and manifest', async () => {
    const report = await quantized({ scheme: 'static', ranges: 'mse' });
    const { calibration } = report;
    expect(calibration?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(calibration?.rows).toBe(32);
    const values = Object.keys(report.clipRates);
    expect(values.length).toBeGreaterThan(3);
    expect(Object.values(report.clipRates).every((rate) => rate >= 0 && rate < 0.1)).toBe(true);
    const options = readManifest(out).lineage[1].options['calibration'] as Record<string, unknown>;
    expect(options).toMatchObject({ calibrator: 'mse', sha256: calibration?.sha256 });
    expect(Object.keys(options['values'] as object)).toEqual(values);
  });

  it('says what rests on inputs that nobody gave, and nothing of the kind where they were given', async () => {
    const made = async (options: Partial<QuantizeOptions>) =>
      (await quantized({ dryRun: true, ...options })).warnings.filter((warning) =>
        warning.startsWith('Made-up inputs'),
      );
    expect(await made({ scheme: 'static' })).toEqual([
      expect.stringContaining('ranges of activations: give `samples`'),
    ]);
    expect(await made({ scheme: 'weight-only' })).toEqual([]);
    expect(await made({ scheme: 'weight-only', gate: 'quick', dryRun: false })).toEqual([
      expect.stringContaining('the gate, decisions and speed: give `samples`'),
    ]);
    expect(await made({ scheme: 'static', inputs: await saveRows('own.safetensors', 4) })).toEqual([]);
  });

  it('calibrates on rows of the user, holds every second one out, and names the file in the lineage', async () => {
    const inputs = await saveRows('rows.safetensors', 10);
    const report = await quantized({ scheme: 'static', inputs });
    expect(report.calibration).toMatchObject({ rows: 5, origin: 'inputs' });
    expect(report.gate?.pairs).toBe(10); // five held-out items, two by two
    expect(report.lineage[1].inputs[1]).toEqual({ name: 'rows.safetensors', sha256: sha256(inputs) });
  });

  it('calibrates on pictures that a data file names, and tells the accuracy on their votes', async () => {
    const random = new Random('pictures');
    const rows: string[] = [];
    for (let i = 0; i < 8; i++) {
      const data = Uint8Array.from({ length: 40 * 30 * 3 }, () => random.integer(0, 256));
      writeFileSync(join(folder, `${i}.png`), await encodePng({ width: 40, height: 30, data }));
      rows.push(
        JSON.stringify({
          id: `${i}`,
          type: 'pair',
          left: `${i}.png`,
          right: `${(i * 3) % 8 < i ? 0 : i}.png`,
          labels: [1, 1, 0],
        }),
      );
    }
    const samples = join(folder, 'samples.jsonl');
    writeFileSync(samples, `${rows.join('\n')}\n`);
    const pair = join(folder, 'pair.onnx');
    await exportFile(pair, { modality: 'image', mode: 'pair' });
    const report = await quantized({ model: pair, scheme: 'static', samples });
    expect(report.calibration).toMatchObject({ rows: 4, origin: 'samples' });
    expect(report.accuracy).toMatchObject({ pairs: 4 });
    expect(report.accuracy?.pValue).toBeGreaterThan(0);
    expect(report.lineage[1].inputs[1].name).toBe('samples.jsonl');
  });

  it('refuses a sample that is no row, with its line', async () => {
    const samples = join(folder, 'samples.jsonl');
    writeFileSync(samples, '{"id":"1","type":"pair"}\n');
    const refused = quantized({ scheme: 'static', samples });
    await expect(refused).rejects.toMatchObject({ code: 'DATA_INVALID', details: { line: 1 } });
  });

  it('refuses a file without rows', async () => {
    const inputs = await saveRows('none.safetensors', 0);
    await expect(quantized({ scheme: 'static', inputs })).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
    expect(existsSync(out)).toBe(false);
  });

  it('refuses a data file without rows', async () => {
    const samples = join(folder, 'none.jsonl');
    writeFileSync(samples, '');
    await expect(quantized({ scheme: 'static', samples })).rejects.toMatchObject({ exitCode: 2 });
    expect(readdirSync(folder).filter((name) => name.startsWith('small'))).toEqual([]);
  });
});

describe('dynamic', () => {
  it('fails by its dependence on neighbours, unless that is allowed', async () => {
    await expect(quantized({ scheme: 'dynamic' })).rejects.toMatchObject({
      code: 'GATE_FAILED',
      message: /neighbours/,
    });
    expect(existsSync(out)).toBe(false);
    const { gate } = await quantized({ scheme: 'dynamic', allowBatchDependence: true });
    expect(gate?.passed).toBe(true);
    expect(gate?.checks.find(({ name }) => name === 'neighbours')?.detail).toMatch(/Allowed/);
  });
});

describe('the command', () => {
  it('prints what the issue of a quantization is, as JSON', async () => {
    const args = [
      'quantize',
      model,
      '--out',
      out,
      '--scheme',
      'weight-only',
      '--budget',
      'flips=0.9,kendall=-1',
      '--json',
    ];
    const { code, stdout } = await hpsv3(args);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    for (const key of [
      'scheme',
      'out',
      'bytes',
      'ratio',
      'latency',
      'flips',
      'flipRate',
      'kendall',
      'maxLogitDiff',
      'excluded',
      'gate',
      'clipRates',
    ])
      expect(report, key).toHaveProperty(key);
    expect(stdout).not.toContain(folder);
  });

  it('exits 3 and leaves the target as it was where the budget is impossible', async () => {
    const args = ['quantize', model, '--out', out, '--scheme', 'weight-only', '--budget', 'score=1e-12', '--json'];
    const { code, stdout } = await hpsv3(args);
    expect(code).toBe(3);
    expect(JSON.parse(stdout).error.code).toBe('GATE_FAILED');
    expect(readdirSync(folder).filter((name) => name.startsWith('small'))).toEqual([]);
  });

  it('writes nothing on a dry run, and says what stays float', async () => {
    const args = ['quantize', model, '--out', out, '--scheme', 'static', '--exclude', '*', '--dry-run', '--json'];
    const { code, stdout } = await hpsv3(args);
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'NOTHING_TO_QUANTIZE' });
    const dry = await quantized({ dryRun: true });
    expect(dry).toMatchObject({ bytes: null, gate: null });
    expect(existsSync(out)).toBe(false);
  });

  it.each(['', '.report.json'])('refuses a target whose NAME%s is there before it runs anything', async (suffix) => {
    writeFileSync(`${out}${suffix}`, 'kept');
    let ran = false;
    const refused = quantized({ onProgress: () => (ran = true) });
    await expect(refused).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(ran).toBe(false);
    expect(readFileSync(`${out}${suffix}`, 'utf8')).toBe('kept');
    expect((await quantized({ force: true, gate: 'off' })).bytes).toBeGreaterThan(0);
  });

  it('refuses a file over --max-size', async () => {
    await expect(quantized({ maxSize: 1000 })).rejects.toMatchObject({
      code: 'GATE_FAILED',
      message: /`maxSize` 1000/,
    });
  });

  it('refuses a file it has quantized before', async () => {
    await quantized({ gate: 'off' });
    const twice = quantized({ model: out, out: join(folder, 'twice.onnx') });
    await expect(twice).rejects.toMatchObject({ code: 'ALREADY_QUANTIZED' });
    expect(readdirSync(folder).filter((name) => name.startsWith('twice'))).toEqual([]);
  });
});

it('keeps metadata of the model beside its own manifest', async () => {
  await quantized({ gate: 'off' });
  const file = openOnnx(out);
  expect(metadataOf(file.model, MANIFEST_KEY)).toContain('"step":"quantize"');
  file.close();
});
