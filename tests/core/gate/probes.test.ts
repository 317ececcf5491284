import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { makeProbes } from '../../../src/core/gate/probes.js';
import type { Manifest, Preprocess } from '../../../src/core/onnx/manifest.js';
import type { ValueInfo } from '../../../src/core/runtime/session.js';
import { floatsOf } from '../../../src/core/runtime/value.js';

const PIXELS = {
  color: 'RGB' as const,
  resize: { kernel: 'bilinear' as const, antialias: true },
  crop: null,
  scale: 1 / 255,
  mean: [0.485, 0.456, 0.406] as [number, number, number],
  std: [0.229, 0.224, 0.225] as [number, number, number],
};
const TEXT: Preprocess = { kind: 'text', maxTokens: 12, tokenizer: null, vocabSize: 50, pad: 3, specialTokens: true };

const contract = (...inputs: { info: ValueInfo; preprocess: Preprocess }[]): [ValueInfo[], Manifest] => [
  inputs.map(({ info }) => info),
  {
    schema: 'hpsv3/manifest@1',
    architecture: 'test',
    modality: 'image',
    mode: 'item',
    dtype: 'fp32',
    decision: 'utility-difference',
    inputs: inputs.map(({ info, preprocess }) => ({
      name: info.name,
      dtype: info.dtype,
      shape: [...info.shape],
      preprocess,
    })),
    outputs: [],
    session: {},
    calibrator: null,
    lineage: [],
  },
];
const options = { rows: 6, seed: 's', file: 'm.onnx' };

describe('makeProbes', () => {
  it('draws pictures in the range of their normalisation, smooth, and no two alike', () => {
    const [inputs, manifest] = contract({
      info: { name: 'pixel_values', dtype: 'F32', shape: ['batch', 3, 32, 32] },
      preprocess: { kind: 'image', layout: 'NCHW', ...PIXELS },
    });
    const { shape, data } = makeProbes(inputs, manifest, options).feeds.get('pixel_values')!;
    expect(shape).toEqual([6, 3, 32, 32]);
    const values = data as Float32Array;
    const plane = 32 * 32;
    for (let i = 0; i < values.length; i++) {
      const channel = Math.floor(i / plane) % 3;
      const brightness = values[i] * PIXELS.std[channel] + PIXELS.mean[channel];
      expect(brightness >= -1e-6 && brightness <= 1 + 1e-6).toBe(true);
    }
    const first = values.subarray(0, plane);
    expect(neighbourCorrelation(first, 32)).toBeGreaterThan(0.5);
    expect(first).not.toEqual(values.subarray(3 * plane, 4 * plane));
  });

  it('draws pictures that move', () => {
    const [inputs, manifest] = contract({
      info: { name: 'frames', dtype: 'F32', shape: ['batch', 3, 4, 16, 16] },
      preprocess: { kind: 'video', layout: 'NCFHW', frames: 4, sampling: 'even', size: 16, ...PIXELS },
    });
    const values = makeProbes(inputs, manifest, options).feeds.get('frames')!.data as Float32Array;
    expect(values.length).toBe(6 * 3 * 4 * 256);
    expect(values.subarray(0, 256)).not.toEqual(values.subarray(256, 512));
  });

  it('draws texts of several lengths within the vocabulary, and masks that agree with them', () => {
    const [inputs, manifest] = contract(
      ...['left_', 'right_'].flatMap((side) => [
        {
          info: { name: `${side}attention_mask`, dtype: 'I64' as const, shape: ['batch', `${side}tokens`] },
          preprocess: { kind: 'text-mask' as const },
        },
        {
          info: { name: `${side}input_ids`, dtype: 'I64' as const, shape: ['batch', `${side}tokens`] },
          preprocess: TEXT,
        },
      ]),
    );
    const { feeds } = makeProbes(inputs, manifest, { ...options, rows: 40 });
    const lengths = new Set<number>();
    for (const side of ['left_', 'right_']) {
      const ids = feeds.get(`${side}input_ids`)!;
      const mask = feeds.get(`${side}attention_mask`)!;
      expect(ids.shape).toEqual([40, 12]);
      expect(mask.shape).toEqual([40, 12]);
      for (let row = 0; row < 40; row++) {
        const bits = Array.from((mask.data as BigInt64Array).subarray(row * 12, row * 12 + 12), Number);
        const length = bits.reduce((sum, bit) => sum + bit, 0);
        lengths.add(length);
        expect(length).toBeGreaterThan(0);
        expect(bits).toEqual(bits.toSorted((a, b) => b - a));
        const padding = Array.from((ids.data as BigInt64Array).subarray(row * 12 + length, row * 12 + 12), Number);
        expect(padding.every((id) => id === TEXT.pad)).toBe(true);
      }
      const values = floatsOf(ids);
      expect(values.every((id) => id >= 0 && id < 50)).toBe(true);
      expect(new Set(values).size).toBeGreaterThan(20);
    }
    expect(lengths.size).toBeGreaterThan(5);
    expect(feeds.get('left_input_ids')).not.toEqual(feeds.get('right_input_ids'));
  });

  it('draws sound within its range, at least as long as the model needs', () => {
    const [inputs, manifest] = contract({
      info: { name: 'waveform', dtype: 'F32', shape: ['batch', 'samples'] },
      preprocess: { kind: 'audio', sampleRate: 1000, mono: true, minSamples: 1680, maxSamples: 5000, range: [-1, 1] },
    });
    const { shape, data } = makeProbes(inputs, manifest, options).feeds.get('waveform')!;
    expect(shape).toEqual([6, 1680]);
    const values = data as Float32Array;
    expect(values.every((x) => x >= -1 && x <= 1)).toBe(true);
    expect(values.some((x) => Math.abs(x) > 0.1)).toBe(true);
  });

  it('draws embeddings of length 1 where the contract says so', () => {
    const [inputs, manifest] = contract({
      info: { name: 'left', dtype: 'F32', shape: ['batch', 8] },
      preprocess: { kind: 'embedding', encoder: null, normalize: 'l2' },
    });
    const values = makeProbes(inputs, manifest, options).feeds.get('left')!.data as Float32Array;
    expect(Math.hypot(...values.subarray(0, 8))).toBeCloseTo(1, 5);
  });

  it('guesses by dtype, rank and name without a manifest', () => {
    const inputs: ValueInfo[] = [
      { name: 'x', dtype: 'F32', shape: ['n', 7] },
      { name: 'image', dtype: 'F16', shape: ['n', 3, '', ''] },
      { name: 'clip', dtype: 'F32', shape: ['n', 3, '', 16, 16] },
      { name: 'ids', dtype: 'I32', shape: ['n', 'length'] },
      { name: 'attention_mask', dtype: 'I64', shape: ['n', 'length'] },
      { name: 'token_type_ids', dtype: 'I64', shape: ['n', 'length'] },
      { name: 'sr', dtype: 'I64', shape: [] },
      { name: 'flags', dtype: 'BOOL', shape: ['n', 4] },
    ];
    const { feeds } = makeProbes(inputs, null, options);
    const shapes = Object.fromEntries(Array.from(feeds, ([name, { shape, dtype }]) => [name, [dtype, ...shape]]));
    expect(shapes).toEqual({
      x: ['F32', 6, 7],
      image: ['F16', 6, 3, 64, 64],
      clip: ['F32', 6, 3, 8, 16, 16],
      ids: ['I32', 6, 24],
      attention_mask: ['I64', 6, 24],
      token_type_ids: ['I64', 6, 24],
      sr: ['I64'],
      flags: ['BOOL', 6, 4],
    });
    expect(feeds.get('sr')!.data[0]).toBe(16000n);
    expect((feeds.get('token_type_ids')!.data as BigInt64Array).every((id) => id === 0n)).toBe(true);
  });

  it('refuses an input too large to make up', () => {
    const inputs: ValueInfo[] = [{ name: 'x', dtype: 'F32', shape: ['n', 2 ** 40] }];
    expect(() => makeProbes(inputs, null, options)).toThrow(
      expect.objectContaining({ code: 'INPUTS_INVALID', hint: expect.stringContaining('`inputs`') }),
    );
  });

  it('makes a row from the seed and its number alone', () => {
    const inputs: ValueInfo[] = [{ name: 'x', dtype: 'F32', shape: ['n', 4] }];
    const draw = (rows: number, seed: string) =>
      Array.from(makeProbes(inputs, null, { rows, seed, file: 'm' }).feeds.get('x')!.data as Float32Array);
    expect(draw(2, 'a')).toEqual(draw(5, 'a').slice(0, 8));
    expect(draw(2, 'a')).not.toEqual(draw(2, 'b'));
  });
});

describe('Random', () => {
  it('is the same on every machine', () => {
    // Vector: sfc32 in Python over the SHA-256 of the seed, by its definition.
    const random = new Random('hpsv3');
    expect(Array.from({ length: 4 }, () => random.uint32())).toEqual([1240171278, 21714343, 3015454100, 3659048326]);
  });

  it('draws standard normals and permutations', () => {
    const random = new Random('n');
    const draws = Array.from({ length: 20_000 }, () => random.normal());
    const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
    const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.04);
    expect(random.permutation(50).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });
});

/** Correlation of each pixel with its right neighbour. */
function neighbourCorrelation(plane: Float32Array, width: number): number {
  const pairs = Array.from(plane, (value, i) => [value, plane[i + 1]]).filter((_, i) => i % width !== width - 1);
  const mean = pairs.reduce((sum, [a]) => sum + a, 0) / pairs.length;
  const covariance = pairs.reduce((sum, [a, b]) => sum + (a - mean) * (b - mean), 0);
  return covariance / pairs.reduce((sum, [a]) => sum + (a - mean) ** 2, 0);
}
