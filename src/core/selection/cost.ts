import { quantileOfSorted } from '../stats/quantile.js';

/** What it takes to judge each pair, in seconds. */
export interface Costs {
  /** False where nobody measured any: all take 1. */
  readonly measured: boolean;
  of(pair: number): number;
}

/** Texts between two powers of four take much the same time to read. */
export const lengthClass = (characters: number): number => Math.round(Math.log2(1 + characters) / 2);

/** Votes of one kind before its own median is better than that of all. */
const FEWEST = 5;

/**
 * The median time by kind of pair (modality and length); of rare kinds the median of all.
 *
 * @param kinds - of each pair
 * @param times - votes with their times; of pairs that are not here (-1) for the median of all
 */
export function costsOf(
  kinds: readonly string[],
  times: readonly { readonly pair: number; readonly seconds: number }[],
): Costs {
  if (times.length === 0) return { measured: false, of: () => 1 };
  const byKind = new Map<string, number[]>();
  for (const { pair, seconds } of times) {
    if (pair < 0) continue;
    const list = byKind.get(kinds[pair]) ?? [];
    list.push(seconds);
    byKind.set(kinds[pair], list);
  }
  const overall = medianOf(times.map(({ seconds }) => seconds));
  const medians = new Map(
    [...byKind].filter(([, list]) => list.length >= FEWEST).map(([kind, list]) => [kind, medianOf(list)]),
  );
  return { measured: true, of: (pair) => medians.get(kinds[pair]) ?? overall };
}

const medianOf = (values: readonly number[]): number => quantileOfSorted(Float64Array.from(values).sort(), 0.5);
