import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunksOf } from '../../../src/core/onnx/weight.js';
import { channelLayout } from '../../../src/core/quantization/channel-layout.js';
import {
  pairwiseScales,
  quantizedBias,
  quantizedWeight,
  scalesForBias,
  symmetricScales,
} from '../../../src/core/quantization/kernels/int8-weight.js';
import { channelMagnitudes } from '../../../src/core/quantization/kernels/magnitudes.js';
import { activationScale } from '../../../src/core/quantization/ranges/range.js';
import { floatTensor } from '../../helpers/graphs.js';

const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 });

async function quantize(shape: number[], values: number[], axis: number | null, scalesOf = symmetricScales) {
  const tensor = floatTensor('w', shape, values);
  const layout = channelLayout(shape, axis);
  const magnitudes = await channelMagnitudes(tensor, layout);
  if (magnitudes === null) return null;
  const scales = scalesOf(magnitudes);
  const parts: Buffer[] = [];
  for await (const chunk of chunksOf(quantizedWeight('q', tensor, layout, scales).rawData!))
    parts.push(Buffer.from(chunk));
  return { scales, levels: new Int8Array(Buffer.concat(parts)), layout };
}

describe('int8 weights', () => {
  it.each([0, 1, 2, null])('are off by at most half a step of their channel along axis %s', async (axis) => {
    await fc.assert(
      fc.asyncProperty(fc.array(finite, { minLength: 24, maxLength: 24 }), async (values) => {
        const { scales, levels, layout } = (await quantize([2, 3, 4], values, axis))!;
        for (const [i, value] of values.entries()) {
          const scale = scales[Math.floor(i / layout.inner) % layout.channels];
          expect(Math.abs(levels[i])).toBeLessThanOrEqual(127);
          expect(Math.abs(levels[i] * scale - Math.fround(value))).toBeLessThanOrEqual(scale * 0.5001);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('round half to even, as QuantizeLinear does', async () => {
    const { levels } = (await quantize([1, 6], [127, 0.5, 1.5, 2.5, -0.5, -1.5], null))!;
    expect([...levels]).toEqual([127, 0, 2, 2, 0, -2]);
  });

  it.each([0, 1, 2, null])('of integer kernels that are added in 16 bits fit, along axis %s', async (axis) => {
    await fc.assert(
      fc.asyncProperty(fc.array(finite, { minLength: 24, maxLength: 24 }), async (values) => {
        const { scales, levels, layout } = (await quantize([2, 3, 4], values, axis, pairwiseScales))!;
        for (const [i, value] of values.entries()) {
          const scale = scales[Math.floor(i / layout.inner) % layout.channels];
          expect(Math.abs(levels[i] * scale - Math.fround(value))).toBeLessThanOrEqual(scale * 0.5001);
        }
        // 255 * 128 is the most that 16 bits hold
        for (const [a, b] of addedTogether(axis)) expect(Math.abs(levels[a] + levels[b])).toBeLessThanOrEqual(128);
      }),
      { numRuns: 50 },
    );
  });

  /** Places of a [2, 3, 4] weight whose products a kernel may add first; any two of a channel where the order is not known. */
  function addedTogether(axis: number | null): [number, number][] {
    const at = (i: number, j: number, k: number): number => 12 * i + 4 * j + k;
    const all = Array.from({ length: 24 }, (_, i) => i);
    if (axis === 0) {
      // [outputs, inputs, positions]: inputs at a position, then at the next
      const order = (output: number) => all.slice(0, 12).map((i) => at(output, i % 3, Math.floor(i / 3)));
      return [0, 1].flatMap((output) => neighbours(order(output)));
    }
    if (axis === 2) return [0, 1, 2, 3].flatMap((output) => neighbours(all.filter((i) => i % 4 === output)));
    const channelOf = (i: number): number => (axis === 1 ? Math.floor(i / 4) % 3 : 0);
    return all.flatMap((a) =>
      all.filter((b) => b < a && channelOf(a) === channelOf(b)).map((b): [number, number] => [a, b]),
    );
  }

  const neighbours = (order: readonly number[]) =>
    order.slice(1).map((place, i): [number, number] => [order[i], place]);

  it('of integer kernels lose nothing to large values that are not added together first', async () => {
    const { levels } = (await quantize([1, 4], [127, 0, 127, -127], 0, pairwiseScales))!;
    expect([...levels]).toEqual([127, 0, 127, -127]);
  });

  it('of integer kernels keep 8 bits where one value stands out', async () => {
    const { levels } = (await quantize([1, 3], [126, 1, -1], null, pairwiseScales))!;
    expect([...levels]).toEqual([126, 1, -1]);
  });

  // HOSTILE 58
  it('give a channel of zeros a scale that is neither 0 nor NaN, and zeros', async () => {
    const { scales, levels } = (await quantize([2, 3], [0, 127, 254, 0, -127, 254], 1))!;
    expect([...scales]).toEqual([1, 1, 2]);
    expect([...levels]).toEqual([0, 127, 127, 0, -127, 127]);
  });

  it('give a weight of zeros alone scale 1', async () => {
    expect([...(await quantize([2, 2], [0, 0, 0, 0], 0))!.scales]).toEqual([1, 1]);
  });

  it('take values too small for a scale as zeros', async () => {
    const { scales, levels } = (await quantize([2, 1], [1e-44, 127], 0))!;
    expect([...scales]).toEqual([1, 1]);
    expect([...levels]).toEqual([0, 127]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('are refused where one is %s', async (bad) => {
    expect(await quantize([2, 2], [1, 2, bad, 4], 1)).toBeNull();
  });
});

describe('biases', () => {
  it('are whole steps of the products they are added to', () => {
    expect([...quantizedBias(Float32Array.of(1, -2), Float32Array.of(0.25, 0.5))]).toEqual([4, -4]);
  });

  it('raise the scale of a channel that would overflow int32', () => {
    const scales = scalesForBias(Float32Array.of(1e-12, 1), Float32Array.of(1e6, 1), 1e-3);
    const [large] = quantizedBias(
      Float32Array.of(1e6, 1),
      scales.map((scale) => scale * 1e-3),
    );
    expect(large).toBeGreaterThan(2 ** 29);
    expect(large).toBeLessThanOrEqual(2 ** 30);
    expect(scales[1]).toBe(1);
  });
});

describe('activationScale', () => {
  it('keeps 0 exact and every value of the range within half a step', () => {
    fc.assert(
      fc.property(finite, finite, (a, b) => {
        const [low, high] = [Math.min(0, a, b), Math.max(0, a, b)];
        const { scale, zeroPoint } = activationScale({ low, high });
        expect(Number.isInteger(zeroPoint)).toBe(true);
        for (const value of [low, 0, high]) {
          const level = Math.min(255, Math.max(0, Math.round(value / scale) + zeroPoint));
          expect(Math.abs((level - zeroPoint) * scale - value)).toBeLessThanOrEqual(scale * 1.01);
        }
      }),
    );
  });

  it('puts the zero point at 0 for a range that begins there, which lets a runtime drop the Relu', () => {
    expect(activationScale({ low: 0, high: 510 })).toEqual({ scale: 2, zeroPoint: 0 });
  });

  it('gives a value that is always 0 scale 1', () => {
    expect(activationScale({ low: 0, high: 0 })).toEqual({ scale: 1, zeroPoint: 0 });
  });
});
