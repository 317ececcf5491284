import type { Histogram } from './histogram.js';
import type { Range } from './range.js';

/** Steps between 0 and 255. */
const LEVELS = 255;

/**
 * Expected squared error of quantizing to `range` in 8 bits: rounding is uniform within a step, step^2 / 12, and what lies
 * outside is moved to the edge. Exact zeros (Relu, padding) are exact in 8 bits as well, but a bin does not tell them from what
 * lies beside.
 */
export function expectedSquaredError(histogram: Histogram, range: Range): number {
  const step = (range.high - range.low) / LEVELS;
  return (step * step) / 12 + histogram.squaredExcess(range);
}
