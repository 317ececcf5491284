import {
  type BootstrapOptions,
  combineReplicates,
  percentileInterval,
  type Replicates,
  replicate,
  sortedValues,
} from './bootstrap.js';
import { DEFAULT_LEVEL, type Interval } from './interval.js';
import { twoSidedP } from './normal.js';
import { type Clusters, inBlocks, type Statistic } from './statistic.js';

export type Verdict = 'better' | 'worse' | 'undecided';

/** How a model compares with a baseline on the same rows. */
export interface PairedComparison {
  /** Model less baseline; null where either is undefined. */
  readonly difference: number | null;
  readonly ci: Interval | null;
  /** Two-sided. @see bootstrapP */
  readonly pValue: number | null;
  /** `undecided` where the interval includes 0, or there is none. */
  readonly verdict: Verdict;
}

/**
 * Compares a statistic of two models by bootstrap over the same draws of clusters: what the rows have in common cancels.
 *
 * @param direction - whether a higher or a lower statistic is better
 * @throws RangeError if there are no clusters
 */
export async function comparePaired(
  model: Statistic,
  baseline: Statistic,
  direction: 'higher' | 'lower',
  clusters: Clusters,
  options: BootstrapOptions,
): Promise<PairedComparison> {
  const [ofModel, ofBaseline] = await replicate([model, baseline], inBlocks(clusters, options.seed), options);
  return compareReplicates(ofModel, ofBaseline, direction, clusters, options.level);
}

/** Compares two statistics by what `replicate` gave of both in one call. */
export function compareReplicates(
  model: Replicates,
  baseline: Replicates,
  direction: 'higher' | 'lower',
  clusters: Clusters,
  level = DEFAULT_LEVEL,
): PairedComparison {
  const difference = combineReplicates(model, baseline, (a, b) => a - b);
  const { value, values } = difference;
  const sorted = sortedValues(difference);
  if (value === null || clusters.count < 2 || sorted.length < values.length) {
    return { difference: value, ci: null, pValue: null, verdict: 'undecided' };
  }
  const ci = percentileInterval(sorted, level);
  return { difference: value, ci, pValue: bootstrapP(sorted, clusters.count), verdict: verdictOf(ci, direction) };
}

/**
 * Two-sided p-value that the statistic is 0: twice the smaller share of resamples on the other side of it. Where none lies there, the
 * normal tail at their mean and spread, so that a correction for many figures does not call a gap chance for want of resamples; but
 * no less than the signs of so many clusters could show.
 *
 * @param clusters - that were resampled
 */
export function bootstrapP(sorted: Float64Array, clusters: number): number {
  let atMost = 0;
  let atLeast = 0;
  for (const value of sorted) {
    if (value <= 0) atMost++;
    if (value >= 0) atLeast++;
  }
  const resampled = Math.min(1, (2 * (Math.min(atMost, atLeast) + 1)) / (sorted.length + 1));
  if (Math.min(atMost, atLeast) > 0) return resampled;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const spread = Math.sqrt(sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length);
  return Math.min(resampled, Math.max(twoSidedP(mean / spread), 2 ** (1 - clusters), Number.MIN_VALUE));
}

/** What an interval of model less baseline says. */
export function verdictOf([low, high]: Interval, direction: 'higher' | 'lower'): Verdict {
  if (low <= 0 && high >= 0) return 'undecided';
  return low > 0 === (direction === 'higher') ? 'better' : 'worse';
}
