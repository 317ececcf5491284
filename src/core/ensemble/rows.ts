import { shared } from '../bytes/threads.js';
import { valuesOf } from '../calibration/judged.js';
import { selectCoded } from '../data/columns.js';
import { alignLogits } from '../data/join.js';
import type { PairLabelTable } from '../data/label-table.js';
import type { ScoreTable } from '../data/read-scores.js';
import { clusterFolds } from '../data/split.js';
import type { Outcomes } from '../stats/outcomes.js';
import type { Clusters } from '../stats/statistic.js';
import type { StackRows } from './stack-loss.js';

/** The scores of one model. */
export interface MemberScores {
  readonly name: string;
  readonly table: ScoreTable;
}

/** Judged pairs with the logits of every member; at least one member has scored each row. */
export interface EnsembleRows {
  readonly count: number;
  readonly members: readonly string[];
  /** By member: pair logit of each row, NaN where the member has no score. */
  readonly logits: readonly Float64Array[];
  readonly outcomes: Outcomes;
  readonly clusters: Clusters;
  readonly clusterNames: readonly string[];
  idAt(row: number): string;
  readonly coverage: Coverage;
}

/** What each member has scored; nothing is dropped in silence. */
export interface Coverage {
  /** Judged rows that no member has scored: left out. */
  readonly unscored: number;
  readonly members: Readonly<Record<string, MemberCoverage>>;
}

export interface MemberCoverage {
  readonly scored: number;
  /** Rows that other members have scored and this one has not: there it says nothing, a logit of 0. */
  readonly missing: number;
  /** Scores of rows that nobody has judged. */
  readonly unjudged: number;
}

/** Sets the members' scores beside the votes, by id. */
export function joinMembers(labels: PairLabelTable, members: readonly MemberScores[]): EnsembleRows {
  const aligned = members.map(({ table }) => alignLogits(labels, table));
  const kept = Int32Array.from(Array(labels.count).keys()).filter((row) =>
    aligned.some((logits) => !Number.isNaN(logits[row])),
  );
  // Shared, since threads fit to them.
  const pick = (values: Float64Array): Float64Array => shared(valuesOf(values, kept));
  const logits = aligned.map(pick);
  const coverage = members.map(({ name, table }, m): [string, MemberCoverage] => {
    const scored = logits[m].reduce((sum, logit) => sum + (Number.isNaN(logit) ? 0 : 1), 0);
    return [name, { scored, missing: kept.length - scored, unjudged: table.count - scored }];
  });
  return {
    count: kept.length,
    members: members.map(({ name }) => name),
    logits,
    outcomes: { positive: pick(labels.votesLeft), negative: pick(labels.votesRight) },
    ...clustersOf(labels, kept),
    idAt: (row) => labels.ids.textOf(kept[row]),
    coverage: { unscored: labels.count - kept.length, members: Object.fromEntries(coverage) },
  };
}

function clustersOf({ cluster }: PairLabelTable, kept: Int32Array): Pick<EnsembleRows, 'clusters' | 'clusterNames'> {
  const { names, codes } = selectCoded(cluster, kept);
  return { clusters: { of: codes, count: names.length }, clusterNames: names };
}

/**
 * The size of a member's logits: their root mean square over the votes. A pair and its mirror image have opposite logits, so
 * their mean over both orders is 0 and this is their standard deviation. 1 for a member that says nothing.
 */
export function scaleOf(logits: Float64Array, { positive, negative }: Outcomes, rows: Int32Array): number {
  const values = new Float64Array(rows.length);
  const votes = new Float64Array(rows.length);
  let scored = 0;
  for (const row of rows) {
    if (Number.isNaN(logits[row])) continue;
    values[scored] = logits[row];
    votes[scored++] = positive[row] + negative[row];
  }
  return rootMeanSquare(values.subarray(0, scored), votes.subarray(0, scored)) || 1;
}

/** Root mean square of finite numbers, without overflow; 0 where there are none, or their weights are all 0. */
export function rootMeanSquare(values: Float64Array, weights?: Float64Array): number {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return 0;
  let squares = 0;
  let total = 0;
  for (let i = 0; i < values.length; i++) {
    const weight = weights === undefined ? 1 : weights[i];
    squares += weight * (values[i] / largest) ** 2;
    total += weight;
  }
  return total > 0 ? largest * Math.sqrt(squares / total) : 0;
}

/** Some rows of some members as the stack reads them: standardised, 0 where a member has no score. */
export function stackRows(
  data: Pick<EnsembleRows, 'logits' | 'outcomes'>,
  rows: Int32Array,
  members: readonly number[],
  scales: readonly number[],
): StackRows {
  const logits = new Float64Array(rows.length * members.length);
  members.forEach((member, m) => {
    const column = data.logits[member];
    for (let i = 0; i < rows.length; i++) {
      const logit = column[rows[i]];
      logits[i * members.length + m] = Number.isNaN(logit) ? 0 : logit / scales[member];
    }
  });
  const pick = (values: Float64Array): Float64Array => valuesOf(values, rows);
  const { positive, negative } = data.outcomes;
  return { members: members.length, logits, outcomes: { positive: pick(positive), negative: pick(negative) } };
}

/** Rows to fit on, and rows of other clusters to judge on. */
export interface Fold {
  readonly fit: Int32Array;
  readonly judge: Int32Array;
}

/** Splits rows into folds by cluster: every row is judged once, by a fit that has seen no row of its cluster. */
export function foldsOf(
  { clusters, clusterNames }: Pick<EnsembleRows, 'clusters' | 'clusterNames'>,
  rows: Int32Array,
  folds: number,
  seed: number,
): Fold[] {
  const { of } = clusters;
  const isPresent = new Uint8Array(clusters.count);
  for (const row of rows) isPresent[of[row]] = 1;
  const present = [...isPresent.keys()].filter((cluster) => isPresent[cluster] === 1);
  const assigned = clusterFolds(
    present.map((cluster) => clusterNames[cluster]),
    Math.min(folds, present.length),
    seed,
  );
  const foldOf = new Int32Array(clusters.count);
  for (const [i, cluster] of present.entries()) foldOf[cluster] = assigned[i];
  return Array.from({ length: Math.min(folds, present.length) }, (_, fold) => ({
    fit: rows.filter((row) => foldOf[of[row]] !== fold),
    judge: rows.filter((row) => foldOf[of[row]] === fold),
  }));
}
