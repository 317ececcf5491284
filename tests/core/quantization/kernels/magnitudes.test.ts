import { describe, expect, it } from 'vitest';
import { Random } from '../../../../src/core/bytes/random.js';
import { chunksOf } from '../../../../src/core/onnx/weight.js';
import { channelLayout } from '../../../../src/core/quantization/channel-layout.js';
import { pairwiseScales, quantizedWeight } from '../../../../src/core/quantization/kernels/int8-weight.js';
import { channelMagnitudes } from '../../../../src/core/quantization/kernels/magnitudes.js';
import { numel } from '../../../../src/core/tensor/shape.js';
import type { Tensor } from '../../../../src/core/tensor/tensor.js';
import { bytesOf } from '../../../../src/core/tensor/values.js';

/** A tensor that comes in chunks of odd lengths. */
function drawn(shape: readonly number[], seed: string): { tensor: Tensor; values: Float32Array } {
  const random = new Random(seed);
  const values = Float32Array.from({ length: numel(shape) }, () => random.normal());
  const ends = [1, 5, 1000, 70_001, 70_002, values.length].filter((end) => end <= values.length);
  async function* chunks() {
    for (const [i, end] of ends.entries()) yield bytesOf(values.slice(ends[i - 1] ?? 0, end));
  }
  return { tensor: { name: 'w', dtype: 'F32', shape, chunks }, values };
}

/** By definition: places of each channel in the order of the sum; of any two where that is not known. */
function expected(shape: readonly number[], axis: number | null, values: Float32Array) {
  const { channels, inner, step } = channelLayout(shape, axis);
  const members = Array.from({ length: channels }, (): number[] => []);
  for (const [i, value] of values.entries()) members[Math.floor(i / inner) % channels].push(value);
  const ordered = members.map((own) => (step === null || inner === 1 ? own : inSumOrder(own, step)));
  const largest = members.map((own) => own.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
  const pair = ordered.map((own) => {
    if (step === null) {
      const [first, second] = own.map(Math.abs).sort((a, b) => b - a);
      return Math.fround(first + second);
    }
    const before = inner === 1 ? [0, ...own] : own; // the first is added to 0
    return before.slice(1).reduce((most, value, i) => Math.max(most, Math.abs(Math.fround(value + before[i]))), 0);
  });
  return { largest, pair };
}

const inSumOrder = (own: readonly number[], step: number): number[] =>
  own.map((_, i) => own[(i % (own.length / step)) * step + Math.floor(i / (own.length / step))]);

const CASES: [string, number[], number | null][] = [
  ['of a convolution', [5, 7, 3, 3], 0],
  ['of a convolution larger than what is worked on at once', [3, 9000, 3], 0],
  ['of a convolution of one input', [40, 1, 5], 0],
  ['of a matrix by rows', [37, 2003], 0],
  ['of a matrix by columns', [1501, 61], 1],
  ['of a matrix wider than what is worked on at once', [3, 40_009], 1],
  ['of a transposed convolution', [41, 5, 11], 1],
  ['of a weight with one scale', [301, 301], null],
];

describe('int8 weights of any length', () => {
  it.each(CASES)('%s have the magnitudes of their channels', async (_, shape, axis) => {
    const { tensor, values } = drawn(shape, String(shape));
    const found = (await channelMagnitudes(tensor, channelLayout(shape, axis)))!;
    const { largest, pair } = expected(shape, axis, values);
    expect([...found.largest]).toEqual(largest);
    expect([...found.pair]).toEqual(pair);
  });

  it.each(CASES)('%s are each value over its scale, rounded half to even', async (_, shape, axis) => {
    const { tensor, values } = drawn(shape, String(shape));
    const layout = channelLayout(shape, axis);
    const scales = pairwiseScales((await channelMagnitudes(tensor, layout))!);
    const parts: Buffer[] = [];
    for await (const chunk of chunksOf(quantizedWeight('q', tensor, layout, scales).rawData!))
      parts.push(Buffer.from(chunk));
    const levels = new Int8Array(Buffer.concat(parts));
    const off = levels.findIndex((level, i) => {
      const exact = values[i] / scales[Math.floor(i / layout.inner) % layout.channels];
      return level !== exact + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;
    });
    expect(off).toBe(-1);
    expect(levels).toHaveLength(values.length);
  });

  it.each(CASES)('%s are refused where the last is infinite, or one is NaN', async (_, shape, axis) => {
    for (const [bad, place] of [
      [Number.NEGATIVE_INFINITY, -1],
      [Number.NaN, 4],
    ]) {
      const values = new Float32Array(numel(shape));
      values[place < 0 ? values.length - 1 : place] = bad;
      const chunks = async function* () {
        yield bytesOf(values);
      };
      const tensor: Tensor = { name: 'w', dtype: 'F32', shape, chunks };
      expect(await channelMagnitudes(tensor, channelLayout(shape, axis))).toBeNull();
    }
  });
});
