import { HISTOGRAM_BINS, type Histogram } from './histogram.js';
import { expectedSquaredError } from './quantization-error.js';
import type { Range } from './range.js';

/** Levels that 8 bits have. */
const LEVELS = 256;

/**
 * The range whose 256 levels tell most of the distribution: least Kullback-Leibler divergence between the clipped histogram
 * and what is left of it after merging its bins into levels. Ranges grow around 0 by a bin a side; all are tried, unlike in
 * onnxruntime, where as many bins as levels leave one candidate, the full range. Divergence counts values that are cut, not how
 * far they lie out; so a range with a larger squared error than the full one is not taken.
 * @see Migacz, "8-bit Inference with TensorRT" (2017)
 */
export function entropyRange(histogram: Histogram): Range {
  const { low } = histogram.range;
  const { binWidth, counts } = histogram;
  const zeroBin = Math.min(HISTOGRAM_BINS - 1, Math.max(0, Math.floor(-low / binWidth)));
  const sums = cumulate(counts);
  let best = { start: 0, end: HISTOGRAM_BINS };
  let least = Number.POSITIVE_INFINITY;
  const fullError = expectedSquaredError(histogram, histogram.range);
  for (let reach = 1; ; reach++) {
    const start = Math.max(0, zeroBin - reach);
    const end = Math.min(HISTOGRAM_BINS, zeroBin + reach + 1);
    if (end - start >= LEVELS) {
      const divergence = divergenceOf(counts, sums, start, end);
      if (divergence < least && expectedSquaredError(histogram, rangeOf(histogram, start, end)) <= fullError)
        [best, least] = [{ start, end }, divergence];
    }
    if (start === 0 && end === HISTOGRAM_BINS) break;
  }
  return rangeOf(histogram, best.start, best.end);
}

const rangeOf = ({ range: { low }, binWidth }: Histogram, start: number, end: number): Range => ({
  low: Math.min(0, low + start * binWidth),
  high: Math.max(0, low + end * binWidth),
});

/** Sums over the bins before each: with them the divergence of a level takes no loop over its bins. */
interface Sums {
  readonly counts: Float64Array;
  /** Of c ln c. */
  readonly logs: Float64Array;
  /** Bins that are not empty. */
  readonly filled: Float64Array;
}

function cumulate(counts: Float64Array): Sums {
  const [sums, logs, filled] = Array.from({ length: 3 }, () => new Float64Array(counts.length + 1));
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i];
    sums[i + 1] = sums[i] + count;
    logs[i + 1] = logs[i] + (count > 0 ? count * Math.log(count) : 0);
    filled[i + 1] = filled[i] + (count > 0 ? 1 : 0);
  }
  return { counts: sums, logs, filled };
}

/**
 * KL divergence of the bins [start, end), outliers counted in the edge bins, from the same bins after merging them into levels:
 * each level spreads its count over its bins that are not empty. What is clipped is missing there, which is what clipping costs.
 */
function divergenceOf(counts: Float64Array, sums: Sums, start: number, end: number): number {
  const total = sums.counts[HISTOGRAM_BINS];
  const inside = sums.counts[end] - sums.counts[start];
  if (total === 0 || inside === 0) return Number.POSITIVE_INFINITY;
  const perLevel = (end - start) / LEVELS;
  const logTotal = Math.log(total / inside);
  let sum = 0;
  let from = start;
  for (let level = 1; level <= LEVELS; level++) {
    const to = start + Math.floor(level * perLevel);
    const count = sums.counts[to] - sums.counts[from];
    const spread = count / (sums.filled[to] - sums.filled[from]);
    if (count > 0) sum += sums.logs[to] - sums.logs[from] - count * (logTotal + Math.log(spread));
    from = to;
  }
  const first = { from: start, to: start + Math.floor(perLevel) };
  const last = { from: start + Math.floor((LEVELS - 1) * perLevel), to: end };
  const below = outlierTerm(sums, first, counts[start], sums.counts[start], inside);
  const above = outlierTerm(sums, last, counts[end - 1], total - sums.counts[end], inside);
  return sum / total + below + above;
}

/** What outliers that are counted in an edge bin add to the divergence. */
function outlierTerm(
  sums: Sums,
  level: { readonly from: number; readonly to: number },
  count: number,
  outliers: number,
  inside: number,
): number {
  if (outliers === 0) return 0;
  const total = sums.counts[HISTOGRAM_BINS];
  const spread = (sums.counts[level.to] - sums.counts[level.from]) / (sums.filled[level.to] - sums.filled[level.from]);
  // An edge bin that only outliers fill has no counterpart: as little as a half of one value stands for it.
  const q = count > 0 ? spread / inside : 0.5 / total;
  return termOf((count + outliers) / total, q) - termOf(count / total, q);
}

const termOf = (p: number, q: number): number => (p === 0 ? 0 : p * Math.log(p / q));
