import { describe, expect, it } from 'vitest';
import { goldenParity, readGolden, readProbes } from '../../../src/core/gate/golden.js';
import type { Manifest } from '../../../src/core/onnx/manifest.js';
import type { ValueInfo } from '../../../src/core/runtime/session.js';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';
import { type Tensor, tensorFromBytes } from '../../../src/core/tensor/tensor.js';

const file = (values: Record<string, number[]>): Map<string, Tensor> =>
  new Map(
    Object.entries(values).map(([name, row]) => [
      name,
      tensorFromBytes({ name, dtype: 'F32', shape: [row.length] }, new Uint8Array(Float32Array.from(row).buffer)),
    ]),
  );
const info = (name: string, dtype: ValueInfo['dtype'] = 'F32'): ValueInfo => ({ name, dtype, shape: ['batch'] });
const manifest = (mode: Manifest['mode'], modality: Manifest['modality'] = 'image') => ({ mode, modality }) as Manifest;

const FILE = file({
  'image/in/x': [1],
  'image/out/y': [2],
  'image/pair/in/left_x': [3],
  'image/pair/in/right_x': [4],
  'image/pair/out/pair_logit': [5],
  'image-text/in/x': [6],
  'image-text/in/t': [7],
  'image-text/out/y': [8],
  'head/in/left': [9],
  'head/in/right': [10],
  'head/out/pair_logit': [11],
});

describe('readGolden', () => {
  it.each([
    ['item', 'image', ['x'], 'y', 'image/', 2],
    ['item', 'image-text', ['x', 't'], 'y', 'image-text/', 8],
    ['pair', 'image', ['left_x', 'right_x'], 'pair_logit', 'image/pair/', 5],
    ['head', 'image', ['left', 'right'], 'pair_logit', 'head/', 11],
  ] as const)('takes the place of mode %s and modality %s', async (mode, modality, inputs, output, prefix, value) => {
    for (const given of [manifest(mode, modality), null]) {
      const model = {
        file: 'g',
        manifest: given,
        inputs: inputs.map((name) => info(name)),
        outputs: [info(output), info('other')],
      };
      const golden = await readGolden(FILE, model);
      expect(golden.prefix).toBe(prefix);
      expect([...golden.inputs.keys()]).toEqual([...inputs]);
      expect([...golden.outputs]).toEqual([[output, float32Value([1], Float32Array.of(value))]]);
    }
  });

  it('reads a file of one model only, and casts inputs to the dtype of the model', async () => {
    const flat = file({ 'in/x': [1], 'out/y': [2] });
    const golden = await readGolden(flat, {
      file: 'g',
      manifest: manifest('item'),
      inputs: [info('x', 'I64')],
      outputs: [info('y')],
    });
    expect(golden.inputs.get('x')).toEqual({ dtype: 'I64', shape: [1], data: BigInt64Array.of(1n) });
  });

  it.each([
    ['no such modality', FILE, manifest('item', 'audio'), ['x'], ['y'], /audio\/in\/x/],
    ['no such input', FILE, manifest('item'), ['z'], ['y'], /image\/in\/z/],
    ['no output of the model', FILE, manifest('item'), ['x'], ['z'], /image\/out\//],
    [
      'several places that fit',
      file({ 'a/in/x': [1], 'a/out/y': [1], 'b/in/x': [1], 'b/out/y': [1] }),
      null,
      ['x'],
      ['y'],
      /several/,
    ],
    ['an empty file', file({}), null, ['x'], ['y'], /in\/x/],
  ])('names what is missing: %s', async (_, tensors, given, inputs, outputs, words) => {
    const model = {
      file: 'g.safetensors',
      manifest: given,
      inputs: inputs.map((name) => info(name)),
      outputs: outputs.map((name) => info(name)),
    };
    const error = await readGolden(tensors, model).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'TENSOR_NOT_FOUND', message: words });
    expect(error.message).toContain('g.safetensors');
  });

  it('refuses values that have no real numbers', async () => {
    const complex = tensorFromBytes({ name: 'in/x', dtype: 'C64', shape: [1] }, new Uint8Array(8));
    const tensors = new Map([...file({ 'out/y': [1] }), ['in/x', complex] as const]);
    const model = { file: 'g', manifest: null, inputs: [info('x')], outputs: [info('y')] };
    await expect(readGolden(tensors, model)).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });
});

describe('readProbes', () => {
  it('takes bare names or the layout of a golden file', async () => {
    for (const tensors of [file({ x: [1, 2] }), file({ 'in/x': [1, 2] }), file({ 'image/in/x': [1, 2] })]) {
      const { rows, feeds } = await readProbes(tensors, { file: 'g', manifest: manifest('item'), inputs: [info('x')] });
      expect(rows).toBe(2);
      expect(feeds.get('x')!.data).toEqual(Float32Array.of(1, 2));
    }
  });

  it.each([
    ['different numbers of rows', file({ x: [1, 2], t: [1] })],
    ['no rows', file({ x: [], t: [] })],
  ])('refuses %s', async (_, tensors) => {
    const model = { file: 'mine.safetensors', manifest: null, inputs: [info('x'), info('t')] };
    await expect(readProbes(tensors, model)).rejects.toMatchObject({
      code: 'INPUTS_INVALID',
      message: /mine.safetensors/,
    });
  });
});

describe('goldenParity', () => {
  const outputs = (values: Record<string, TensorValue>) => new Map(Object.entries(values));

  it('compares the outputs that both have and keeps the largest difference', () => {
    const golden = outputs({
      a: float32Value([2], Float32Array.of(1, 2)),
      b: float32Value([1], Float32Array.of(1)),
      gone: float32Value([1], Float32Array.of(9)),
    });
    const actual = outputs({
      a: float32Value([2], Float32Array.of(1, 2.5)),
      b: float32Value([1], Float32Array.of(0.75)),
      more: float32Value([1], Float32Array.of(9)),
    });
    expect(goldenParity(golden, actual)).toEqual({
      maxAbsDiff: 0.5,
      outputs: { a: { maxAbsDiff: 0.5 }, b: { maxAbsDiff: 0.25 } },
    });
  });
});
