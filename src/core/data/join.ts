import { type CodedColumn, selectCoded } from './columns.js';
import type { Interner } from './interner.js';
import type { AbsoluteLabelTable, LabelTable, PairLabelTable } from './label-table.js';
import type { MatchedScores, ScoreTable } from './read-scores.js';

/** Ids named in a report; all are counted. */
const MAX_EXAMPLES = 10;

/** Ids that one file has and the other lacks. */
export interface UnmatchedIds {
  readonly count: number;
  /** The first of them, in the order of their file. */
  readonly examples: readonly string[];
}

export interface JoinReport {
  readonly matched: number;
  /** Judged rows without a score. */
  readonly labelsOnly: UnmatchedIds;
  /** Scores without a judged row. */
  readonly scoresOnly: UnmatchedIds;
}

interface JoinedBase {
  /** Rows that have a judgement and a score, in the order of the label file. Every array below has this length. */
  readonly count: number;
  /** The model's logit: of the pair (log-odds that left is preferred), or an item's utility logit. Finite. */
  readonly logit: Float64Array;
  /**
   * Cluster of each row, 0 … clusterCount - 1: rows with the same `prompt_id`, or a row alone. Clusters are resampled
   * together and never split across folds.
   */
  readonly cluster: Int32Array;
  readonly clusterCount: number;
  /** `prompt_id` of each cluster, by code: what splits and folds are hashed from. */
  readonly clusterNames: readonly string[];
  /** `task` of each row. */
  readonly task: CodedColumn;
  /** Group columns by name; code -1 where a row is in no such group. */
  readonly groups: ReadonlyMap<string, CodedColumn>;
  /**
   * How much each row counts, one over its propensity and 1 on average; absent where rows have none. Votes below already count so much,
   * so that sums of them are those of a fair sample.
   */
  readonly weight?: Float64Array;
  /** Id of row i. */
  idAt(i: number): string;
  readonly report: JoinReport;
}

/**
 * Scores beside votes: what metrics, calibrators and ensembles are computed from.
 *
 * A row's votes are its weight: it stands for `votesLeft + votesRight` judgements, of which `votesLeft` were for the left.
 * A tie counts one half on each side and is also in `ties`; a soft label p is one judgement, p of it for the left.
 */
export interface JoinedPairs extends JoinedBase {
  readonly kind: 'pair';
  readonly votesLeft: Float64Array;
  readonly votesRight: Float64Array;
  readonly ties: Float64Array;
}

/** Scores beside a human scale. */
export interface JoinedAbsolutes extends JoinedBase {
  readonly kind: 'absolute';
  /** The human score. */
  readonly score: Float64Array;
  /** Raters behind it; 0 where only the score is known. */
  readonly ratings: Float64Array;
}

/** Aligns judged pairs with one model's scores, by id. */
export function joinPairs(labels: PairLabelTable, scores: ScoreTable | MatchedScores): JoinedPairs {
  const { rows, base } = join(labels, scores);
  const votes = (column: Float64Array): Float64Array => {
    const counts = select(column, rows);
    return base.weight ? counts.map((count, i) => count * base.weight![i]) : counts;
  };
  return {
    kind: 'pair',
    ...base,
    votesLeft: votes(labels.votesLeft),
    votesRight: votes(labels.votesRight),
    ties: votes(labels.ties),
  };
}

/** Aligns scored items with one model's scores, by id. */
export function joinAbsolutes(labels: AbsoluteLabelTable, scores: ScoreTable | MatchedScores): JoinedAbsolutes {
  const { rows, base } = join(labels, scores);
  return { kind: 'absolute', ...base, score: select(labels.score, rows), ratings: select(labels.ratings, rows) };
}

/**
 * The model's logit for every label row, in the order of the labels.
 *
 * @returns NaN where the model has no score: for ensembles, whose members may miss rows
 */
export function alignLogits(labels: LabelTable, scores: ScoreTable | MatchedScores): Float64Array {
  const places = placesOf(labels.ids, scores);
  return Float64Array.from(places, (place) => (place < 0 ? Number.NaN : scores.logit[place]));
}

function join(labels: LabelTable, scores: ScoreTable | MatchedScores): { rows: Int32Array; base: JoinedBase } {
  const places = placesOf(labels.ids, scores);
  const rows = rowsWith(places);
  // Where every row has a score, what is joined is the labels' own columns: very many rows are not held twice.
  const all = rows.length === labels.count;
  const taken = (column: CodedColumn): CodedColumn => (all ? column : selectCoded(column, rows));
  const cluster = taken(labels.cluster);
  const base: JoinedBase = {
    count: rows.length,
    logit: select(scores.logit, all ? places : gather(places, rows, new Int32Array(rows.length))),
    cluster: cluster.codes,
    clusterCount: cluster.names.length,
    clusterNames: cluster.names,
    task: taken(labels.task),
    ...(labels.propensity && { weight: weightsOf(select(labels.propensity, rows)) }),
    groups: new Map([...labels.groups].map(([name, column]) => [name, taken(column)])),
    idAt: idsOf(labels.ids, rows),
    report: {
      matched: rows.length,
      labelsOnly: unmatched(labels.ids, (id) => places[id] < 0),
      scoresOnly:
        'others' in scores
          ? unmatched(scores.others, () => true)
          : unmatched(scores.ids, missingFrom(scores.count, places)),
    },
  };
  return { rows, base };
}

function rowsWith(places: Int32Array): Int32Array {
  const rows = new Int32Array(places.length);
  let count = 0;
  for (let row = 0; row < places.length; row++) if (places[row] >= 0) rows[count++] = row;
  return rows.subarray(0, count);
}

/** By itself, so that it keeps nothing but the ids alive. */
const idsOf =
  (ids: Interner, rows: Int32Array) =>
  (i: number): string =>
    ids.textOf(rows[i]);

/** One over each propensity, 1 on average: votes then say as much as there are. */
function weightsOf(propensity: Float64Array): Float64Array {
  const inverse = propensity.map((p) => 1 / p);
  const mean = inverse.reduce((sum, value) => sum + value, 0) / inverse.length;
  return inverse.map((value) => value / mean);
}

/** For each id, its row in the score table, or -1. */
function placesOf(ids: Interner, scores: ScoreTable | MatchedScores): Int32Array {
  if ('places' in scores) return scores.places;
  const places = new Int32Array(ids.size);
  for (let code = 0; code < places.length; code++) places[code] = ids.findIn(scores.ids, code);
  return places;
}

function missingFrom(count: number, places: Int32Array): (code: number) => boolean {
  const used = new Uint8Array(count);
  for (const place of places) if (place >= 0) used[place] = 1;
  return (code) => used[code] === 0;
}

function unmatched(ids: Interner, isMissing: (code: number) => boolean): UnmatchedIds {
  const examples: string[] = [];
  let count = 0;
  for (let code = 0; code < ids.size; code++) {
    if (!isMissing(code)) continue;
    if (count++ < MAX_EXAMPLES) examples.push(ids.textOf(code));
  }
  return { count, examples };
}

/** The values of rows: themselves where those are all of them, in order. */
function select(values: Float64Array, rows: Int32Array): Float64Array {
  const all = values.length === rows.length && rows.every((row, i) => row === i);
  return all ? values : gather(values, rows, new Float64Array(rows.length));
}

/** A loop: `from` with a function takes ten times as long. */
function gather<T extends Float64Array | Int32Array>(values: T, rows: Int32Array, target: T): T {
  for (let i = 0; i < target.length; i++) target[i] = values[rows[i]];
  return target;
}
