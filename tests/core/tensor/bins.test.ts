import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BinCounter, foldBins } from '../../../src/core/tensor/bins.js';

const floats = fc.float32Array({ noNaN: true, noDefaultInfinity: true, minLength: 1, maxLength: 40 });

function countsOf(...pieces: Float32Array[]) {
  const counter = new BinCounter();
  for (const piece of pieces) counter.add(piece);
  const { counts, width, low, high } = counter;
  const filled = [...counts.entries()].filter(([, count]) => count > 0).map(([bin, count]) => [bin - 4096, count]);
  return { filled, width, low, high };
}

describe('BinCounter', () => {
  it('counts each value in the bin that its width gives', () => {
    fc.assert(
      fc.property(floats, (values) => {
        const { filled, width } = countsOf(values);
        const expected = new Map<number, number>();
        for (const value of values) {
          const bin = width === 0 ? 0 : Math.floor(value / width);
          expected.set(bin, (expected.get(bin) ?? 0) + 1);
        }
        expect(filled).toEqual([...expected].sort(([a], [b]) => a - b));
      }),
    );
  });

  it('keeps the smallest and the largest, and 0', () => {
    fc.assert(
      fc.property(floats, (values) => {
        const { low, high } = countsOf(values);
        expect({ low, high }).toEqual({ low: Math.min(0, ...values) + 0, high: Math.max(0, ...values) });
      }),
    );
  });

  it('counts more values than are worked on at once, whose range grows', () => {
    const values = Float32Array.from({ length: 100_003 }, (_, i) => Math.sin(i) * 2 ** (i / 20_000));
    const { filled, width } = countsOf(values);
    const expected = new Map<number, number>();
    for (const value of values) {
      const bin = Math.floor(value / width);
      expected.set(bin, (expected.get(bin) ?? 0) + 1);
    }
    expect(filled).toEqual([...expected].sort(([a], [b]) => a - b));
  });

  it('takes the smallest power of two that holds all values', () => {
    fc.assert(
      fc.property(floats, (values) => {
        const { width, low, high } = countsOf(values);
        const magnitude = Math.max(-low, high);
        if (magnitude === 0) {
          expect(width).toBe(0);
          return;
        }
        expect(Math.log2(width)).toBe(Math.round(Math.log2(width)));
        expect(magnitude / width).toBeLessThan(4096);
        expect(magnitude / width).toBeGreaterThanOrEqual(2048);
      }),
    );
  });

  it('counts the same in any order, in any pieces, and by counters that are merged', () => {
    fc.assert(
      fc.property(floats, floats, floats, (a, b, c) => {
        const expected = countsOf(Float32Array.from([...a, ...b, ...c]));
        expect(countsOf(c, a, b)).toEqual(expected);
        const [left, right] = [new BinCounter(), new BinCounter()];
        left.add(b);
        right.add(a);
        right.add(c);
        left.merge(right);
        const { filled, ...rest } = expected;
        expect(left).toMatchObject(rest);
        expect(
          Array.from(left.counts.entries(), ([bin, count]) => [bin - 4096, count]).filter(([, n]) => n > 0),
        ).toEqual(filled);
      }),
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('keeps in mind that %s came', (odd) => {
    expect(countsOf(Float32Array.of(1, odd, 2), Float32Array.of(3))).toMatchObject({
      low: Number.NaN,
      high: Number.NaN,
    });
  });
});

it('folding puts two bins into one, on both sides of 0', () => {
  const counts = Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  foldBins(counts);
  expect([...counts]).toEqual([0, 0, 3, 7, 11, 15, 0, 0]);
});
