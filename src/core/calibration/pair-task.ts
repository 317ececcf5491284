import { formatCount } from '../bytes/format.js';
import { shared } from '../bytes/threads.js';
import type { JoinedPairs } from '../data/join.js';
import { logit } from '../stats/logistic.js';
import { PAIR_METRICS } from '../stats/metric.js';
import { selectClusters } from './cluster-names.js';
import {
  favouredSide,
  gatherCells,
  gatherRows,
  type JudgedLogits,
  judgedRows,
  prepareSums,
  reweighted,
  totalVotes,
} from './judged.js';
import { drawPrior } from './prior-votes.js';
import type { CalibrationTask, ClusteredRows } from './task.js';

/** Judged pairs of one scorer. */
export interface ClusteredVotes extends JudgedLogits, ClusteredRows {}

/** In shared memory, since threads fit to them. */
export const votesOf = ({ logit, votesLeft, votesRight, cluster, clusterNames }: JoinedPairs): ClusteredVotes => ({
  logits: shared(logit),
  outcomes: { positive: shared(votesLeft), negative: shared(votesRight) },
  cluster: { names: clusterNames, codes: shared(cluster) },
});

/** Probabilities are kept this far from 0 and 1 in a logarithm. */
const EPSILON = 2 ** -52;

/** Votes that leave open how steep a curve is: those the score has all right, or a side of a logit tells apart. */
function cautions({ logits, outcomes }: ClusteredVotes): string[] {
  const { positive, negative } = totalVotes({ logits, outcomes });
  const held = `so the curve is held to what ${formatCount(positive + negative)} votes allow`;
  if (negative === 0 || positive === 0) {
    return [
      `All votes are for the ${negative === 0 ? 'left' : 'right'}: how steep the curve is cannot be told, ${held}.`,
    ];
  }
  const against = totalVotes(favouredSide({ logits, outcomes })).negative;
  if (against === 0) return [`No vote is against the score: how steep the curve is cannot be told, ${held}.`];
  let lowestLeft = Number.POSITIVE_INFINITY;
  let highestRight = Number.NEGATIVE_INFINITY;
  for (const [row, logit] of logits.entries()) {
    if (outcomes.positive[row] > 0) lowestLeft = Math.min(lowestLeft, logit);
    if (outcomes.negative[row] > 0) highestRight = Math.max(highestRight, logit);
  }
  if (lowestLeft < highestRight) return [];
  return [`A logit of ${lowestLeft} separates all votes for the left from all for the right, ${held}.`];
}

/** Pairs: the loss is the negative log likelihood of the votes. */
export const PAIR_TASK: CalibrationTask<ClusteredVotes> = {
  kind: 'pair',
  range: [0, 1],
  select: (rows, which) => ({ ...judgedRows(rows, which), cluster: selectClusters(rows.cluster, which) }),
  reweight: (rows, weights) => ({ ...reweighted(rows, weights), cluster: rows.cluster }),
  prepareResample: (rows, clusters, limit) => {
    const resample = prepareSums(rows, gatherCells(rows.logits, limit), clusters);
    return (draws, random) => ({ ...resample(draws), prior: drawPrior(random), cluster: rows.cluster });
  },
  prepareGather: (rows, limit) => {
    const cells = gatherCells(rows.logits, limit);
    return (which) => ({ ...gatherRows(rows, cells, which), cluster: rows.cluster });
  },
  cautions,
  weights: ({ outcomes: { positive, negative } }) => positive.map((votes, i) => votes + negative[i]),
  toLosses: ({ outcomes: { positive, negative } }, predicted) => {
    for (let i = 0; i < predicted.length; i++) {
      const p = Math.min(Math.max(predicted[i], EPSILON), 1 - EPSILON);
      predicted[i] = -positive[i] * Math.log(p) - negative[i] * Math.log1p(-p);
    }
  },
  statistics: ({ logits, outcomes }, predicted) => {
    // What is judged of a calibrator is what it gives out: its ties, and the winners an intercept changes, count.
    const decisive = predicted === null ? logits : predicted.map(logit);
    const rows = { logits: decisive, probabilities: predicted, outcomes };
    return PAIR_METRICS.map((metric) => ({ id: metric.id, statistic: metric.prepare(rows) }));
  },
};
