import { valuesOf } from '../calibration/judged.js';
import { uncalibrated } from '../calibration/scale-task.js';
import type { NamedStatistic } from '../calibration/task.js';
import { renumber } from '../data/columns.js';
import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { ABSOLUTE_METRICS, PAIR_METRICS } from '../stats/metric.js';
import { type Clusters, type Statistic, weighted } from '../stats/statistic.js';
import type { Predictions } from './predictions.js';

/** A statistic with what a comparison must know of it. */
export interface JudgedStatistic extends NamedStatistic {
  readonly direction: 'higher' | 'lower';
}

/** Rows of a joined table, all of them or a group's. */
export interface JudgedSubset {
  readonly statistics: readonly JudgedStatistic[];
  /** Clusters of these rows alone. */
  readonly clusters: Clusters;
}

/** What figures are computed from, of a joined table: no function and no name, so that another thread can have it. */
export type JudgedColumns =
  | Pick<JoinedPairs, 'kind' | 'logit' | 'votesLeft' | 'votesRight' | 'cluster' | 'clusterCount'>
  | Pick<JoinedAbsolutes, 'kind' | 'logit' | 'score' | 'weight' | 'cluster' | 'clusterCount'>;

/** Cluster codes of some rows, numbered anew. */
function clustersOf(cluster: Int32Array, clusterCount: number, rows: Int32Array): Clusters {
  const { codes, kept } = renumber(cluster, clusterCount, rows);
  return { of: codes, count: kept.length };
}

/**
 * All figures of some rows. Winners are those of the pair logit; calibration errors are of the probabilities, in both orders.
 *
 * @param rows - null for all, which are then not copied
 */
export function judge(
  joined: JudgedColumns,
  { values, calibrated }: Pick<Predictions, 'values' | 'calibrated'>,
  rows: Int32Array | null,
): JudgedSubset {
  const take = (column: Float64Array) => (rows === null ? column : valuesOf(column, rows));
  const clusters =
    rows === null
      ? { of: joined.cluster, count: joined.clusterCount }
      : clustersOf(joined.cluster, joined.clusterCount, rows);
  if (joined.kind === 'absolute') {
    const actual = take(joined.score);
    const logits = take(joined.logit);
    const predicted = take(values);
    const weight = joined.weight && take(joined.weight);
    const counting = (statistic: Statistic) => (weight ? weighted(statistic, weight) : statistic);
    const statistics = ABSOLUTE_METRICS.map(({ id, direction, prepare }) => ({
      id,
      direction,
      statistic: counting(prepare({ predicted: calibrated ? predicted : uncalibrated(logits, id), actual })),
    }));
    return { statistics, clusters };
  }
  const table = {
    logits: take(joined.logit),
    probabilities: calibrated ? take(values) : null,
    outcomes: { positive: take(joined.votesLeft), negative: take(joined.votesRight) },
  };
  const statistics = PAIR_METRICS.map(({ id, direction, prepare }) => ({ id, direction, statistic: prepare(table) }));
  return { statistics, clusters };
}

export function allRows({ count }: { readonly count: number }): Int32Array {
  const rows = new Int32Array(count);
  for (let row = 0; row < count; row++) rows[row] = row;
  return rows;
}
