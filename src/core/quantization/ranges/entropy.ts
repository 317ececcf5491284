import { type Histogram, sumsBefore } from './histogram.js';
import { expectedSquaredError } from './quantization-error.js';
import { type Range, within } from './range.js';

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
  const { binWidth, counts, origin, range } = histogram;
  const bins = counts.length;
  const zeroBin = Math.min(bins - 1, Math.max(0, Math.round(-origin / binWidth)));
  const sums = cumulate(counts);
  const fullError = expectedSquaredError(histogram, range);
  let best = range;
  let least = Number.POSITIVE_INFINITY;
  // The wide ones first: they are near the least, and then narrow ones need not be summed to their end.
  for (let reach = Math.max(zeroBin, bins - 1 - zeroBin); reach > 0; reach--) {
    const start = Math.max(0, zeroBin - reach);
    const end = Math.min(bins, zeroBin + reach + 1);
    if (end - start < LEVELS) break;
    const divergence = divergenceOf(counts, sums, start, end, least);
    if (divergence > least) continue;
    const candidate = within(range, { low: origin + start * binWidth, high: origin + end * binWidth });
    if (expectedSquaredError(histogram, candidate) <= fullError) [best, least] = [candidate, divergence];
  }
  return best;
}

/** Sums over the bins before each: with them the divergence of a level takes no loop over its bins. */
interface Sums {
  readonly counts: Float64Array;
  /** Of c ln c. */
  readonly logs: Float64Array;
  /** Bins that are not empty. */
  readonly filled: Float64Array;
}

const cumulate = (bins: Float64Array): Sums => ({
  counts: sumsBefore(bins, (count) => count),
  logs: sumsBefore(bins, (count) => (count > 0 ? count * Math.log(count) : 0)),
  filled: sumsBefore(bins, (count) => (count > 0 ? 1 : 0)),
});

/**
 * KL divergence of the bins [start, end), outliers counted in the edge bins, from the same bins after merging them into levels:
 * each level spreads its count over its bins that are not empty. What is clipped is missing there, which is what clipping costs.
 * @returns something above `least` as soon as the divergence is known to be
 */
function divergenceOf(counts: Float64Array, sums: Sums, start: number, end: number, least: number): number {
  const total = sums.counts[counts.length];
  const inside = sums.counts[end] - sums.counts[start];
  if (total === 0 || inside === 0) return Number.POSITIVE_INFINITY;
  const perLevel = (end - start) / LEVELS;
  const first = { from: start, to: start + Math.floor(perLevel) };
  const last = { from: start + Math.floor((LEVELS - 1) * perLevel), to: end };
  const below = outlierTerm(sums, first, counts[start], sums.counts[start], inside);
  const above = outlierTerm(sums, last, counts[end - 1], total - sums.counts[end], inside);
  const outside = below + above - (inside / total) * Math.log(total / inside);
  const most = (least - outside) * total;
  // No level takes anything away: a sum of logarithms is at least that of their mean.
  let sum = 0;
  let from = start;
  for (let level = 1; level <= LEVELS && sum <= most; level++) {
    const to = start + Math.floor(level * perLevel);
    const count = sums.counts[to] - sums.counts[from];
    const spread = count / (sums.filled[to] - sums.filled[from]);
    if (count > 0) sum += sums.logs[to] - sums.logs[from] - count * Math.log(spread);
    from = to;
  }
  return outside + sum / total;
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
  const total = sums.counts[sums.counts.length - 1];
  const spread = (sums.counts[level.to] - sums.counts[level.from]) / (sums.filled[level.to] - sums.filled[level.from]);
  // An edge bin that only outliers fill has no counterpart: as little as a half of one value stands for it.
  const q = count > 0 ? spread / inside : 0.5 / total;
  return termOf((count + outliers) / total, q) - termOf(count / total, q);
}

const termOf = (p: number, q: number): number => (p === 0 ? 0 : p * Math.log(p / q));
