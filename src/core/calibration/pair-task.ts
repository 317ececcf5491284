import { selectCoded } from '../data/columns.js';
import type { JoinedPairs } from '../data/join.js';
import { logit } from '../stats/logistic.js';
import { PAIR_METRICS } from '../stats/metric.js';
import { gatherCells, type JudgedLogits, judgedRows, reweighted, sumCells } from './judged.js';
import type { CalibrationTask, ClusteredRows } from './task.js';

/** Judged pairs of one scorer. */
export interface ClusteredVotes extends JudgedLogits, ClusteredRows {}

export const votesOf = ({ logit, votesLeft, votesRight, cluster, clusterNames }: JoinedPairs): ClusteredVotes => ({
  logits: logit,
  outcomes: { positive: votesLeft, negative: votesRight },
  cluster: { names: clusterNames, codes: cluster },
});

/** Probabilities are kept this far from 0 and 1 in a logarithm. */
const EPSILON = 2 ** -52;

/** Pairs: the loss is the negative log likelihood of the votes. */
export const PAIR_TASK: CalibrationTask<ClusteredVotes> = {
  kind: 'pair',
  range: [0, 1],
  select: (rows, which) => ({ ...judgedRows(rows, which), cluster: selectCoded(rows.cluster, which) }),
  reweight: (rows, weights) => ({ ...reweighted(rows, weights), cluster: rows.cluster }),
  prepareResample: (rows, limit) => {
    const cells = gatherCells(rows.logits, limit);
    return (weights) => ({ ...sumCells(rows, cells, weights), cluster: rows.cluster });
  },
  losses: ({ outcomes: { positive, negative } }, predicted) => ({
    weights: positive.map((votes, i) => votes + negative[i]),
    losses: predicted.map((value, i) => {
      const p = Math.min(Math.max(value, EPSILON), 1 - EPSILON);
      return -positive[i] * Math.log(p) - negative[i] * Math.log1p(-p);
    }),
  }),
  statistics: ({ logits, outcomes }, predicted) => {
    // What is judged of a calibrator is what it gives out: its ties, and the winners an intercept changes, count.
    const decisive = predicted === null ? logits : predicted.map(logit);
    const rows = { logits: decisive, probabilities: predicted, outcomes };
    return PAIR_METRICS.map((metric) => ({ id: metric.id, statistic: metric.prepare(rows) }));
  },
};
