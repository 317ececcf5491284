import { expect, it } from 'vitest';
import { prepareSmoothEce } from '../../../src/core/stats/smooth-ece.js';

it('is the same whatever weights it was asked for before, though the error of few votes does not fall everywhere', () => {
  const probabilities = Float64Array.of(0.06, 0.68).map((p) => Math.fround(p));
  for (const [first, second] of [
    [2, 3],
    [1, 5],
    [4, 1],
  ]) {
    const outcomes = { positive: Float64Array.of(first, second), negative: new Float64Array(2) };
    const asked = prepareSmoothEce(probabilities, outcomes, { bothOrders: true });
    asked(Float64Array.of(0, 1));
    const fresh = prepareSmoothEce(probabilities, outcomes, { bothOrders: true });
    expect(asked()).toBe(fresh());
    expect(asked(Float64Array.of(1, 1))).toBe(fresh());
  }
});
