import { prepareAuc } from './auc.js';
import { prepareBrier } from './brier.js';
import { type Binning, binsOfBothOrders, type CalibrationBin, prepareBinnings } from './calibration-bins.js';
import { type BinFigure, debiasedMeanGap, largestGap, meanGap, ofBinning } from './calibration-error.js';
import { preparePearson, prepareSpearman } from './correlation.js';
import { prepareKendall } from './kendall.js';
import { prepareLogitLoss, prepareLogLoss } from './log-loss.js';
import { sigmoid } from './logistic.js';
import { bothOrders, concatenate, type Outcomes } from './outcomes.js';
import { type CellsOfPairs, mirrorable, pairCells } from './pair-cells.js';
import { prepareVoteAccuracy } from './pairwise-accuracy.js';
import { prepareMae, prepareRmse } from './prediction-error.js';
import { prepareSmoothEce } from './smooth-ece.js';
import { type ClusterStatistic, type Clusters, ofBothOrders, overClusters, type Statistic } from './statistic.js';

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

const mirrorableOf = ({ probabilities, logits }: PairRows): Float64Array =>
  probabilities ? probabilities.map(mirrorable) : logits.map((logit) => mirrorable(sigmoid(logit)));

/** Both orders of every pair, with their bins: made once for all calibration errors of the same rows. */
class Mirrored {
  private readonly bins: { readonly width: Binning; readonly mass: Binning };

  constructor(rows: PairRows) {
    const probabilities = mirrorableOf(rows);
    const others = probabilities.map((p) => 1 - p);
    this.bins = prepareBinnings(concatenate(probabilities, others), bothOrders(rows.outcomes));
  }

  equalWidth(): Binning {
    return this.bins.width;
  }

  equalMass(): Binning {
    return this.bins.mass;
  }
}

type BinsOfRows = Readonly<Record<'width' | 'mass', readonly CalibrationBin[]>>;

const BINS = new WeakMap<PairRows, BinsOfRows>();

/** Bins of all rows in both orders, each counting once. */
function binsOf(rows: PairRows): BinsOfRows {
  const bins = BINS.get(rows) ?? binsOfBothOrders(mirrorableOf(rows), rows.outcomes);
  BINS.set(rows, bins);
  return bins;
}

/** Of the rows that were asked for last: the calibration errors of the same rows are prepared one after the other. */
let latest: { readonly rows: PairRows; readonly mirrored: Mirrored } | undefined;

function mirroredOf(rows: PairRows): Mirrored {
  if (latest?.rows !== rows) latest = { rows, mirrored: new Mirrored(rows) };
  return latest.mirrored;
}

/** A calibration error over both orders of every pair, so that it does not depend on which side was called left. */
const inBothOrders =
  (prepare: (mirrored: Mirrored) => Statistic) =>
  (rows: PairRows): Statistic =>
    ofBothOrders(prepare(mirroredOf(rows)), rows.logits.length);

/** Of more rows than this, statistics keep the rows and nothing that is made of them. */
const MANY_ROWS = 2 ** 15;

/** A statistic that, of very many rows, is prepared when it is asked for. */
const whenAsked =
  (
    prepare: (rows: PairRows) => Statistic,
    ofDraws = (rows: PairRows, clusters: Clusters): ClusterStatistic => overClusters(prepare(rows), clusters),
  ) =>
  (rows: PairRows): Statistic => {
    const prepared = rows.logits.length > MANY_ROWS ? null : prepare(rows);
    const statistic: Statistic = (weights) => (prepared ?? prepare(rows))(weights);
    statistic.overClusters = (clusters) => {
      // The figure itself is had, and what it was made of takes several times the rows.
      if (latest && latest.rows.logits.length > MANY_ROWS) latest = undefined;
      return ofDraws(rows, clusters);
    };
    return statistic;
  };

/** As `whenAsked`, of a ratio of sums over rows. */
const ratioWhenAsked =
  (prepare: (rows: PairRows) => Statistic) =>
  (rows: PairRows): Statistic => {
    const statistic = whenAsked(prepare)(rows);
    statistic.terms = () => prepare(rows).terms!();
    return statistic;
  };

const CELLS = new WeakMap<PairRows, CellsOfPairs>();

function cellsOf(rows: PairRows): CellsOfPairs {
  const cells = CELLS.get(rows) ?? pairCells(rows.logits, mirrorableOf(rows), rows.outcomes);
  CELLS.set(rows, cells);
  return cells;
}

/** A statistic whose resamples are of cells; the figure itself always is of the rows. */
const inCells = (
  prepare: (rows: PairRows) => Statistic,
  ofCells: (cells: CellsOfPairs, clusters: Clusters) => ClusterStatistic,
) => whenAsked(prepare, (rows, clusters) => ofCells(cellsOf(rows), clusters));

/** A calibration error of bins over both orders of every pair. */
function ofBins(kind: 'width' | 'mass', figure: BinFigure): (rows: PairRows) => Statistic {
  const prepare = inBothOrders((mirrored) =>
    ofBinning(kind === 'width' ? mirrored.equalWidth() : mirrored.equalMass(), figure),
  );
  const inCellsOf = inCells(prepare, ({ byProbability }, clusters) => byProbability.ofBins(clusters, kind, figure));
  return (rows) => {
    const statistic = inCellsOf(rows);
    if (rows.logits.length <= MANY_ROWS) return statistic;
    const ofAll: Statistic = (weights) => {
      if (weights !== undefined) return statistic(weights);
      const bins = binsOf(rows)[kind];
      return bins.length > 0 ? figure(bins) : null;
    };
    ofAll.overClusters = statistic.overClusters;
    return ofAll;
  };
}

const NO_VOTES = 'no row has votes';

export const PAIR_METRICS: readonly Metric<PairRows>[] = [
  {
    id: 'accuracy',
    label: 'Accuracy',
    range: [0, 1],
    direction: 'higher',
    source: 'share of votes the sign of the pair logit agrees with; a zero logit and a tie vote count one half',
    undefinedWhen: NO_VOTES,
    prepare: ratioWhenAsked(({ logits, outcomes }) => prepareVoteAccuracy(logits, outcomes)),
  },
  {
    id: 'auc',
    label: 'AUC',
    range: [0, 1],
    direction: 'higher',
    source: 'Mann and Whitney (1947), weighted by votes; sklearn.metrics.roc_auc_score',
    undefinedWhen: 'all votes are for the same side',
    prepare: inCells(
      ({ logits, outcomes }) => prepareAuc(logits, outcomes),
      ({ byLogit }, clusters) => byLogit.auc(clusters),
    ),
  },
  {
    id: 'nll',
    label: 'Log loss',
    range: [0, Number.POSITIVE_INFINITY],
    direction: 'lower',
    source: 'mean negative log likelihood of the votes, in nats; sklearn.metrics.log_loss',
    undefinedWhen: NO_VOTES,
    prepare: ratioWhenAsked(({ logits, probabilities, outcomes }) =>
      probabilities === null ? prepareLogitLoss(logits, outcomes) : prepareLogLoss(probabilities, outcomes),
    ),
  },
  {
    id: 'brier',
    label: 'Brier score',
    range: [0, 1],
    direction: 'lower',
    source: 'Brier (1950), one term a vote; sklearn.metrics.brier_score_loss',
    undefinedWhen: NO_VOTES,
    prepare: ratioWhenAsked((rows) => prepareBrier(probabilitiesOf(rows), rows.outcomes)),
  },
  {
    id: 'ece',
    label: 'ECE',
    range: [0, 1],
    direction: 'lower',
    source: 'Guo et al. (2017), P(left), 15 bins of equal width, both orders of every pair; netcal.metrics.ECE',
    undefinedWhen: NO_VOTES,
    prepare: ofBins('width', meanGap),
  },
  {
    id: 'eceMass',
    label: 'ECE, equal mass',
    range: [0, 1],
    direction: 'lower',
    source: '15 bins of equal numbers of votes, both orders of every pair; verified_calibration get_ece_em',
    undefinedWhen: NO_VOTES,
    prepare: ofBins('mass', meanGap),
  },
  {
    id: 'eceDebiased',
    label: 'ECE, debiased',
    range: [0, 1],
    direction: 'lower',
    source:
      'Kumar, Liang and Ma (2019), 15 bins of equal numbers of votes, both orders; verified_calibration normal_debiased_ce',
    undefinedWhen: NO_VOTES,
    prepare: ofBins('mass', debiasedMeanGap),
  },
  {
    id: 'smece',
    label: 'Smooth ECE',
    range: [0, 1],
    direction: 'lower',
    source: 'Błasiok and Nakkiran (2023), both orders of every pair; relplot.smECE',
    undefinedWhen: NO_VOTES,
    prepare: inCells(
      (rows) => prepareSmoothEce(mirrorableOf(rows), rows.outcomes, { bothOrders: true }),
      ({ byProbability }, clusters) => byProbability.smoothEce(clusters),
    ),
  },
  {
    id: 'mce',
    label: 'MCE',
    range: [0, 1],
    direction: 'lower',
    source: 'largest gap of 15 bins of equal width, both orders of every pair; netcal.metrics.MCE',
    undefinedWhen: NO_VOTES,
    prepare: ofBins('width', largestGap),
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
