import { shared } from '../bytes/threads.js';
import type { JoinedAbsolutes } from '../data/join.js';
import { ABSOLUTE_METRICS } from '../stats/metric.js';
import { weighted } from '../stats/statistic.js';
import { selectClusters } from './cluster-names.js';
import { type Cells, gatherCells, valuesOf } from './judged.js';
import type { CalibrationTask, ClusteredRows } from './task.js';

/** Items of one scorer with their scores on a human scale. */
export interface ScoredItems extends ClusteredRows {
  readonly scores: Float64Array;
  /** How much each row counts. */
  readonly weights: Float64Array;
}

/** In shared memory, since threads fit to them. */
export const scoredItems = ({ logit, score, cluster, clusterNames, weight }: JoinedAbsolutes): ScoredItems => ({
  logits: shared(logit),
  scores: shared(score),
  weights: shared(weight ?? new Float64Array(score.length).fill(1)),
  cluster: { names: clusterNames, codes: shared(cluster) },
});

/** Figures of how far off a prediction is, which must be on the scale of what it predicts. */
const ON_SCALE: ReadonlySet<string> = new Set(['rmse', 'mae']);

/** What stands for a prediction of a figure without a calibrator: the utility, or the logit where only order or linearity counts. */
export const uncalibrated = (logits: Float64Array, metric: string): Float64Array =>
  ON_SCALE.has(metric) ? logits.map(Math.tanh) : logits; // large logits all have the utility 1

/** Mean score and weight of each cell of items. */
class CellMeans {
  private readonly scores: Float64Array;
  private readonly weights: Float64Array;

  constructor(private readonly cells: Cells) {
    this.scores = new Float64Array(cells.logits.length);
    this.weights = new Float64Array(cells.logits.length);
  }

  add({ scores, weights }: ScoredItems, row: number, times: number): void {
    const weight = times * weights[row];
    if (weight === 0) return;
    this.scores[this.cells.of[row]] += weight * scores[row];
    this.weights[this.cells.of[row]] += weight;
  }

  finish({ cluster }: ScoredItems): ScoredItems {
    const { weights } = this;
    const means = this.scores.map((sum, cell) => (weights[cell] > 0 ? sum / weights[cell] : 0));
    return { logits: this.cells.logits, scores: means, weights, cluster };
  }
}

/** Items: the loss is the squared error on the human scale. */
export const SCALE_TASK: CalibrationTask<ScoredItems> = {
  kind: 'absolute',
  range: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  select: ({ logits, scores, weights, cluster }, which) => ({
    logits: valuesOf(logits, which),
    scores: valuesOf(scores, which),
    weights: valuesOf(weights, which),
    cluster: selectClusters(cluster, which),
  }),
  reweight: (rows, weights) => ({ ...rows, weights: rows.weights.map((weight, row) => weight * weights[row]) }),
  prepareResample: (rows, { of }, limit) => {
    const cells = gatherCells(rows.logits, limit);
    return (draws) => {
      const sums = new CellMeans(cells);
      for (let row = 0; row < of.length; row++) sums.add(rows, row, draws[of[row]]);
      return sums.finish(rows);
    };
  },
  prepareGather: (rows, limit) => {
    const cells = gatherCells(rows.logits, limit);
    return (which) => {
      const sums = new CellMeans(cells);
      for (const row of which) sums.add(rows, row, 1);
      return sums.finish(rows);
    };
  },
  cautions: ({ scores }) =>
    scores.every((score) => score === scores[0])
      ? [`All items have the score ${scores[0]}: any curve to it is level.`]
      : [],
  weights: ({ weights }) => weights,
  toLosses: ({ scores, weights }, predicted) => {
    for (let i = 0; i < predicted.length; i++) predicted[i] = weights[i] * (predicted[i] - scores[i]) ** 2;
  },
  statistics: ({ logits, scores, weights }, predicted) => {
    const equal = weights.every((weight) => weight === 1);
    return ABSOLUTE_METRICS.map(({ id, prepare }) => {
      const statistic = prepare({ predicted: predicted ?? uncalibrated(logits, id), actual: scores });
      return { id, statistic: equal ? statistic : weighted(statistic, weights) };
    });
  },
};
