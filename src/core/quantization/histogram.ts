import { type Bins, countInto } from '../tensor/bins.js';
import type { Range } from './range.js';

/** Bins of a calibration histogram: fine enough that one of 256 levels is eight of them. */
export const HISTOGRAM_BINS = 2048;

/** Counts of values over a range known beforehand, so that a stream of any length takes the same memory. */
export class Histogram {
  readonly counts = new Float64Array(HISTOGRAM_BINS);
  total = 0;

  /** @param range - finite, low < high; what lies outside counts in the first or last bin */
  constructor(readonly range: Range) {
    if (!(range.high > range.low && Number.isFinite(range.high - range.low))) throw new RangeError('an empty range');
  }

  get binWidth(): number {
    return (this.range.high - this.range.low) / HISTOGRAM_BINS;
  }

  get bins(): Bins {
    return { low: this.range.low, width: this.binWidth, count: HISTOGRAM_BINS };
  }

  add(values: ArrayLike<number>): void {
    countInto(this.counts, values, this.bins);
    this.total += values.length;
  }

  /** Adds what was counted elsewhere in the same bins. */
  addCounts(counts: Float64Array): void {
    for (let bin = 0; bin < HISTOGRAM_BINS; bin++) {
      this.counts[bin] += counts[bin];
      this.total += counts[bin];
    }
  }

  /** Share of the values outside a range, to the precision of a bin. */
  clipRate({ low, high }: Range): number {
    let outside = 0;
    for (let bin = 0; bin < HISTOGRAM_BINS; bin++) {
      const centre = this.centre(bin);
      if (centre < low || centre > high) outside += this.counts[bin];
    }
    return this.total === 0 ? 0 : outside / this.total;
  }

  centre(bin: number): number {
    return this.range.low + (bin + 0.5) * this.binWidth;
  }
}
