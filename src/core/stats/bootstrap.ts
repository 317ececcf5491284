import { collectColumns } from '../bytes/garbage.js';
import { Random } from '../bytes/random.js';
import { turns } from '../run.js';
import { DEFAULT_LEVEL, type Interval } from './interval.js';
import { normalCdf, normalQuantile } from './normal.js';
import { quantileOfSorted } from './quantile.js';
import { type ClusterStatistic, type Clusters, overClusters, type Statistic } from './statistic.js';

/** Resamples unless a caller says otherwise. */
export const DEFAULT_RESAMPLES = 2000;
/** Where more than this share of resamples leave a figure undefined, those that are left no longer show its spread. */
const MAX_UNDEFINED_SHARE = 0.05;
/** Clusters are left out in at most this many equal blocks when the acceleration of BCa is estimated. */
const JACKKNIFE_BLOCKS = 500;

/** Every row a cluster of its own. */
export const rowClusters = (rows: number): Clusters => ({
  of: Int32Array.from({ length: rows }, (_, i) => i),
  count: rows,
});

export interface BootstrapOptions {
  readonly resamples?: number;
  readonly level?: number;
  readonly method?: 'percentile' | 'bca';
  readonly seed: string;
  /** Stops the resampling: what it is for rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A figure with its interval; both null where it is undefined, the interval also where resamples cannot give one. */
export interface Estimate {
  readonly value: number | null;
  readonly ci: Interval | null;
}

/** A figure, and its values over resamples. */
export interface Replicates {
  readonly value: number | null;
  /** In the order of the draws, null where it is undefined: replicates of one call belong together draw by draw. */
  readonly values: readonly (number | null)[];
}

/** Values over the resamples where there is one, ascending. */
export const sortedValues = ({ values }: Replicates): Float64Array =>
  Float64Array.from(values.filter((value) => value !== null)).sort();

/** A function of two figures, over the same draws; `combine` may be null where the function is undefined. */
export function combineReplicates(
  a: Replicates,
  b: Replicates,
  combine: (a: number, b: number) => number | null,
): Replicates {
  const both = (x: number | null, y: number | null) => (x === null || y === null ? null : combine(x, y));
  return { value: both(a.value, b.value), values: a.values.map((x, i) => both(x, b.values[i])) };
}

/**
 * Values of the statistics over resamples of clusters, all statistics over the same draws, so that differences of them are paired.
 * A resample costs at most one pass over the rows a statistic, and of sums over rows one over the clusters: nothing is sorted again.
 *
 * @throws RangeError if there are no clusters
 */
export function replicate(
  statistics: readonly Statistic[],
  clusters: Clusters,
  options: BootstrapOptions,
): Promise<Replicates[]> {
  const { resamples = DEFAULT_RESAMPLES } = options;
  return replicateEach(
    statistics.map((statistic) => ({ statistic, resamples })),
    clusters,
    options,
  );
}

/** As `replicate`, each statistic over so many of the draws: the first ones. @throws RangeError if there are no clusters */
export async function replicateEach(
  statistics: readonly { readonly statistic: Statistic; readonly resamples: number }[],
  clusters: Clusters,
  { seed, signal }: BootstrapOptions,
): Promise<Replicates[]> {
  if (clusters.count < 1) throw new RangeError('no clusters to resample');
  const turn = turns(signal);
  const replicates: { readonly value: number | null; readonly values: (number | null)[] }[] = [];
  // All figures before any resampling: what they are computed from may be given up before what resamples need is made.
  for (const { statistic, resamples } of statistics) {
    replicates.push({ value: statistic(), values: new Array<number | null>(resamples).fill(null) });
    await turn();
  }
  collectColumns(clusters.of.length);
  const ofDraws: ClusterStatistic[] = [];
  for (const { statistic } of statistics) {
    ofDraws.push(overClusters(statistic, clusters));
    await turn();
  }
  collectColumns(clusters.of.length);
  const random = new Random(seed);
  const draws = new Float64Array(clusters.count);
  const most = Math.max(0, ...statistics.map(({ resamples }) => resamples));
  for (let resample = 0; resample < most; resample++) {
    random.countDraws(draws);
    for (const [i, { values }] of replicates.entries()) {
      if (resample < values.length) values[resample] = ofDraws[i](draws, resample);
    }
    await turn();
  }
  return replicates;
}

/** The middle `level` of the resamples. */
export function percentileInterval(sorted: Float64Array, level = DEFAULT_LEVEL): Interval {
  return [quantileOfSorted(sorted, (1 - level) / 2), quantileOfSorted(sorted, (1 + level) / 2)];
}

/** Share of values below `x`, those equal to it one half. */
function shareBelow(sorted: Float64Array, x: number): number {
  let below = 0;
  let equal = 0;
  for (const value of sorted) {
    if (value < x) below++;
    else if (value === x) equal++;
  }
  return (below + equal / 2) / sorted.length;
}

/**
 * The bias-corrected and accelerated interval.
 *
 * @param jackknife - values of the statistic with one cluster (or block of clusters) left out
 * @returns null where all resamples lie on one side of the value, so that the bias has no estimate
 * @see Efron (1987); scipy.stats.bootstrap(method='BCa')
 */
export function bcaInterval(
  value: number,
  sorted: Float64Array,
  jackknife: Float64Array,
  level = DEFAULT_LEVEL,
): Interval | null {
  const share = shareBelow(sorted, value);
  if (!(share > 0 && share < 1)) return null;
  const bias = normalQuantile(share);
  const mean = jackknife.reduce((sum, x) => sum + x, 0) / jackknife.length;
  const cubes = jackknife.reduce((sum, x) => sum + (mean - x) ** 3, 0);
  const squares = jackknife.reduce((sum, x) => sum + (mean - x) ** 2, 0);
  const acceleration = squares > 0 ? cubes / (6 * squares ** 1.5) : 0;
  const end = (p: number): number => {
    const shifted = bias + normalQuantile(p);
    return quantileOfSorted(sorted, normalCdf(bias + shifted / (1 - acceleration * shifted)));
  };
  return [end((1 - level) / 2), end((1 + level) / 2)];
}

/** Values of a statistic with each block of clusters left out in turn; undefined ones are left out. */
async function jackknifeValues(
  statistic: Statistic,
  clusters: Clusters,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const { count } = clusters;
  const blocks = Math.min(count, JACKKNIFE_BLOCKS);
  const ofDraws = overClusters(statistic, clusters);
  const draws = new Float64Array(count).fill(1);
  const values: number[] = [];
  const turn = turns(signal);
  const startOf = (block: number): number => Math.ceil((block * count) / blocks);
  for (let block = 0; block < blocks; block++) {
    draws.fill(0, startOf(block), startOf(block + 1));
    const value = ofDraws(draws);
    if (value !== null) values.push(value);
    draws.fill(1, startOf(block), startOf(block + 1));
    await turn();
  }
  return Float64Array.from(values);
}

/**
 * The statistics with intervals by cluster bootstrap: percentile, or BCa.
 *
 * @returns an interval of null with fewer than two clusters, or where the figure is undefined on over 5 % of the resamples
 * @throws RangeError if there are no clusters
 * @see Efron and Tibshirani (1993); Field and Welsh (2007) for clusters
 */
export async function bootstrap(
  statistics: readonly Statistic[],
  clusters: Clusters,
  options: BootstrapOptions,
): Promise<Estimate[]> {
  const { level = DEFAULT_LEVEL, method = 'percentile', signal } = options;
  const estimates: Estimate[] = [];
  for (const [s, replicates] of (await replicate(statistics, clusters, options)).entries()) {
    const estimate = estimateOf(replicates, clusters, level);
    const { value, ci } = estimate;
    if (method === 'percentile' || value === null || ci === null) estimates.push(estimate);
    else {
      const jackknife = await jackknifeValues(statistics[s], clusters, signal);
      estimates.push({ value, ci: bcaInterval(value, sortedValues(replicates), jackknife, level) });
    }
  }
  return estimates;
}

/** A figure with the percentile interval of its replicates; without one as `bootstrap` says. */
export function estimateOf(replicates: Replicates, { count }: Clusters, level = DEFAULT_LEVEL): Estimate {
  const { value, values } = replicates;
  const sorted = sortedValues(replicates);
  const undefinedResamples = values.length - sorted.length;
  const unstable = undefinedResamples > MAX_UNDEFINED_SHARE * values.length || sorted.length === 0;
  return { value, ci: value === null || count < 2 || unstable ? null : percentileInterval(sorted, level) };
}
