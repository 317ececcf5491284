import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { argsort } from '../../../src/core/stats/argsort.js';
import { averageRanks, denseRanks } from '../../../src/core/stats/ranks.js';

/** The order by comparison, equal values (-0 and 0 too) in order of their rows. */
function orderByComparison(values: Float64Array): number[] {
  return Array.from(values.keys()).sort((a, b) => (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : a - b));
}

function expectSorted(values: Float64Array): void {
  expect(Array.from(argsort(values))).toEqual(orderByComparison(values));
}

describe('argsort', () => {
  it('orders every float64 as comparison does, and keeps the order of equals', () => {
    const any = fc.double({ noNaN: true });
    const tied = fc.integer({ min: -3, max: 3 });
    fc.assert(
      fc.property(fc.array(fc.oneof(any, tied, fc.constantFrom(-0, 0, 5e-324, -5e-324))), (list) =>
        expectSorted(Float64Array.from(list)),
      ),
    );
  });

  // Values whose upper 32 bits are all alike take another path, by insertion up to 32 of them and by radix above.
  it.each([2, 31, 32, 33, 500])('orders %d values that differ only in their lower bits', (n) => {
    const random = new Random(`lower bits ${n}`);
    const close = Float64Array.from({ length: n }, () => 1 + random.integer(0, 200) * 2 ** -50);
    expectSorted(close);
    expectSorted(close.map((value) => -value));
    expectSorted(Float64Array.from([...close, ...close.map((value) => -value)]));
  });

  it('orders a column that is a view at an offset of a larger buffer', () => {
    const whole = Float64Array.from([9, 3, 1, 2, -1]);
    expect(Array.from(argsort(whole.subarray(1, 4)))).toEqual([1, 2, 0]);
  });

  it('takes no values and one', () => {
    expect(argsort(new Float64Array(0))).toHaveLength(0);
    expect(Array.from(argsort(Float64Array.of(-7)))).toEqual([0]);
  });

  it('names the row that is NaN', () => {
    expect(() => argsort(Float64Array.of(1, Number.NaN, 2))).toThrow('value 1 is NaN');
    expect(() => argsort(Float64Array.of(-Number.NaN))).toThrow(RangeError);
  });
});

describe('ranks', () => {
  it('shares the mean rank between equal values', () => {
    expect(Array.from(averageRanks(Float64Array.of(3, 1, 3, -0, 0)))).toEqual([4.5, 3, 4.5, 1.5, 1.5]);
  });

  it('numbers distinct values', () => {
    const { ranks, distinct } = denseRanks(Float64Array.of(3, 1, 3, Number.NEGATIVE_INFINITY));
    expect(Array.from(ranks)).toEqual([2, 1, 2, 0]);
    expect(distinct).toBe(3);
  });

  it('add up to n (n + 1) / 2', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 })), (list) => {
        const sum = averageRanks(Float64Array.from(list)).reduce((total, rank) => total + rank, 0);
        expect(sum).toBe((list.length * (list.length + 1)) / 2);
      }),
    );
  });
});
