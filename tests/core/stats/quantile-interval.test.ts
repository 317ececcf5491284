import { describe, expect, it } from 'vitest';
import { quantileInterval } from '../../../src/core/stats/quantile-interval.js';

/** 1 to n: a value is its own rank. */
const ranks = (n: number): Float64Array => Float64Array.from({ length: n }, (_, i) => i + 1);

describe('quantileInterval', () => {
  // Ranks binom.ppf(tail, n, p) and binom.ppf(1 - tail, n, p) + 1 of scipy 1.18; 0 and n + 1 are outside.
  it.each([
    [12, 0.5, 0.99, 2, 11],
    [36, 0.5, 0.99, 10, 27],
    [100, 0.5, 0.95, 40, 61],
    [100, 0.9, 0.95, 84, 96],
    [1000, 0.99, 0.95, 983, 997],
    [7, 0.5, 0.95, 1, 7],
    [20_000, 0.95, 0.95, 18_939, 19_061],
  ])('of %i values at p %f and level %f is between ranks %i and %i', (n, p, level, low, high) => {
    expect(quantileInterval(ranks(n), p, level)).toEqual([low, high]);
  });

  it('is null where the values are too few for one of its ends', () => {
    expect(quantileInterval(ranks(299), 0.99)).toBeNull(); // rank 300
    expect(quantileInterval(ranks(5), 0.5)).toBeNull();
    expect(quantileInterval(new Float64Array(0), 0.5)).toBeNull();
    expect(() => quantileInterval(ranks(5), 1)).toThrow(RangeError);
  });
});
