/** Bins on each side of 0; the larger side of what is counted fills more than half of them. */
const SIDE_BINS = 4096;
const ALL_BINS = 2 * SIDE_BINS;
const MASK = ALL_BINS - 1;
/** Bits of the float32 infinity; those of NaN are larger. */
const INFINITY_BITS = 0x7f800000;
const SIGN_BIT = 0x80000000 | 0;

/** Counts of a stream of values in bins of one width, and its extremes. */
export interface BinCounts {
  /** Of a bin: a power of two; 0 where nothing but zeros came. */
  readonly width: number;
  /** Bin i holds values from (i - counts.length / 2) * width up to the next: 0 is the lower edge of the middle one. */
  readonly counts: Float64Array;
  /** The smallest value or 0, and the largest or 0, exact; NaN where a value was NaN or infinite. */
  readonly low: number;
  readonly high: number;
}

/**
 * Counts values whose range nobody knows yet. Widths are powers of two and edges their multiples, so that two bins of one width
 * are one of the next: where a value lies outside, bins are folded two by two. The width in the end is the smallest that holds
 * all, and the result the same in whatever order and pieces the values come.
 */
export class BinCounter implements BinCounts {
  readonly counts = new Float64Array(ALL_BINS);
  width = 0;
  low = 0;
  high = 0;

  add(values: Float32Array): void {
    const { low, high } = extremesOf(values);
    this.low = Math.min(this.low, low);
    this.high = Math.max(this.high, high);
    if (Number.isNaN(this.low)) return;
    this.growTo(Math.max(-low, high));
    if (this.width > 0) countInto(this.counts, values, 1 / this.width);
    else this.counts[SIDE_BINS] += values.length;
  }

  /** Adds what another counter has seen. */
  merge({ width, counts, low, high }: BinCounts): void {
    this.low = Math.min(this.low, low);
    this.high = Math.max(this.high, high);
    const folded = Float64Array.from(counts);
    if (this.width === 0) this.width = width;
    for (; this.width < width; this.width *= 2) foldBins(this.counts);
    for (let from = width; from > 0 && from < this.width; from *= 2) foldBins(folded);
    for (let bin = 0; bin < ALL_BINS; bin++) this.counts[bin] += folded[bin];
  }

  private growTo(magnitude: number): void {
    if (magnitude === 0) return;
    // One less than it is: a logarithm may be rounded up.
    if (this.width === 0) this.width = 2 ** (Math.floor(Math.log2(magnitude / SIDE_BINS)) - 1);
    for (; magnitude >= this.width * SIDE_BINS; this.width *= 2) foldBins(this.counts);
  }
}

/** Bins put together two by two, towards the middle, in place; what they held before stays countable at twice the width. */
export function foldBins(counts: Float64Array): void {
  const side = counts.length / 2;
  for (let bin = 0; bin < side; bin++) {
    const from = 2 * bin;
    const inside = from < side;
    counts[side + bin] = inside ? counts[side + from] + counts[side + from + 1] : 0;
    counts[side - 1 - bin] = inside ? counts[side - 1 - from] + counts[side - 2 - from] : 0;
  }
}

/**
 * The smallest value or 0, and the largest or 0; NaN where one is NaN or infinite. By bits, which are faster to compare: those of
 * positive floats are in the order of their values, those of negative ones without the sign too, and infinity and NaN come last.
 */
export function extremesOf(values: Float32Array): { low: number; high: number } {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let [highest, lowest] = [0, 0];
  for (let i = 0; i < bits.length; i++) {
    const own = bits[i];
    const negated = own ^ SIGN_BIT;
    if (own > highest) highest = own;
    if (negated > lowest) lowest = negated;
  }
  if (highest >= INFINITY_BITS || lowest >= INFINITY_BITS) return { low: Number.NaN, high: Number.NaN };
  const [high, magnitude] = new Float32Array(Int32Array.of(highest, lowest).buffer);
  return { low: 0 - magnitude, high };
}

/** Adds values to the counts of their bins; all lie in one. In two halves: neighbours of one bin would wait for each other's count. */
function countInto(counts: Float64Array, values: Float32Array, perUnit: number): void {
  const halves = new Uint32Array(2 * ALL_BINS);
  const even = values.length & ~1;
  for (let i = 0; i < even; i += 2) {
    halves[(Math.floor(values[i] * perUnit) + SIDE_BINS) & MASK]++;
    halves[((Math.floor(values[i + 1] * perUnit) + SIDE_BINS) & MASK) | ALL_BINS]++;
  }
  if (even < values.length) halves[(Math.floor(values[even] * perUnit) + SIDE_BINS) & MASK]++;
  for (let bin = 0; bin < ALL_BINS; bin++) counts[bin] += halves[bin] + halves[bin + ALL_BINS];
}
