import { argsort } from './argsort.js';
import { averageRanks } from './ranks.js';
import { type Clusters, ratioOfSums, type Statistic } from './statistic.js';

/** Items of prompts, a prompt a cluster: what a scorer says of each, and what people do. */
export interface RatedItems {
  readonly scores: Float64Array;
  readonly human: Float64Array;
  readonly clusters: Clusters;
}

/** What a scorer that picks the best of N items of a prompt comes to, over all prompts that have as many. */
export interface BestOf {
  readonly prompts: number;
  /** Human score of the pick. */
  readonly humanScore: Statistic;
  /** Chance that people prefer the pick to another item of its prompt, an equal human score counting one half. */
  readonly winRate: Statistic;
  /** How far the human score of the pick is below that of the item people would have picked of the same N. */
  readonly regret: Statistic;
  /** Share of what people's own pick is better than one taken blindly that the scorer's pick is; null where they are level. */
  readonly captured: Statistic;
}

/**
 * Best of N as a policy: N different items of a prompt are drawn, all sets of N equally likely, and the scorer takes the one it gives
 * the highest score, among equal ones any. Expectations over the draws are exact sums over ranks, not simulated. Every prompt counts
 * once; those with fewer than N items not at all.
 *
 * @throws RangeError if n is not a positive integer
 */
export function prepareBestOf({ scores, human, clusters }: RatedItems, n: number): BestOf {
  if (!(Number.isSafeInteger(n) && n >= 1)) throw new RangeError(`best of ${n}`);
  const column = () => new Float64Array(scores.length);
  // What is of a prompt stands in its first row, so that rows of one cluster add up to it.
  const [counted, picked, won, best, blind, contested] = [column(), column(), column(), column(), column(), column()];
  let prompts = 0;
  for (const rows of rowsByCluster(clusters)) {
    if (rows.length < n) continue;
    const [first] = rows;
    const values = Float64Array.from(rows, (row) => human[row]);
    const said = Float64Array.from(rows, (row) => scores[row]);
    prompts++;
    counted[first] = 1;
    picked[first] = expectedPick(said, values, n);
    best[first] = expectedPick(values, values, n);
    blind[first] = values.reduce((sum, value) => sum + value, 0) / values.length;
    if (rows.length > 1) {
      contested[first] = 1;
      const beaten = averageRanks(values).map((rank) => (rank - 1) / (rows.length - 1));
      won[first] = expectedPick(said, beaten, n);
    }
  }
  // Neither is below 0 but by rounding: nobody picks better than people, nor people worse than blindly.
  const above = (a: Float64Array, b: Float64Array) => a.map((value, row) => Math.max(0, value - b[row]));
  return {
    prompts,
    humanScore: ratioOfSums(picked, counted),
    winRate: ratioOfSums(won, contested),
    regret: ratioOfSums(above(best, picked), counted),
    captured: ratioOfSums(
      picked.map((value, row) => value - blind[row]),
      n === 1 ? column() : above(best, blind),
    ),
  };
}

/** Expected value of the item with the highest score among n of these, drawn without replacement; ties share it. */
function expectedPick(scores: Float64Array, values: Float64Array, n: number): number {
  const count = scores.length;
  const order = argsort(scores).reverse();
  let expected = 0;
  /** Chance that all n are among those from `start` on. */
  let later = 1;
  for (let start = 0; start < count; ) {
    let [end, sum, latest] = [start, 0, later];
    for (; end < count && scores[order[end]] === scores[order[start]]; end++) {
      sum += values[order[end]];
      latest *= Math.max(0, count - end - n) / (count - end);
    }
    expected += (later - latest) * (sum / (end - start));
    later = latest;
    start = end;
  }
  return expected;
}

function rowsByCluster({ of, count }: Clusters): number[][] {
  const rows = Array.from({ length: count }, (): number[] => []);
  for (const [row, cluster] of of.entries()) rows[cluster].push(row);
  return rows;
}
