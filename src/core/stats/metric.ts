import { prepareAuc } from './auc.js';
import { prepareBrier } from './brier.js';
import { type Binning, prepareEqualMassBins, prepareEqualWidthBins } from './calibration-bins.js';
import { debiasedMeanGap, largestGap, meanGap } from './calibration-error.js';
import { preparePearson, prepareSpearman } from './correlation.js';
import { prepareKendall } from './kendall.js';
import { prepareLogitLoss, prepareLogLoss, sigmoid } from './logistic.js';
import { bothOrders, concatenate, type Outcomes } from './outcomes.js';
import { prepareVoteAccuracy } from './pairwise-accuracy.js';
import { prepareMae, prepareRmse } from './prediction-error.js';
import { prepareSmoothEce } from './smooth-ece.js';
import { ofBothOrders, type Statistic } from './statistic.js';

/** A figure that reports may name. Keys are public: add freely, never rename. */
export interface Metric<Rows> {
  readonly id: string;
  readonly label: string;
  /** Least and greatest value; infinite where there is none. */
  readonly range: readonly [number, number];
  readonly direction: 'higher' | 'lower';
  /** Definition, and the implementation matched. */
  readonly source: string;
  /** Why the statistic is null, where it is. */
  readonly undefinedWhen: string;
  /** @throws RangeError if a number of the rows is out of its range */
  prepare(rows: Rows): Statistic;
}

/** Judged pairs with a model's scores. */
export interface PairRows {
  /** Pair logits, whose sign decides. */
  readonly logits: Float64Array;
  /** Calibrated P(left preferred); null where the model is uncalibrated, and sigmoid(logit) stands in. */
  readonly probabilities: Float64Array | null;
  /** Votes for the left (positive) and for the right (negative). */
  readonly outcomes: Outcomes;
}

/** Rated items with a model's predictions, on the same scale for RMSE and MAE. */
export interface AbsoluteRows {
  readonly predicted: Float64Array;
  readonly actual: Float64Array;
}

const probabilitiesOf = ({ probabilities, logits }: PairRows): Float64Array => probabilities ?? logits.map(sigmoid);

/** Both orders of every pair, with their bins: made once for all calibration errors of the same rows. */
class Mirrored {
  readonly probabilities: Float64Array;
  readonly outcomes: Outcomes;
  private width: Binning | undefined;
  private mass: Binning | undefined;

  constructor(rows: PairRows) {
    // 1 - (1 - p) differs from p by rounding only, and makes p and 1 - p mirror each other exactly: ties stay ties.
    const probabilities = probabilitiesOf(rows).map((p) => 1 - (1 - p));
    this.probabilities = concatenate(
      probabilities,
      probabilities.map((p) => 1 - p),
    );
    this.outcomes = bothOrders(rows.outcomes);
  }

  equalWidth(): Binning {
    this.width ??= prepareEqualWidthBins(this.probabilities, this.outcomes);
    return this.width;
  }

  equalMass(): Binning {
    this.mass ??= prepareEqualMassBins(this.probabilities, this.outcomes);
    return this.mass;
  }
}

const MIRRORED = new WeakMap<PairRows, Mirrored>();

/** A calibration error over both orders of every pair, so that it does not depend on which side was called left. */
const inBothOrders =
  (prepare: (mirrored: Mirrored) => Statistic) =>
  (rows: PairRows): Statistic => {
    const mirrored = MIRRORED.get(rows) ?? new Mirrored(rows);
    MIRRORED.set(rows, mirrored);
    return ofBothOrders(prepare(mirrored), rows.logits.length);
  };

const NO_VOTES = 'no row has votes';

export const PAIR_METRICS: readonly Metric<PairRows>[] = [
  {
    id: 'accuracy',
    label: 'Accuracy',
    range: [0, 1],
    direction: 'higher',
    source: 'share of votes the sign of the pair logit agrees with; a zero logit and a tie vote count one half',
    undefinedWhen: NO_VOTES,
    prepare: ({ logits, outcomes }) => prepareVoteAccuracy(logits, outcomes),
  },
  {
    id: 'auc',
    label: 'AUC',
    range: [0, 1],
    direction: 'higher',
    source: 'Mann and Whitney (1947), weighted by votes; sklearn.metrics.roc_auc_score',
    undefinedWhen: 'all votes are for the same side',
    prepare: ({ logits, outcomes }) => prepareAuc(logits, outcomes),
  },
  {
    id: 'nll',
    label: 'Log loss',
    range: [0, Number.POSITIVE_INFINITY],
    direction: 'lower',
    source: 'mean negative log likelihood of the votes, in nats; sklearn.metrics.log_loss',
    undefinedWhen: NO_VOTES,
    prepare: ({ logits, probabilities, outcomes }) =>
      probabilities === null ? prepareLogitLoss(logits, outcomes) : prepareLogLoss(probabilities, outcomes),
  },
  {
    id: 'brier',
    label: 'Brier score',
    range: [0, 1],
    direction: 'lower',
    source: 'Brier (1950), one term a vote; sklearn.metrics.brier_score_loss',
    undefinedWhen: NO_VOTES,
    prepare: (rows) => prepareBrier(probabilitiesOf(rows), rows.outcomes),
  },
  {
    id: 'ece',
    label: 'ECE',
    range: [0, 1],
    direction: 'lower',
    source: 'Guo et al. (2017), P(left), 15 bins of equal width, both orders of every pair; netcal.metrics.ECE',
    undefinedWhen: NO_VOTES,
    prepare: inBothOrders((mirrored) => meanGap(mirrored.equalWidth())),
  },
  {
    id: 'eceMass',
    label: 'ECE, equal mass',
    range: [0, 1],
    direction: 'lower',
    source: '15 bins of equal numbers of votes, both orders of every pair; verified_calibration get_ece_em',
    undefinedWhen: NO_VOTES,
    prepare: inBothOrders((mirrored) => meanGap(mirrored.equalMass())),
  },
  {
    id: 'eceDebiased',
    label: 'ECE, debiased',
    range: [0, 1],
    direction: 'lower',
    source:
      'Kumar, Liang and Ma (2019), 15 bins of equal numbers of votes, both orders; verified_calibration normal_debiased_ce',
    undefinedWhen: NO_VOTES,
    prepare: inBothOrders((mirrored) => debiasedMeanGap(mirrored.equalMass())),
  },
  {
    id: 'smece',
    label: 'Smooth ECE',
    range: [0, 1],
    direction: 'lower',
    source: 'Błasiok and Nakkiran (2023), both orders of every pair; relplot.smECE',
    undefinedWhen: NO_VOTES,
    prepare: inBothOrders(({ probabilities, outcomes }) => prepareSmoothEce(probabilities, outcomes)),
  },
  {
    id: 'mce',
    label: 'MCE',
    range: [0, 1],
    direction: 'lower',
    source: 'largest gap of 15 bins of equal width, both orders of every pair; netcal.metrics.MCE',
    undefinedWhen: NO_VOTES,
    prepare: inBothOrders((mirrored) => largestGap(mirrored.equalWidth())),
  },
];

export const ABSOLUTE_METRICS: readonly Metric<AbsoluteRows>[] = [
  {
    id: 'rmse',
    label: 'RMSE',
    range: [0, Number.POSITIVE_INFINITY],
    direction: 'lower',
    source: 'root mean squared error on the human scale; sklearn.metrics.root_mean_squared_error',
    undefinedWhen: 'there are no rows',
    prepare: ({ predicted, actual }) => prepareRmse(predicted, actual),
  },
  {
    id: 'mae',
    label: 'MAE',
    range: [0, Number.POSITIVE_INFINITY],
    direction: 'lower',
    source: 'mean absolute error on the human scale; sklearn.metrics.mean_absolute_error',
    undefinedWhen: 'there are no rows',
    prepare: ({ predicted, actual }) => prepareMae(predicted, actual),
  },
  {
    id: 'spearman',
    label: 'Spearman',
    range: [-1, 1],
    direction: 'higher',
    source: 'Pearson correlation of average ranks; scipy.stats.spearmanr',
    undefinedWhen: 'the predictions or the ratings do not vary',
    prepare: ({ predicted, actual }) => prepareSpearman(predicted, actual),
  },
  {
    id: 'kendall',
    label: 'Kendall tau-b',
    range: [-1, 1],
    direction: 'higher',
    source: 'Kendall (1945), ties corrected; scipy.stats.kendalltau',
    undefinedWhen: 'the predictions or the ratings do not vary',
    prepare: ({ predicted, actual }) => prepareKendall(predicted, actual),
  },
  {
    id: 'pearson',
    label: 'Pearson',
    range: [-1, 1],
    direction: 'higher',
    source: 'product-moment correlation; scipy.stats.pearsonr',
    undefinedWhen: 'the predictions or the ratings do not vary',
    prepare: ({ predicted, actual }) => preparePearson(predicted, actual),
  },
];
