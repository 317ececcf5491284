import { describe, expect, it } from 'vitest';
import { RowsAtOnce, rowBatches } from '../../../src/core/quantization/rows.js';
import type { Session } from '../../../src/core/runtime/session.js';

const session = (first: number | string) => ({ inputs: [{ name: 'x', shape: [first, 4] }] }) as unknown as Session;

describe('rowBatches', () => {
  it('takes fewer rows from the next batch on once they are halved, down to one', () => {
    const limit = new RowsAtOnce();
    const batches = rowBatches(session('batch'), { rows: 20, feeds: new Map() }, limit);
    expect(batches.next().value).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect([limit.halve(), limit.halve()]).toEqual([4, 2]);
    expect(batches.next().value).toEqual([8, 9]);
    expect([limit.halve(), limit.halve()]).toEqual([1, null]);
    expect([...batches].flat()).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it('fills the last batch up by going round, and keeps to the batch of a model', () => {
    expect([...rowBatches(session(3), { rows: 4, feeds: new Map() })]).toEqual([
      [0, 1, 2],
      [3, 0, 1],
    ]);
  });
});
