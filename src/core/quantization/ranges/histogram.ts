import { type BinCounts, foldBins } from '../../tensor/bins.js';
import type { Range } from './range.js';

/** Most bins of a calibration histogram; more than half as many span the range, so that one of 256 levels is at least eight. */
const MOST_BINS = 4096;

/** What calibration counted of a value, over the bins that its range touches. */
export class Histogram {
  /** What was seen, with 0 in it. */
  readonly range: Range;
  readonly binWidth: number;
  readonly counts: Float64Array;
  /** Lower edge of the first bin, a multiple of the width; at most `range.low`. */
  readonly origin: number;
  readonly total: number;
  private readonly sums: BinSums;

  /** @param counted - values with a finite range that is not 0 alone */
  constructor({ counts, width, low, high }: BinCounts) {
    if (!(width > 0 && Number.isFinite(high - low))) throw new RangeError('an empty range');
    this.range = { low, high };
    const whole = Float64Array.from(counts);
    let binWidth = width;
    for (; binsAcross(this.range, binWidth) > MOST_BINS; binWidth *= 2) foldBins(whole);
    const first = Math.floor(low / binWidth);
    const start = whole.length / 2 + first;
    this.binWidth = binWidth;
    this.origin = first * binWidth;
    this.counts = whole.subarray(start, start + binsAcross(this.range, binWidth));
    this.sums = cumulate(this.counts);
    this.total = this.sums.counts[this.counts.length];
  }

  /** Share of the values outside a range, to the precision of a bin. */
  clipRate(range: Range): number {
    const { counts } = this.sums;
    const [first, last] = this.inside(range);
    return (this.total - (counts[last] - counts[first])) / this.total;
  }

  /** Mean squared distance of the values to a range: 0 for those inside. */
  squaredExcess(range: Range): number {
    const { counts, centres, squares } = this.sums;
    const bins = this.counts.length;
    const [first, last] = this.inside(range);
    const below = (range.low - this.origin) / this.binWidth;
    const above = (range.high - this.origin) / this.binWidth;
    const low = squares[first] - 2 * below * centres[first] + below * below * counts[first];
    const high =
      squares[bins] -
      squares[last] -
      2 * above * (centres[bins] - centres[last]) +
      above * above * (counts[bins] - counts[last]);
    return (Math.max(0, low + high) * this.binWidth ** 2) / this.total;
  }

  /** The bins whose centres lie in a range, from the first up to before the last. */
  private inside({ low, high }: Range): [number, number] {
    const bins = this.counts.length;
    const place = (value: number): number => (value - this.origin) / this.binWidth - 0.5;
    // The outer bins reach beyond the values: their centres do not tell.
    const first = low <= this.range.low ? 0 : Math.min(bins, Math.max(0, Math.ceil(place(low))));
    return [first, high >= this.range.high ? bins : Math.min(bins, Math.max(first, Math.floor(place(high)) + 1))];
  }
}

const binsAcross = ({ low, high }: Range, width: number): number =>
  Math.floor(high / width) - Math.floor(low / width) + 1;

/** Sums over the bins before each, so that what lies outside a range takes no loop; places are in bins, so that sums stay exact. */
interface BinSums {
  readonly counts: Float64Array;
  /** Of count times centre. */
  readonly centres: Float64Array;
  /** Of count times centre squared. */
  readonly squares: Float64Array;
}

const cumulate = (bins: Float64Array): BinSums => ({
  counts: sumsBefore(bins, (count) => count),
  centres: sumsBefore(bins, (count, bin) => count * (bin + 0.5)),
  squares: sumsBefore(bins, (count, bin) => count * (bin + 0.5) * (bin + 0.5)),
});

/** Of each bin, and of all at last, what the bins before it add up to. */
export function sumsBefore(bins: Float64Array, term: (count: number, bin: number) => number): Float64Array {
  const sums = new Float64Array(bins.length + 1);
  for (let bin = 0; bin < bins.length; bin++) sums[bin + 1] = sums[bin] + term(bins[bin], bin);
  return sums;
}
