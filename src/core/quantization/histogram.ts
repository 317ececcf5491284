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

  add(values: ArrayLike<number>): void {
    const { low } = this.range;
    const perUnit = 1 / this.binWidth;
    const { counts } = this;
    for (let i = 0; i < values.length; i++) {
      const bin = Math.floor((values[i] - low) * perUnit);
      counts[bin < 0 ? 0 : bin >= HISTOGRAM_BINS ? HISTOGRAM_BINS - 1 : bin]++;
    }
    this.total += values.length;
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
