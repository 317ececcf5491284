import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../src/core/bytes/output.js';
import { writeSafetensors } from '../../src/core/checkpoint/write-safetensors.js';
import { verifyModels } from '../../src/core/lifecycle/verify/verify.js';
import { openOnnx } from '../../src/core/onnx/read.js';
import { tensorOf } from '../../src/core/onnx/tensor-data.js';
import { writeOnnx } from '../../src/core/onnx/write.js';
import type { Tensor } from '../../src/core/tensor/tensor.js';
import { readFloat32 } from '../../src/core/tensor/transform.js';
import { bytesOf } from '../../src/core/tensor/values.js';
import { hpsv3 } from '../helpers/cli.js';
import { readTensors } from '../helpers/models.js';
import { exportFile, PICO } from '../helpers/pico.js';
import { tempFolder } from '../helpers/temp.js';

let folder: string;
let model: string;
beforeEach(() => {
  folder = tempFolder();
  model = join(folder, 'model.onnx');
});

/** Writes the model again with the signs of one initializer flipped: a fault as a broken conversion would leave it. */
async function negate(initializer: string): Promise<string> {
  const path = join(folder, 'faulty.onnx');
  const file = openOnnx(model);
  try {
    const target = file.model.graph.initializer.find(({ name }) => name === initializer)!;
    const rawData = bytesOf((await readFloat32(tensorOf(target))).map((value) => -value));
    const changed = file.model.graph.initializer.map((tensor) => (tensor === target ? { ...tensor, rawData } : tensor));
    const faulty = { ...file.model, graph: { ...file.model.graph, initializer: changed } };
    await withAtomicOutput(path, {}, (output) => writeOnnx(faulty, output));
  } finally {
    file.close();
  }
  return path;
}

async function saveTensors(name: string, tensors: readonly Tensor[]): Promise<string> {
  const path = join(folder, name);
  await withAtomicOutput(path, {}, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, tensors);
    return sink.finish();
  });
  return path;
}

describe('hpsv3 verify', () => {
  it('exits 3 where the signs of an inner layer are flipped, and names the first output that moved', async () => {
    await exportFile(model, { modality: 'image', mode: 'item' });
    const faulty = await negate('visual.trunk.layer3.0.conv2.weight');
    const { code, stdout } = await hpsv3(['verify', model, faulty, '--json']);
    expect(code).toBe(3);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      models: ['model.onnx', 'faulty.onnx'],
      passed: false,
      reference: 'source',
      firstMoved: { output: 'embedding' },
      firstDivergence: { opType: 'Conv' },
    });
    expect(report.firstDivergence.node).toMatch(/layer3/);
    expect(report.flips).toBeGreaterThan(0);
    const text = await hpsv3(['verify', model, faulty, '--quick']);
    expect(text.code).toBe(3);
    expect(text.stdout).toContain('First output that moved: embedding');
    expect(text.stdout).toContain('The gate failed.');
  });

  it('names the head’s own output where only the head is at fault', async () => {
    await exportFile(model, { modality: 'text', mode: 'pair' });
    const report = await verifyModels({ model, other: await negate('head.pair2.weight'), level: 'quick', seed: 0 });
    expect(report).toMatchObject({ passed: false, firstMoved: { output: 'logit' } });
  });

  it('exits 0 and says verified for a file and its optimized form', async () => {
    await exportFile(model, { modality: 'image' });
    const optimized = join(folder, 'optimized.onnx');
    await exportFile(optimized, { modality: 'image', optimize: true });
    const { code, stdout } = await hpsv3(['verify', model, optimized, '--quick']);
    expect(code).toBe(0);
    expect(stdout).toContain('Verified against model.onnx, on 8 made-up inputs.');
  });

  it('compares one file with golden outputs', async () => {
    await exportFile(model, { modality: 'audio' });
    const { code, stdout } = await hpsv3([
      'verify',
      model,
      '--golden',
      PICO.golden,
      '--atol',
      '1e-5',
      '--quick',
      '--json',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ passed: true, reference: 'golden', models: ['model.onnx'] });
    const strict = await verifyModels({ model, golden: PICO.golden, atol: 0, level: 'quick', seed: 0 });
    expect(strict.passed).toBe(false);
  });

  it('compares on inputs of the user’s own, by their bare names or laid out as golden', async () => {
    await exportFile(model, { modality: 'text' });
    const golden = await readTensors(PICO.golden);
    const bare = ['input_ids', 'attention_mask'].map((name) => ({ ...golden.get(`text/in/${name}`)!, name }));
    const own = await saveTensors('own.safetensors', bare);
    const faulty = await negate('head.abs2.weight');
    const [{ shape }] = bare;
    for (const inputs of [own, PICO.golden]) {
      const same = await verifyModels({ model, other: model, inputs, level: 'quick', seed: 0 });
      expect(same).toMatchObject({ passed: true, pairs: (shape[0] * (shape[0] - 1)) / 2, maxScoreDiff: 0 });
      expect((await verifyModels({ model, other: faulty, inputs, level: 'quick', seed: 0 })).passed).toBe(false);
    }
    const wrong = await saveTensors('wrong.safetensors', bare.slice(1));
    const { code, stdout } = await hpsv3(['verify', model, model, '--inputs', wrong, '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error.code).toBe('TENSOR_NOT_FOUND');
  });

  it('refuses to compare models that are not alike in what they decide', async () => {
    await exportFile(model, { modality: 'text', mode: 'item' });
    const [pair, image] = ['pair.onnx', 'image.onnx'].map((name) => join(folder, name));
    await exportFile(pair, { modality: 'text', mode: 'pair' });
    await exportFile(image, { modality: 'image', mode: 'item' });
    for (const other of [pair, image]) {
      const comparison = verifyModels({ model, other, level: 'quick', seed: 0 });
      await expect(comparison).rejects.toMatchObject({ code: 'MODELS_INCOMPARABLE', exitCode: 2 });
    }
    const { code, stdout } = await hpsv3(['verify', model, pair, '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error.message).toContain('mode is item in one and pair in the other');
  });

  it('takes a second model or golden outputs, not both, and a budget it can read', async () => {
    for (const args of [
      ['a.onnx', 'b.onnx', '--golden', 'g.safetensors'],
      ['a.onnx', 'b.onnx', '--budget', 'flip=0'],
      ['a.onnx', '--atol', 'wide'],
      [],
    ]) {
      const { code, stdout } = await hpsv3(['verify', ...args, '--json']);
      expect(code, args.join(' ')).toBe(2);
      expect(JSON.parse(stdout).error.code).toBe('USAGE');
    }
  });
});
