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
  const cumulative = cumulate(counts);
  let best = { start: 0, end: HISTOGRAM_BINS };
  let least = Number.POSITIVE_INFINITY;
  const fullError = expectedSquaredError(histogram, histogram.range);
  for (let reach = 1; ; reach++) {
    const start = Math.max(0, zeroBin - reach);
    const end = Math.min(HISTOGRAM_BINS, zeroBin + reach + 1);
    if (end - start >= LEVELS && expectedSquaredError(histogram, rangeOf(histogram, start, end)) <= fullError) {
      const divergence = divergenceOf(counts, cumulative, start, end);
      if (divergence < least) [best, least] = [{ start, end }, divergence];
    }
    if (start === 0 && end === HISTOGRAM_BINS) break;
  }
  return rangeOf(histogram, best.start, best.end);
}

const rangeOf = ({ range: { low }, binWidth }: Histogram, start: number, end: number): Range => ({
  low: Math.min(0, low + start * binWidth),
  high: Math.max(0, low + end * binWidth),
});

function cumulate(counts: Float64Array): Float64Array {
  const sums = new Float64Array(counts.length + 1);
  for (let i = 0; i < counts.length; i++) sums[i + 1] = sums[i] + counts[i];
  return sums;
}

/**
 * KL divergence of the bins [start, end), outliers counted in the edge bins, from the same bins after merging them into levels:
 * each level spreads its count over its bins that are not empty. What is clipped is missing there, which is what clipping costs.
 */
function divergenceOf(counts: Float64Array, cumulative: Float64Array, start: number, end: number): number {
  const total = cumulative[HISTOGRAM_BINS];
  const inside = cumulative[end] - cumulative[start];
  if (total === 0 || inside === 0) return Number.POSITIVE_INFINITY;
  const below = cumulative[start];
  const above = total - cumulative[end];
  const perLevel = (end - start) / LEVELS;
  let divergence = 0;
  for (let level = 0; level < LEVELS; level++) {
    const from = start + Math.floor(level * perLevel);
    const to = start + Math.floor((level + 1) * perLevel);
    let filled = 0;
    for (let bin = from; bin < to; bin++) if (counts[bin] > 0) filled++;
    const spread = (cumulative[to] - cumulative[from]) / Math.max(1, filled) / inside;
    for (let bin = from; bin < to; bin++) {
      const outliers = (bin === start ? below : 0) + (bin === end - 1 ? above : 0);
      const p = (counts[bin] + outliers) / total;
      if (p === 0) continue;
      // An edge bin that only outliers fill has no counterpart: as little as a half of one value stands for it.
      const q = counts[bin] > 0 ? spread : 0.5 / total;
      divergence += p * Math.log(p / q);
    }
  }
  return divergence;
}
