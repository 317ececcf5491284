import { hash } from 'node:crypto';
import { HpsError } from '../errors.js';

/** Rounding of fractions written with a few decimals. */
const FRACTION_TOLERANCE = 1e-9;

/** Parts of a split by name, in order, with the share of clusters that each gets; shares sum to 1. */
export type SplitFractions = Readonly<Record<string, number>>;

/** 80 % to fit on, 10 % to choose on, 10 % to report on. */
export const DEFAULT_SPLIT: SplitFractions = { train: 0.8, val: 0.1, test: 0.1 };

/**
 * A cluster's place in [0, 1): the first 8 bytes of sha256(`seed:cluster`), big-endian, over 2^64. It depends on nothing
 * else, so a cluster stays in its part whatever rows are added, removed or reordered.
 */
export function clusterHash(cluster: string, seed: number): number {
  const digest = hash('sha256', `${seed}:${cluster}`); // hexadecimal: a third of the time of a buffer
  // The upper 53 bits: all 64, rounded to a double, could become 1.
  const [upper, lower] = [Number.parseInt(digest.slice(0, 8), 16), Number.parseInt(digest.slice(8, 16), 16)];
  return (upper * 2 ** 21 + (lower >>> 11)) / 2 ** 53;
}

/**
 * A function that names the part a cluster belongs to.
 *
 * @throws HpsError USAGE for fractions that are negative or do not sum to 1
 */
export function clusterSplit(fractions: SplitFractions, seed: number): (cluster: string) => string {
  const parts = Object.entries(fractions);
  const total = parts.reduce((sum, [, fraction]) => sum + fraction, 0);
  if (parts.some(([, fraction]) => !(fraction >= 0)) || !(Math.abs(total - 1) <= FRACTION_TOLERANCE)) {
    const shown = parts.map(([name, fraction]) => `${name}=${fraction}`).join(',');
    throw new HpsError('USAGE', `split fractions must be 0 or more and sum to 1, not ${shown}`, {
      hint: 'For instance train=0.8,val=0.1,test=0.1.',
      details: { fractions },
    });
  }
  let sum = 0;
  const bounds = parts.map(([name, fraction]) => {
    sum += fraction;
    return { name, end: sum };
  });
  const last = parts.findLast(([, fraction]) => fraction > 0)![0];
  return (cluster) => {
    const place = clusterHash(cluster, seed);
    return bounds.find(({ end }) => place < end)?.name ?? last;
  };
}

/**
 * Fold 0 … folds - 1 of each cluster, by the rank of its hash: folds differ by at most one cluster in size, and do not
 * depend on the order of the rows.
 *
 * @param clusterNames - distinct
 */
export const clusterFolds = (clusterNames: readonly string[], folds: number, seed: number): Int32Array =>
  foldsOfRanks(clusterRanks(clusterNames, seed), folds);

/** As `clusterFolds`, of the places of the clusters. */
export function foldsOfRanks(ranks: Int32Array, folds: number): Int32Array {
  if (!Number.isSafeInteger(folds) || folds < 2) throw new RangeError(`folds must be 2 or more, not ${folds}`);
  return ranks.map((rank) => rank % folds);
}

/** The place of each cluster in the order of their hashes, and of their names where those are the same. */
export function clusterRanks(clusterNames: readonly string[], seed: number): Int32Array {
  const hashes = Float64Array.from(clusterNames, (name) => clusterHash(name, seed));
  const sorted = hashes.toSorted();
  const ranks = new Int32Array(clusterNames.length);
  if (sorted.every((hash, rank) => rank === 0 || sorted[rank - 1] < hash)) {
    for (let cluster = 0; cluster < ranks.length; cluster++) ranks[cluster] = rankOf(hashes[cluster], sorted);
    return ranks;
  }
  const order = Int32Array.from(clusterNames.keys()).sort(
    (a, b) => hashes[a] - hashes[b] || (clusterNames[a] < clusterNames[b] ? -1 : 1),
  );
  order.forEach((cluster, rank) => {
    ranks[cluster] = rank;
  });
  return ranks;
}

/** Where a value is among ascending ones. */
function rankOf(value: number, sorted: Float64Array): number {
  let [low, high] = [0, sorted.length];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}
