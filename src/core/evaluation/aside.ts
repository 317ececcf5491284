import { shared, type Threads } from '../bytes/threads.js';
import { type FigureOptions, type Figures, figuresOf } from '../calibration/figures.js';
import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { type JudgedColumns, judge } from './judged-statistics.js';
import type { Predictions } from './predictions.js';

/** Figures of some rows, and how many clusters those are of. */
export interface RowsFigures {
  readonly figures: Figures;
  readonly clusters: number;
}

/** Figures of some rows, null for all: computed in a thread of its own where there are any, with the same result. */
export type JudgeRows = (rows: Int32Array | null, options: FigureOptions) => Promise<RowsFigures>;

export function judgingIn(
  threads: Threads | null,
  joined: JoinedPairs | JoinedAbsolutes,
  { values, calibrated }: Predictions,
): JudgeRows {
  if (!threads)
    return (rows, options) => judgeAside({ columns: joined, predictions: { values, calibrated }, rows, options });
  const columns = sharedColumns(joined);
  const predictions = { values: shared(values), calibrated };
  return (rows, { signal: _, ...options }) => {
    const given: JudgeCall = { columns, predictions, rows: rows && shared(rows), options };
    return threads.call({ module: import.meta.url, name: 'judgeAside', given });
  };
}

interface JudgeCall {
  readonly columns: JudgedColumns;
  readonly predictions: Pick<Predictions, 'values' | 'calibrated'>;
  readonly rows: Int32Array | null;
  readonly options: FigureOptions;
}

/** Called by name. @internal */
export async function judgeAside({ columns, predictions, rows, options }: JudgeCall): Promise<RowsFigures> {
  const { statistics, clusters } = judge(columns, predictions, rows);
  return { figures: await figuresOf(statistics, clusters, options), clusters: clusters.count };
}

function sharedColumns(joined: JoinedPairs | JoinedAbsolutes): JudgedColumns {
  const { clusterCount } = joined;
  const [logit, cluster] = [shared(joined.logit), shared(joined.cluster)];
  if (joined.kind === 'pair') {
    const { kind, votesLeft, votesRight } = joined;
    return { kind, logit, votesLeft: shared(votesLeft), votesRight: shared(votesRight), cluster, clusterCount };
  }
  const { kind, score, weight } = joined;
  return { kind, logit, score: shared(score), weight: weight && shared(weight), cluster, clusterCount };
}
