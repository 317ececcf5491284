import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binsOfBothOrders, prepareBinnings } from '../../../src/core/stats/calibration-bins.js';
import { bothOrders, concatenate } from '../../../src/core/stats/outcomes.js';
import { mirrorable } from '../../../src/core/stats/pair-cells.js';

describe('binsOfBothOrders', () => {
  it('has the bins of the rows followed by their mirror images, to the last bit', () => {
    const votes = fc.double({ min: 0, max: 9, noNaN: true });
    // Of few values, so that many tie, with each other and with mirror images.
    const probability = fc.oneof(
      fc.integer({ min: 0, max: 8 }).map((n) => n / 8),
      fc.double({ min: 0, max: 1, noNaN: true }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(probability, votes, votes), { maxLength: 60 }), (rows) => {
        const column = (place: 0 | 1 | 2) => Float64Array.from(rows, (row) => row[place]);
        const probabilities = column(0).map(mirrorable);
        const outcomes = { positive: column(1), negative: column(2) };
        const { width, mass } = prepareBinnings(
          concatenate(
            probabilities,
            probabilities.map((p) => 1 - p),
          ),
          bothOrders(outcomes),
        );
        expect(binsOfBothOrders(probabilities, outcomes)).toEqual({ width: width.ofRows(), mass: mass.ofRows() });
      }),
    );
  });
});
