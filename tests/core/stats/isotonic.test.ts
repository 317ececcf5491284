import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitIsotonic, interpolate, knotIndices } from '../../../src/core/stats/isotonic.js';
import { poolAdjacentViolators } from '../../../src/core/stats/pava.js';
import { finite, tiedLogit } from './arbitraries.js';

const weighted = fc.array(fc.tuple(finite, fc.double({ min: 0.01, max: 100, noNaN: true })), {
  minLength: 1,
  maxLength: 30,
});

/** The least squares solution by the min-max formula: the largest, over starts, of the smallest mean of a stretch. */
function minMax(y: readonly number[], weights: readonly number[]): number[] {
  const mean = (start: number, end: number) => {
    let sum = 0;
    let total = 0;
    for (let i = start; i <= end; i++) {
      sum += weights[i] * y[i];
      total += weights[i];
    }
    return sum / total;
  };
  const rows = y.map((_, i) => i);
  return rows.map((i) =>
    Math.max(...rows.slice(0, i + 1).map((start) => Math.min(...rows.slice(i).map((end) => mean(start, end))))),
  );
}

describe('poolAdjacentViolators', () => {
  // Vector: scikit-learn, sklearn/tests/test_isotonic.py, test_isotonic_sample_weight
  it('pools a violation into its weighted mean', () => {
    const fit = poolAdjacentViolators([1, 41, 51, 1, 2, 5, 24], [1, 2, 3, 4, 5, 6, 7]);
    expect(fit).toBeAllClose([1, 13.95, 13.95, 13.95, 13.95, 13.95, 24], { atol: 1e-12 });
  });

  it('never decreases, and fitting a fit changes nothing', () => {
    fc.assert(
      fc.property(weighted, (rows) => {
        const weights = rows.map(([, weight]) => weight);
        const fit = poolAdjacentViolators(
          rows.map(([y]) => y),
          weights,
        );
        for (let i = 1; i < fit.length; i++) expect(fit[i]).toBeGreaterThanOrEqual(fit[i - 1]);
        expect(poolAdjacentViolators(fit, weights)).toEqual(fit);
      }),
    );
  });

  it('is the least squares solution', () => {
    fc.assert(
      fc.property(weighted, (rows) => {
        const y = rows.map(([value]) => value);
        const weights = rows.map(([, weight]) => weight);
        expect(poolAdjacentViolators(y, weights)).toBeAllClose(minMax(y, weights), { atol: 1e-7, rtol: 1e-9 });
      }),
    );
  });

  it('keeps the weighted mean', () => {
    fc.assert(
      fc.property(weighted, (rows) => {
        const fit = poolAdjacentViolators(
          rows.map(([y]) => y),
          rows.map(([, weight]) => weight),
        );
        const sum = (values: ArrayLike<number>) => rows.reduce((total, [, weight], i) => total + weight * values[i], 0);
        expect([sum(fit)]).toBeAllClose([sum(rows.map(([y]) => y))], { atol: 1e-3, rtol: 1e-9 });
      }),
    );
  });

  it.each([
    ['a value that is NaN', [1, Number.NaN], [1, 1]],
    ['an infinite value', [Number.POSITIVE_INFINITY], [1]],
    ['a weight of 0', [1, 2], [1, 0]],
    ['a negative weight', [1, 2], [1, -1]],
    ['an infinite weight', [1], [Number.POSITIVE_INFINITY]],
    ['columns of different lengths', [1, 2], [1]],
  ])('refuses %s', (_, y, weights) => {
    expect(() => poolAdjacentViolators(y, weights)).toThrow(RangeError);
  });
});

describe('fitIsotonic', () => {
  const column = (values: readonly number[]) => Float64Array.from(values);

  it('averages equal x, and needs the ends of a flat stretch only', () => {
    const points = fitIsotonic(column([3, 1, 2, 3, 4, 5]), column([1, 0, 0, 0, 0.5, 0.5]));
    expect(Array.from(points.x)).toEqual([1, 2, 3, 4, 5]);
    expect(Array.from(points.y)).toEqual([0, 0, 0.5, 0.5, 0.5]);
    expect(Array.from(points.weights)).toEqual([1, 1, 2, 1, 1]);
    expect(Array.from(knotIndices(points))).toEqual([0, 1, 2, 4]);
  });

  it('leaves rows of weight 0 out', () => {
    const { x } = fitIsotonic(column([1, 2, 3]), column([0, 1, 0.5]), column([1, 0, 2]));
    expect(Array.from(x)).toEqual([1, 3]);
    expect(fitIsotonic(column([1]), column([1]), column([0])).x).toHaveLength(0);
  });

  it('takes a weight as that many rows, in any order', () => {
    const rows = fc.array(fc.tuple(tiedLogit, tiedLogit, fc.integer({ min: 0, max: 3 })), { minLength: 1 });
    fc.assert(
      fc.property(rows, (list) => {
        const repeated = list.flatMap((row) => new Array<(typeof list)[0]>(row[2]).fill(row)).reverse();
        const fit = fitIsotonic(
          column(list.map(([x]) => x)),
          column(list.map(([, y]) => y)),
          column(list.map(([, , weight]) => weight)),
        );
        const expected = fitIsotonic(column(repeated.map(([x]) => x)), column(repeated.map(([, y]) => y)));
        const at = (x: number) => (fit.x.length === 0 ? [] : [interpolate(fit, x), interpolate(expected, x)]);
        for (const [x] of list) {
          const [actual, wanted] = at(x);
          if (actual !== undefined) expect([actual]).toBeAllClose([wanted], { atol: 1e-10 });
        }
        expect(fit.x.length === 0).toBe(expected.x.length === 0);
      }),
    );
  });

  it('refuses numbers that are not finite', () => {
    expect(() => fitIsotonic(column([Number.NaN]), column([1]))).toThrow(RangeError);
    expect(() => fitIsotonic(column([1]), column([Number.NaN]))).toThrow(RangeError);
    expect(() => fitIsotonic(column([1]), column([1]), column([-1]))).toThrow(RangeError);
  });
});

describe('interpolate', () => {
  const knots = { x: Float64Array.of(0, 1, 3), y: Float64Array.of(0.1, 0.5, 0.9) };

  it('is linear between knots and constant outside', () => {
    expect([-5, 0, 0.5, 1, 2, 3, 9].map((x) => interpolate(knots, x))).toBeAllClose(
      [0.1, 0.1, 0.3, 0.5, 0.7, 0.9, 0.9],
      {
        atol: 1e-15,
      },
    );
  });

  it('refuses NaN, and a map without knots', () => {
    expect(() => interpolate(knots, Number.NaN)).toThrow(RangeError);
    expect(() => interpolate({ x: new Float64Array(0), y: new Float64Array(0) }, 1)).toThrow(RangeError);
  });
});
