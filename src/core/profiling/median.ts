import { quantileOfSorted } from '../stats/quantile.js';

/** @throws RangeError if there are no values */
export const median = (values: readonly number[]): number => quantileOfSorted(Float64Array.from(values).sort(), 0.5);
