import { argsort } from './argsort.js';

/** Where each run of equal values ends, over values in the order given: 1 at its last row, else 0. */
export function tieEnds(values: Float64Array, order: Uint32Array): Uint8Array {
  const ends = new Uint8Array(order.length);
  const last = order.length - 1;
  for (let i = 0; i < last; i++) ends[i] = values[order[i]] === values[order[i + 1]] ? 0 : 1;
  if (last >= 0) ends[last] = 1;
  return ends;
}

/**
 * Ranks from 1; equal values share the mean of their ranks, as scipy.stats.rankdata(method='average').
 *
 * @throws RangeError if a value is NaN
 */
export function averageRanks(values: Float64Array): Float64Array {
  const order = argsort(values);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    const value = values[order[start]];
    let end = start + 1;
    while (end < order.length && values[order[end]] === value) end++;
    const rank = (start + 1 + end) / 2;
    for (let i = start; i < end; i++) ranks[order[i]] = rank;
    start = end;
  }
  return ranks;
}

/** Numbers 0, 1, 2, … of the distinct values in ascending order, and how many there are. */
export function denseRanks(values: Float64Array): { ranks: Uint32Array; distinct: number } {
  const order = argsort(values);
  const ends = tieEnds(values, order);
  const ranks = new Uint32Array(values.length);
  let distinct = 0;
  for (let i = 0; i < order.length; i++) {
    ranks[order[i]] = distinct;
    distinct += ends[i];
  }
  return { ranks, distinct };
}
