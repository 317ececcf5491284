import { describe, expect, it } from 'vitest';
import { profileInputs } from '../../../src/core/profiling/inputs.js';
import type { ValueInfo } from '../../../src/core/runtime/session.js';

const input = (name: string, shape: (number | string)[], dtype: ValueInfo['dtype'] = 'F32'): ValueInfo => ({
  name,
  dtype,
  shape,
});

const made = (inputs: ValueInfo[], sizes: Record<string, number> = {}, rows = 4) =>
  profileInputs({
    inputs,
    manifest: null,
    file: 'm.onnx',
    sizes: new Map(Object.entries(sizes)),
    seed: 0,
    rows,
  });

const shapesOf = (values: ReadonlyMap<string, { shape: readonly number[] }>) =>
  Object.fromEntries(Array.from(values, ([name, { shape }]) => [name, shape]));

describe('inputs without a manifest', () => {
  it('take any batch, along whichever dimension has its symbol', () => {
    const inputs = made([input('x', ['batch', 3, 8, 8]), input('state', [2, 'batch', 5]), input('rate', [])]);
    expect(inputs.fixedBatch).toBeNull();
    expect(shapesOf(inputs.feeds(3))).toEqual({ x: [3, 3, 8, 8], state: [2, 3, 5], rate: [] });
    expect(inputs.shapes['x']).toEqual([3, 8, 8]);
  });

  it('take sizes by symbol, or by input and axis', () => {
    const inputs = made([input('wave', ['batch', 'samples']), input('x', ['batch', ''])], { samples: 160, 'x.1': 7 });
    expect(shapesOf(inputs.feeds(2))).toEqual({ wave: [2, 160], x: [2, 7] });
  });

  it('ask for sizes that are open, all at once and with an example', () => {
    expect(() =>
      made([input('wave', ['batch', 'samples']), input('picture', ['batch', 3, 'height', 'width'])]),
    ).toThrow(
      expect.objectContaining({
        code: 'INPUTS_INVALID',
        message: 'm.onnx: the size of samples, height, width is open, and cannot be guessed',
        hint: expect.stringContaining('`sizes` samples=16000 `sizes` height=224 `sizes` width=224'),
      }),
    );
  });

  it('refuse a size that nothing has', () => {
    expect(() => made([input('x', ['batch', 4])], { tokens: 3 })).toThrow(
      expect.objectContaining({ code: 'USAGE', message: 'm.onnx: no input has a size tokens' }),
    );
  });

  it('keep a batch that the model is fixed to', () => {
    const inputs = made([input('x', [2, 4])]);
    expect(inputs.fixedBatch).toBe(2);
    expect(shapesOf(inputs.feeds(2))).toEqual({ x: [2, 4] });
  });

  it('repeat given rows up to the batch', () => {
    const given = {
      rows: 2,
      feeds: new Map([['x', { dtype: 'F32' as const, shape: [2, 1], data: Float32Array.of(1, 2) }]]),
    };
    const inputs = profileInputs({
      inputs: [input('x', ['batch', 1])],
      manifest: null,
      file: 'm.onnx',
      sizes: new Map(),
      seed: 0,
      rows: 5,
      given,
    });
    expect(inputs.feeds(5).get('x')?.data).toEqual(Float32Array.of(1, 2, 1, 2, 1));
    expect(inputs.feeds(1).get('x')?.data).toEqual(Float32Array.of(1));
  });
});
