import { HISTOGRAM_BINS, type Histogram } from './histogram.js';
import type { Range } from './range.js';

/** Steps between 0 and 255. */
const LEVELS = 255;

/**
 * Expected squared error of quantizing to `range` in 8 bits: rounding is uniform within a step, step^2 / 12, and what lies
 * outside is moved to the edge.
 */
export function expectedSquaredError(histogram: Histogram, { low, high }: Range): number {
  const step = (high - low) / LEVELS;
  const rounding = (step * step) / 12;
  let error = 0;
  for (let bin = 0; bin < HISTOGRAM_BINS; bin++) {
    const count = histogram.counts[bin];
    if (count === 0) continue;
    const value = histogram.centre(bin);
    const outside = value < low ? low - value : value > high ? value - high : 0;
    // Exact zeros (Relu, padding) are exact in 8 bits as well, but a bin does not tell them from what lies beside.
    error += count * (rounding + outside * outside);
  }
  return histogram.total === 0 ? 0 : error / histogram.total;
}
