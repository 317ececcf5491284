import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../../src/core/bytes/random.js';
import { chooseRanges, type Observation, pairKey } from '../../../../src/core/quantization/ranges/calibrate.js';
import { entropyRange } from '../../../../src/core/quantization/ranges/entropy.js';
import { Histogram } from '../../../../src/core/quantization/ranges/histogram.js';
import { RANGE_METHODS } from '../../../../src/core/quantization/ranges/methods.js';
import { expectedSquaredError } from '../../../../src/core/quantization/ranges/quantization-error.js';
import type { Range } from '../../../../src/core/quantization/ranges/range.js';
import { BinCounter } from '../../../../src/core/tensor/bins.js';

function histogramOf(...pieces: (Float32Array | readonly number[])[]): Histogram {
  const counter = new BinCounter();
  for (const piece of pieces) counter.add(Float32Array.from(piece));
  return new Histogram(counter);
}

/** Laplace values with two outliers (PEERS: onnxruntime's entropy takes the full range of these). */
function heavyTails(): Histogram {
  const random = new Random('tails');
  const values = Float32Array.from({ length: 20_000 }, () => {
    const u = random.uniform(-0.5, 0.5);
    return -Math.sign(u) * Math.log(1 - 2 * Math.abs(u));
  });
  return histogramOf(values.subarray(0, 7_000), values.subarray(7_000), [-55, 60]);
}

const theirs = JSON.parse(
  readFileSync(new URL('../../../golden/quantization/entropy.json', import.meta.url), 'utf8'),
) as Record<'128' | '2048', [number, number]>;

/** Mean |error| of rounding to 255 steps (a quarter of one) and of moving what lies outside to the edge. */
function meanError(histogram: Histogram, { low, high }: Range): number {
  let error = histogram.total * ((high - low) / 255 / 4);
  for (const [bin, count] of histogram.counts.entries()) {
    const value = histogram.origin + (bin + 0.5) * histogram.binWidth;
    error += count * Math.max(0, low - value, value - high);
  }
  return error / histogram.total;
}

describe('entropy calibration', () => {
  it('cuts heavy tails where 128 bins of the runtime take the full range', () => {
    const { low, high } = entropyRange(heavyTails());
    expect(theirs['128']).toEqual([-55, 60]);
    expect(high - low).toBeLessThan(110);
    expect(low).toBeLessThan(-5);
    expect(high).toBeGreaterThan(5);
  });

  it('lowers the error of heavy tails against min-max', () => {
    const tails = heavyTails();
    const range = entropyRange(tails);
    expect(meanError(tails, range)).toBeLessThan(0.96 * meanError(tails, tails.range));
    expect(expectedSquaredError(tails, range)).toBeLessThan(expectedSquaredError(tails, tails.range));
  });

  it('lowers the error of values of a t distribution with 3 degrees of freedom', () => {
    const random = new Random('t3');
    const draw = () =>
      random.normal() / Math.sqrt((random.normal() ** 2 + random.normal() ** 2 + random.normal() ** 2) / 3);
    const values = Float32Array.from({ length: 100_000 }, draw);
    const histogram = histogramOf(values);
    const range = entropyRange(histogram);
    expect(meanError(histogram, range)).toBeLessThan(0.8 * meanError(histogram, histogram.range));
    expect(expectedSquaredError(histogram, range)).toBeLessThan(expectedSquaredError(histogram, histogram.range));
  });

  it('keeps the full range of uniform values', () => {
    const histogram = histogramOf(Float32Array.from({ length: 200_001 }, (_, i) => (i - 100_000) / 100_000));
    const { low, high } = entropyRange(histogram);
    expect(high - low).toBeGreaterThan(1.9);
  });
});

describe.each(RANGE_METHODS.filter(({ choose }) => choose))('calibrator $id', ({ id, choose }) => {
  it('keeps 0 inside, and stays inside what was seen', () => {
    for (const [low, high] of [
      [0, 9],
      [-9, 0],
      [-3, 60],
    ]) {
      const random = new Random(`${low}`);
      const clipped = Float32Array.from({ length: 5000 }, () => Math.max(low, Math.min(high, random.normal())));
      const histogram = histogramOf(clipped, [low, high]);
      const range = choose!(histogram);
      expect(range.low).toBeLessThanOrEqual(0);
      expect(range.high).toBeGreaterThanOrEqual(0);
      expect(range.low).toBeGreaterThanOrEqual(low - 1e-9);
      expect(range.high).toBeLessThanOrEqual(high + 1e-9);
      expect(range.high - range.low).toBeGreaterThan(0);
    }
  });

  it('has no larger squared error than min-max on heavy tails', () => {
    const tails = heavyTails();
    expect(expectedSquaredError(tails, choose!(tails))).toBeLessThanOrEqual(expectedSquaredError(tails, tails.range));
  });

  it('says so where it chose the full range', () => {
    const histogram = histogramOf(Float32Array.from({ length: 4096 }, (_, i) => i / 4095));
    const graph = { node: [], initializer: [], input: [], output: [], valueInfo: [] };
    const seen: Observation = {
      values: ['x'],
      extremes: new Map([['x', { low: 0, high: 1 }]]),
      histograms: new Map([['x', histogram]]),
      elements: new Map(),
      keyOf: (value) => value,
      nameOf: (value) => value,
      equalization: { values: 0, gains: 0 },
      model: { irVersion: 8, opsetImport: [], metadataProps: [], graph },
    };
    const { coverage, warnings } = chooseRanges(seen, id);
    expect(warnings.length > 0).toBe(coverage['x'].coverage === 1);
    if (id === 'mse') expect(warnings.join()).toMatch(/mse chose the full range for 1 value/);
  });
});

describe('Histogram', () => {
  it('spans the range with more than 2048 bins and at most 4096', () => {
    for (const [low, high] of [
      [0, 1],
      [-1, 1],
      [-0.01, 3.99],
      [-4096, 4095],
      [-1e-30, 1e-38],
    ]) {
      const { counts, range } = histogramOf([low, high]);
      expect(counts.length).toBeGreaterThan(2048);
      expect(counts.length).toBeLessThanOrEqual(4096);
      expect(range).toEqual({ low: Math.fround(low), high: Math.fround(high) });
    }
  });

  it('tells the share outside a range, and how far out it lies, as a loop over the values does', () => {
    const random = new Random('excess');
    const values = Float32Array.from({ length: 10_000 }, () => random.normal());
    const histogram = histogramOf(values);
    for (const [low, high] of [
      [-1, 0.5],
      [0, 3],
      [-2, 0],
      [-9, 9],
    ]) {
      const outside = values.map((value) => Math.max(0, low - value, value - high));
      const excess = outside.reduce((sum, value) => sum + value * value, 0) / values.length;
      const share = outside.filter((value) => value > 0).length / values.length;
      expect(histogram.clipRate({ low, high })).toBeCloseTo(share, 2);
      expect(histogram.squaredExcess({ low, high })).toBeCloseTo(excess, 3);
    }
    expect(histogram.clipRate(histogram.range)).toBe(0);
    expect(histogram.squaredExcess(histogram.range)).toBe(0);
  });

  it.each([[[0, 0]], [[0, Number.POSITIVE_INFINITY]], [[1, Number.NaN]]])(
    'refuses what was counted of %s',
    (values) => {
      expect(() => histogramOf(values)).toThrow(RangeError);
    },
  );
});

it('the sides of a pair share their ranges', () => {
  const key = pairKey(['left/a', 'right/a', 'right/only', 'left_x', 'right_x']);
  expect(['left/a', 'right/a', 'right/only', 'right_x', 'rightly'].map(key)).toEqual([
    'left/a',
    'left/a',
    'right/only',
    'left_x',
    'rightly',
  ]);
});
