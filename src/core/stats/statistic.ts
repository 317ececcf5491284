import { Random } from '../bytes/random.js';

/** Which rows are resampled together. */
export interface Clusters {
  /** Cluster of each row, codes 0 to `count` - 1. */
  readonly of: Int32Array;
  readonly count: number;
}

/**
 * A figure as a function of how often each cluster counts.
 *
 * @param draw - a number of its own for each content that the caller gives `draws`: statistics that share work do it once a draw.
 *   Without it nothing is remembered.
 */
export type ClusterStatistic = (draws: Float64Array, draw?: number) => number | null;

/**
 * A figure of rows that are already prepared (sorted, binned, summed), as a function of how often each row counts. Without
 * weights every row counts once. Returns null where the figure is undefined, say the AUC of one class only: never NaN.
 * Each call takes O(n) (Kendall: O(n log n)), so a bootstrap only changes the weights.
 */
export interface Statistic {
  (weights?: Float64Array): number | null;
  /** The same figure under weights that are one a cluster, where that can be had for less than one pass over weighted rows. */
  overClusters?(clusters: Clusters): ClusterStatistic;
  /** Of a ratio of sums over rows: what they are sums of, row by row. */
  terms?(): RatioTerms;
}

/** A figure that is the sum of `numerator` over the sum of `denominator`. */
export interface RatioTerms {
  readonly numerator: Float64Array;
  readonly denominator: Float64Array;
}

/** What is computed of a draw, computed once for all that ask for it: the last numbered draw is remembered. */
export function oncePerDraw<T>(
  compute: (draws: Float64Array, draw?: number) => T,
): (draws: Float64Array, draw?: number) => T {
  let last: { readonly draws: Float64Array; readonly draw: number; readonly result: T } | null = null;
  return (draws, draw) => {
    if (draw === undefined) return compute(draws);
    if (last?.draws !== draws || last.draw !== draw) last = { draws, draw, result: compute(draws, draw) };
    return last.result;
  };
}

/** Rows in the order of their clusters. */
export interface ClusterRows {
  readonly order: Uint32Array;
  /** Where in that order the rows of each cluster begin, and after the last the number of rows. */
  readonly begins: Uint32Array;
  /** A column in that order; the same array for the same column. */
  inOrder(column: Float64Array): Float64Array;
}

const ROWS = new WeakMap<Clusters, ClusterRows>();

/** The rows by cluster, those of one in their order: made once for the clusters. */
export function rowsByCluster(clusters: Clusters): ClusterRows {
  const known = ROWS.get(clusters);
  if (known) return known;
  const { of, count } = clusters;
  const begins = new Uint32Array(count + 1);
  for (let row = 0; row < of.length; row++) begins[of[row] + 1]++;
  for (let cluster = 0; cluster < count; cluster++) begins[cluster + 1] += begins[cluster];
  const next = begins.slice();
  const order = new Uint32Array(of.length);
  for (let row = 0; row < of.length; row++) order[next[of[row]]++] = row;
  const columns = new WeakMap<Float64Array, Float64Array>();
  const inOrder = (column: Float64Array): Float64Array => {
    const taken = columns.get(column) ?? new Float64Array(order.length);
    if (!columns.has(column)) for (let i = 0; i < taken.length; i++) taken[i] = column[order[i]];
    columns.set(column, taken);
    return taken;
  };
  const made = { order, begins, inOrder };
  ROWS.set(clusters, made);
  return made;
}

/** More clusters than this are resampled in as many blocks. */
const MOST_BLOCKS = 2 ** 14;

/**
 * Of very many clusters, blocks of as many of them each, put together by lot: a resample then costs the blocks. Clusters are
 * independent, so blocks of them are, and the spread over resamples is that of clusters, off by the chance of the lot alone: half of
 * one per cent of a standard error.
 *
 * @param seed - of the lot
 * @returns the clusters themselves where there are few
 */
export function inBlocks(clusters: Clusters, seed: string): Clusters {
  const { of, count } = clusters;
  if (count <= MOST_BLOCKS) return clusters;
  const block = new Int32Array(count);
  for (let cluster = 0; cluster < count; cluster++) block[cluster] = cluster % MOST_BLOCKS;
  new Random(`${seed}/blocks`).shuffle(block);
  const ofRows = new Int32Array(of.length);
  for (let row = 0; row < of.length; row++) ofRows[row] = block[of[row]];
  return { of: ofRows, count: MOST_BLOCKS };
}

/** A statistic as a function of how often each cluster counts, whatever it knows of clusters. */
export function overClusters(statistic: Statistic, clusters: Clusters): ClusterStatistic {
  if (statistic.overClusters) return statistic.overClusters(clusters);
  const { of } = clusters;
  const weights = new Float64Array(of.length);
  return (draws) => {
    for (let i = 0; i < weights.length; i++) weights[i] = draws[of[i]];
    return statistic(weights);
  };
}

/** Sum of `numerator` over sum of `denominator`, both weighted by row; null where the latter is 0, or a sum overflows. */
export function ratioOfSums(numerator: Float64Array, denominator: Float64Array): Statistic {
  const statistic: Statistic = (weights = new Float64Array(numerator.length).fill(1)) =>
    weightedRatio(numerator, denominator, weights);
  // Rows of one cluster count alike: added up once, a resample costs the clusters and not the rows.
  statistic.overClusters = (clusters) =>
    ratioOfDraws(sumByCluster(numerator, clusters), sumByCluster(denominator, clusters));
  statistic.terms = () => ({ numerator, denominator });
  return statistic;
}

/** By itself, so that it keeps nothing of the rows alive. */
const ratioOfDraws =
  (above: Float64Array, below: Float64Array): ClusterStatistic =>
  (draws) =>
    weightedRatio(above, below, draws);

/** A ratio of sums over the rows whose code is `code`, as a function of the weights of all rows: no rows are copied. */
export function ratioAmong(
  { numerator, denominator }: RatioTerms,
  codes: Int32Array | Uint8Array,
  code: number,
): Statistic {
  const statistic: Statistic = (weights) => {
    let [above, below] = [0, 0];
    for (let row = 0; row < codes.length; row++) {
      if (codes[row] !== code) continue;
      const weight = weights === undefined ? 1 : weights[row];
      above += weight * numerator[row];
      below += weight * denominator[row];
    }
    return ratioOrNull(above, below);
  };
  // Only the clusters that have such a row, of which there may be few.
  statistic.overClusters = ({ of, count }) => {
    const place = new Int32Array(count).fill(-1);
    for (let row = 0; row < codes.length; row++) if (codes[row] === code) place[of[row]] = 0;
    let size = 0;
    for (let cluster = 0; cluster < count; cluster++) if (place[cluster] === 0) place[cluster] = size++;
    const which = new Int32Array(size);
    for (let cluster = 0; cluster < count; cluster++) if (place[cluster] >= 0) which[place[cluster]] = cluster;
    const [above, below] = [new Float64Array(size), new Float64Array(size)];
    for (let row = 0; row < codes.length; row++) {
      if (codes[row] !== code) continue;
      above[place[of[row]]] += numerator[row];
      below[place[of[row]]] += denominator[row];
    }
    return (draws) => drawnRatio(above, below, which, draws);
  };
  return statistic;
}

function drawnRatio(
  numerator: Float64Array,
  denominator: Float64Array,
  which: Int32Array,
  draws: Float64Array,
): number | null {
  let [above, below] = [0, 0];
  for (let i = 0; i < which.length; i++) {
    const weight = draws[which[i]];
    above += weight * numerator[i];
    below += weight * denominator[i];
  }
  return ratioOrNull(above, below);
}

/** Null where nothing counts, or a sum overflows. */
function ratioOrNull(above: number, below: number): number | null {
  const ratio = above / below;
  return below > 0 && Number.isFinite(ratio) ? ratio : null;
}

function weightedRatio(numerator: Float64Array, denominator: Float64Array, weights: Float64Array): number | null {
  let [above, below] = [0, 0];
  for (let i = 0; i < weights.length; i++) {
    above += weights[i] * numerator[i];
    below += weights[i] * denominator[i];
  }
  return ratioOrNull(above, below);
}

function sumByCluster(values: Float64Array, { of, count }: Clusters): Float64Array {
  const sums = new Float64Array(count);
  for (let i = 0; i < values.length; i++) sums[of[i]] += values[i];
  return sums;
}

/**
 * A statistic that takes its rows in an order of its own.
 *
 * @param compute - gets counts, and where in them the count of each row in that order is; without counts every row counts once
 */
export function inOrder(
  order: Uint32Array,
  compute: (counts: Float64Array | undefined, at: Uint32Array) => number | null,
): Statistic {
  const statistic: Statistic = (weights) => compute(weights, order);
  // A count a cluster is a short table, which stays in the cache where weights of a million rows in random order do not.
  statistic.overClusters = ({ of }) => {
    const clusterAt = order.map((row) => of[row]);
    return (draws) => compute(draws, clusterAt);
  };
  return statistic;
}

/** A function of a statistic where that is defined. */
export function mapStatistic(statistic: Statistic, map: (value: number) => number): Statistic {
  const mapped =
    <Inputs extends unknown[]>(of: (...inputs: Inputs) => number | null) =>
    (...inputs: Inputs): number | null => {
      const value = of(...inputs);
      return value === null ? null : map(value);
    };
  const result: Statistic = mapped(statistic);
  result.overClusters = (clusters) => mapped(overClusters(statistic, clusters));
  return result;
}

/** The statistic of `rows` only, as a function of the weights of all rows: for groups, which share the draws of the whole. */
export function ofSubset(statistic: Statistic, rows: ArrayLike<number>): Statistic {
  const subset = new Float64Array(rows.length);
  const result: Statistic = (weights) => {
    if (weights === undefined) return statistic();
    for (let i = 0; i < subset.length; i++) subset[i] = weights[rows[i]];
    return statistic(subset);
  };
  result.overClusters = ({ of, count }) =>
    overClusters(statistic, { of: Int32Array.from(rows, (row) => of[row]), count });
  return result;
}

/** The statistic where each row counts so much more, whatever else it counts. */
export function weighted(statistic: Statistic, weight: Float64Array): Statistic {
  const product = new Float64Array(weight.length);
  return (weights) => {
    for (let i = 0; i < product.length; i++) product[i] = weight[i] * (weights === undefined ? 1 : weights[i]);
    return statistic(product);
  };
}

/** `a - b` under the same weights: null where either is undefined. */
export function differenceOf(a: Statistic, b: Statistic): Statistic {
  const less =
    <Inputs extends unknown[]>(
      first: (...inputs: Inputs) => number | null,
      second: (...inputs: Inputs) => number | null,
    ) =>
    (...inputs: Inputs): number | null => {
      const from = first(...inputs);
      const taken = from === null ? null : second(...inputs);
      return from === null || taken === null ? null : from - taken;
    };
  const result: Statistic = less(a, b);
  result.overClusters = (clusters) => less(overClusters(a, clusters), overClusters(b, clusters));
  return result;
}

/** A statistic of rows in both orders (see `bothOrders`) as a function of the weights of the rows themselves. */
export function ofBothOrders(statistic: Statistic, rows: number): Statistic {
  const twice = new Float64Array(2 * rows);
  const result: Statistic = (weights) => {
    if (weights === undefined) return statistic();
    twice.set(weights);
    twice.set(weights, rows);
    return statistic(twice);
  };
  result.overClusters = (clusters) => overClusters(statistic, clustersOfBothOrders(clusters));
  return result;
}

/** The clusters of rows in both orders: one object for each, by which statistics that share work know that they may. */
function clustersOfBothOrders(clusters: Clusters): Clusters {
  const known = BOTH_ORDERS.get(clusters);
  if (known) return known;
  const { of, count } = clusters;
  const both = new Int32Array(2 * of.length);
  both.set(of);
  both.set(of, of.length);
  const made = { of: both, count };
  BOTH_ORDERS.set(clusters, made);
  return made;
}

const BOTH_ORDERS = new WeakMap<Clusters, Clusters>();
