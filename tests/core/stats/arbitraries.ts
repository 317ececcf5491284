import fc from 'fast-check';
import type { Outcomes } from '../../../src/core/stats/outcomes.js';

/** Rows as a model and its raters leave them: few distinct values, so that ties are common; whole votes, some rows without. */
export interface Rows {
  readonly values: Float64Array;
  readonly outcomes: Outcomes;
}

export const toRows = (rows: readonly (readonly [number, number, number])[]): Rows => ({
  values: Float64Array.from(rows, ([value]) => value),
  outcomes: {
    positive: Float64Array.from(rows, ([, positive]) => positive),
    negative: Float64Array.from(rows, ([, , negative]) => negative),
  },
});

const votes = fc.integer({ min: 0, max: 3 });

/** Tuples of a value, positive votes and negative votes. */
export const tuples = (value: fc.Arbitrary<number>) =>
  fc.array(fc.tuple(value, votes, votes), { minLength: 1, maxLength: 40 });

export const tiedLogit = fc.integer({ min: -12, max: 12 }).map((n) => n / 4);
export const tiedProbability = fc.integer({ min: 0, max: 40 }).map((n) => n / 40);
export const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });
