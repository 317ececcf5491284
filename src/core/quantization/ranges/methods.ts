import { entropyRange } from './entropy.js';
import type { Histogram } from './histogram.js';
import { expectedSquaredError } from './quantization-error.js';
import { type Range, within } from './range.js';

/** Chooses the range of an activation from what calibration saw of it. */
export interface RangeMethod {
  readonly id: string;
  readonly label: string;
  /** Undefined for one that needs only the extremes. */
  choose?(histogram: Histogram): Range;
}

export const RANGE_METHOD_IDS = ['minmax', 'entropy', 'percentile', 'mse'] as const;
export type RangeMethodId = (typeof RANGE_METHOD_IDS)[number];

export const RANGE_METHODS: readonly (RangeMethod & { readonly id: RangeMethodId })[] = [
  { id: 'minmax', label: 'everything that was seen' },
  {
    id: 'entropy',
    label: 'least Kullback-Leibler divergence, over all thresholds of a histogram',
    choose: entropyRange,
  },
  { id: 'percentile', label: 'the best of the percentiles 99 to 99.999', choose: percentileRange },
  { id: 'mse', label: 'least squared error', choose: leastSquaresRange },
];

export const rangeMethodOf = (id: RangeMethodId): RangeMethod =>
  RANGE_METHODS.find((candidate) => candidate.id === id)!;

const PERCENTILES = [0.99, 0.999, 0.9999, 0.99999] as const;

/** Cuts the same share from each side that has values, by the percentile of the least squared error. */
export function percentileRange(histogram: Histogram): Range {
  const candidates = PERCENTILES.map((share) => rangeOfShare(histogram, share));
  return leastError(histogram, [histogram.range, ...candidates]);
}

function rangeOfShare(histogram: Histogram, share: number): Range {
  const { range, counts, total, origin, binWidth } = histogram;
  const tail = ((1 - share) * total) / (range.low < 0 ? 2 : 1);
  const end = counts.length - 1;
  let [first, below] = [0, counts[0]];
  while (range.low < 0 && below <= tail && first < end) below += counts[++first];
  let [last, above] = [end, counts[end]];
  while (above <= tail && last > 0) above += counts[--last];
  return within(range, { low: origin + first * binWidth, high: origin + (last + 1) * binWidth });
}

const GRID = 100;
const ROUNDS = 2;

/** Shrinks both ends together, then each alone, to the least expected squared error. */
export function leastSquaresRange(histogram: Histogram): Range {
  const { low, high } = histogram.range;
  const shares = Array.from({ length: GRID }, (_, i) => (i + 1) / GRID);
  let best = leastError(histogram, [
    histogram.range,
    ...shares.map((share) => ({ low: low * share, high: high * share })),
  ]);
  for (let round = 0; round < ROUNDS; round++) {
    const [fixedLow, fixedHigh] = [best.low, best.high];
    best = leastError(histogram, [best, ...shares.map((share) => ({ low: fixedLow, high: high * share }))]);
    best = leastError(histogram, [best, ...shares.map((share) => ({ low: low * share, high: best.high }))]);
    if (best.low === fixedLow && best.high === fixedHigh) break;
  }
  return best;
}

function leastError(histogram: Histogram, candidates: readonly Range[]): Range {
  let best = candidates[0];
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    if (!(candidate.high > candidate.low)) continue;
    const error = expectedSquaredError(histogram, candidate);
    if (error < least) [best, least] = [candidate, error];
  }
  return best;
}
