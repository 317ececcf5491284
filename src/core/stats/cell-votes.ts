import type { Outcomes } from './outcomes.js';
import { type Clusters, rowsByCluster } from './statistic.js';

/** Rows gathered into cells. */
export interface CellCodes {
  /** Cell of each row. */
  readonly of: Uint16Array;
  readonly count: number;
}

/** Room for the votes of as many cells. */
export const emptyVotes = (cells: number): Outcomes => ({
  positive: new Float64Array(cells),
  negative: new Float64Array(cells),
});

/** The votes of each cell, as a function of how often each cluster counts; they replace what is in the second argument. */
export function votesByCell(
  cells: CellCodes,
  outcomes: Outcomes,
  clusters: Clusters,
): (draws: Float64Array, sums: Outcomes) => void {
  const { order, begins, inOrder } = rowsByCluster(clusters);
  // In the order of the clusters: a resample then reads on, and skips the rows of those that were not drawn.
  const cellAt = new Uint16Array(order.length);
  for (let i = 0; i < cellAt.length; i++) cellAt[i] = cells.of[order[i]];
  const [positive, negative] = [inOrder(outcomes.positive), inOrder(outcomes.negative)];
  return (draws, sums) => {
    sums.positive.fill(0);
    sums.negative.fill(0);
    addVotes(draws, begins, cellAt, positive, sums.positive);
    addVotes(draws, begins, cellAt, negative, sums.negative);
  };
}

function addVotes(
  draws: Float64Array,
  begins: Uint32Array,
  cellAt: Uint16Array,
  votes: Float64Array,
  sums: Float64Array,
): void {
  for (let cluster = 0; cluster < draws.length; cluster++) {
    const times = draws[cluster];
    if (times === 0) continue;
    const end = begins[cluster + 1];
    for (let i = begins[cluster]; i < end; i++) sums[cellAt[i]] += times * votes[i];
  }
}
