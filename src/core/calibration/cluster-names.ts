import { shared } from '../bytes/threads.js';
import { renumber } from '../data/columns.js';
import { clusterRanks } from '../data/split.js';

/** The cluster of each row. */
export interface NamedClusters {
  readonly names: ClusterNames;
  /** Of each row, 0 … `names.length` - 1. */
  readonly codes: Int32Array;
}

/** Names of clusters, which folds are divided by: themselves, or what is left of them where only their order counts. */
export type ClusterNames = readonly string[] | RankedNames | SomeNames;

/** The places that some seeds give to the names: all of it survives the structured clone, and none of it is a string. */
interface RankedNames {
  readonly length: number;
  readonly ranks: ReadonlyMap<number, Int32Array>;
}

interface SomeNames {
  readonly length: number;
  readonly among: ClusterNames;
  /** Codes there. */
  readonly which: Int32Array;
}

const RANKS = new WeakMap<readonly string[], Map<number, Int32Array>>();

/** The place of each name in the order of a seed. @see clusterRanks */
export function ranksOf(names: ClusterNames, seed: number): Int32Array {
  if ('among' in names) return ranksAmong(ranksOf(names.among, seed), names.which);
  if ('ranks' in names) {
    const known = names.ranks.get(seed);
    if (known) return known;
    throw new RangeError(`the names are not ranked by ${seed}`);
  }
  const bySeed = RANKS.get(names) ?? new Map<number, Int32Array>();
  RANKS.set(names, bySeed);
  const ranks = bySeed.get(seed) ?? shared(clusterRanks(names, seed));
  bySeed.set(seed, ranks);
  return ranks;
}

/** Places among each other of those that have these places among more. */
function ranksAmong(ranks: Int32Array, which: Int32Array): Int32Array {
  const inOrder = new Int32Array(ranks.length).fill(-1);
  for (let i = 0; i < which.length; i++) inOrder[ranks[which[i]]] = i;
  const among = new Int32Array(which.length);
  let place = 0;
  for (const i of inOrder) if (i >= 0) among[i] = place++;
  return among;
}

/** The names as far as they are ranked by these seeds, for another thread. */
export const rankedBy = (names: ClusterNames, seeds: readonly number[]): ClusterNames => ({
  length: names.length,
  ranks: new Map(seeds.map((seed) => [seed, ranksOf(names, seed)])),
});

/** The rows `which`, their clusters numbered anew in order of first sight: none is without a row. */
export function selectClusters({ names, codes }: NamedClusters, which: Int32Array): NamedClusters {
  const selected = renumber(codes, names.length, which);
  return { names: { length: selected.kept.length, among: names, which: selected.kept }, codes: selected.codes };
}
