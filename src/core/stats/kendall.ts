import { argsort } from './argsort.js';
import { assertLength } from './outcomes.js';
import { denseRanks, tieEnds } from './ranks.js';
import { inOrder, type Statistic } from './statistic.js';

/** Adds `weight` at `index` of a Fenwick tree, whose node 0 is unused. */
function add(tree: Float64Array, index: number, weight: number): void {
  for (let node = index + 1; node < tree.length; node += node & -node) tree[node] += weight;
}

/** Sum of the weights at indices below `end`. */
function sumBelow(tree: Float64Array, end: number): number {
  let sum = 0;
  for (let node = end; node > 0; node -= node & -node) sum += tree[node];
  return sum;
}

/**
 * Kendall's tau-b as a function of row weights, in O(n log n): rows come in order of x, and a Fenwick tree over the ranks
 * of y counts those seen before that lie below and above. Null where either side is constant. Infinities are ordered as numbers.
 *
 * @throws RangeError if a number is NaN
 * @see Kendall (1945); scipy.stats.kendalltau
 */
export function prepareKendall(x: Float64Array, y: Float64Array): Statistic {
  assertLength('y', y, x.length);
  const order = argsort(x);
  const ends = tieEnds(x, order);
  const { ranks: ranksOfRows, distinct } = denseRanks(y);
  const ranks = order.map((row) => ranksOfRows[row]);
  const tree = new Float64Array(distinct + 1);
  const weightOfRank = new Float64Array(distinct);
  return inOrder(order, (counts, at) => {
    tree.fill(0);
    weightOfRank.fill(0);
    let total = 0;
    let score = 0; // concordant less discordant pairs
    let tiedX = 0; // sums of squared weights of tie groups
    for (let start = 0, i = 0; i < order.length; i++) {
      if (ends[i] === 0) continue;
      let group = 0;
      for (let k = start; k <= i; k++) {
        const weight = counts === undefined ? 1 : counts[at[k]];
        if (weight === 0) continue;
        group += weight;
        const below = sumBelow(tree, ranks[k]);
        const above = total - below - weightOfRank[ranks[k]];
        score += weight * (below - above);
      }
      for (; start <= i; start++) {
        const weight = counts === undefined ? 1 : counts[at[start]];
        if (weight === 0) continue;
        add(tree, ranks[start], weight);
        weightOfRank[ranks[start]] += weight;
      }
      total += group;
      tiedX += group * group;
    }
    const tiedY = weightOfRank.reduce((sum, weight) => sum + weight * weight, 0);
    // Pairs that are not tied: (W^2 - sum of squared group weights) / 2, whether weights are counts or not.
    const untiedX = (total * total - tiedX) / 2;
    const untiedY = (total * total - tiedY) / 2;
    if (!(untiedX > 0 && untiedY > 0)) return null;
    return Math.min(1, Math.max(-1, score / Math.sqrt(untiedX) / Math.sqrt(untiedY)));
  });
}

/** Kendall's tau-b; null where either side is constant. @throws RangeError if a number is NaN */
export const kendallTau = (x: Float64Array, y: Float64Array): number | null => prepareKendall(x, y)();
