import { argsort } from '../stats/argsort.js';
import { type CellCodes, emptyVotes, votesByCell } from '../stats/cell-votes.js';
import type { Outcomes } from '../stats/outcomes.js';
import type { Clusters } from '../stats/statistic.js';

/**
 * Votes imagined for either side beside those that were cast. One for each is Laplace's rule: n votes of n for one side make a
 * probability of (n + 1) / (n + 2), so that votes which nothing contradicts do not end in certainty.
 */
export interface PriorVotes {
  readonly left: number;
  readonly right: number;
}

/** Pair logits of one scorer, and the votes on each pair as weights. */
export interface JudgedLogits {
  /** Finite. */
  readonly logits: Float64Array;
  /** Votes for the left and for the right; a tie counts one half on each side. */
  readonly outcomes: Outcomes;
  /** Imagined votes, where a refit draws them; else a method imagines its own. */
  readonly prior?: PriorVotes;
  /** Rows with votes behind these, where they are gathered from more. */
  readonly voted?: number;
}

/** The values of rows, in the given order. A loop: `Float64Array.from` with a function takes ten times as long. */
export function valuesOf(values: Float64Array, rows: ArrayLike<number>): Float64Array {
  const taken = new Float64Array(rows.length);
  for (let i = 0; i < taken.length; i++) taken[i] = values[rows[i]];
  return taken;
}

/** Rows of a data set, in the given order. */
export function judgedRows({ logits, outcomes }: JudgedLogits, rows: ArrayLike<number>): JudgedLogits {
  return {
    logits: valuesOf(logits, rows),
    outcomes: { positive: valuesOf(outcomes.positive, rows), negative: valuesOf(outcomes.negative, rows) },
  };
}

/** The same rows, the votes of each counting `weights[row]` times. */
export function reweighted({ logits, outcomes }: JudgedLogits, weights: Float64Array): JudgedLogits {
  const scale = (votes: Float64Array) => votes.map((count, row) => count * weights[row]);
  return { logits, outcomes: { positive: scale(outcomes.positive), negative: scale(outcomes.negative) } };
}

/** Votes of all rows. */
export function totalVotes({ outcomes }: JudgedLogits): { positive: number; negative: number } {
  const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);
  return { positive: sum(outcomes.positive), negative: sum(outcomes.negative) };
}

/** Rows that anybody voted on. */
export function votedRows({ outcomes, voted }: JudgedLogits): number {
  if (voted !== undefined) return voted;
  let count = 0;
  for (let i = 0; i < outcomes.positive.length; i++) if (outcomes.positive[i] + outcomes.negative[i] > 0) count++;
  return count;
}

/** Sides swapped where the logit is negative: logits of the favoured side, and votes for and against it. */
export function favouredSide({ logits, outcomes }: JudgedLogits): JudgedLogits {
  const { positive, negative } = outcomes;
  return {
    logits: logits.map(Math.abs),
    outcomes: {
      positive: positive.map((votes, i) => (logits[i] < 0 ? negative[i] : votes)),
      negative: negative.map((votes, i) => (logits[i] < 0 ? positive[i] : votes)),
    },
  };
}

/** Rows gathered into cells of neighbouring logits, so that a resample is summed instead of sorted. */
export interface Cells extends CellCodes {
  /** Mean logit of each cell, increasing. */
  readonly logits: Float64Array;
}

/** At most `limit` cells, 2^16 or fewer, of about equally many rows; rows of equal logit share a cell, so few distinct logits are kept exactly. */
export function gatherCells(logits: Float64Array, limit: number): Cells {
  const order = argsort(logits);
  const of = new Uint16Array(logits.length);
  const means: number[] = [];
  for (let start = 0; start < order.length; ) {
    let end = Math.max(start + 1, Math.floor(((means.length + 1) * order.length) / limit));
    while (end < order.length && logits[order[end]] === logits[order[end - 1]]) end++;
    const low = logits[order[start]];
    let above = 0; // summed from the lowest, so that equal logits keep their value to the bit
    for (let i = start; i < end; i++) {
      of[order[i]] = means.length;
      above += logits[order[i]] - low;
    }
    means.push(low + above / (end - start));
    start = end;
  }
  return { of, count: means.length, logits: Float64Array.from(means) };
}

/** The data set with its rows summed by cell, as a function of how often each cluster counts. */
export function prepareSums(
  { outcomes }: JudgedLogits,
  cells: Cells,
  clusters: Clusters,
): (draws: Float64Array) => JudgedLogits {
  const add = votesByCell(cells, outcomes, clusters);
  return (draws) => {
    const sums = emptyVotes(cells.count);
    add(draws, sums);
    return { logits: cells.logits, outcomes: sums };
  };
}

/** The rows `which`, summed by cell. */
export function gatherRows(
  { outcomes: { positive, negative } }: JudgedLogits,
  cells: Cells,
  which: Int32Array,
): JudgedLogits {
  const sums = emptyVotes(cells.count);
  const { of } = cells;
  let voted = 0;
  for (const row of which) {
    sums.positive[of[row]] += positive[row];
    sums.negative[of[row]] += negative[row];
    if (positive[row] + negative[row] > 0) voted++;
  }
  return { logits: cells.logits, outcomes: sums, voted };
}
