import {
  type Binning,
  type CalibrationBin,
  DEFAULT_BINS,
  prepareEqualMassBins,
  prepareEqualWidthBins,
} from './calibration-bins.js';
import { normalCdf } from './normal.js';
import type { Outcomes } from './outcomes.js';
import type { Statistic } from './statistic.js';

const gap = ({ forecast, rate }: CalibrationBin): number => Math.abs(forecast - rate);

/** Mean over bins, weighted by their votes. */
function weightedMean(bins: readonly CalibrationBin[], figure: (bin: CalibrationBin) => number): number {
  let sum = 0;
  let total = 0;
  for (const bin of bins) {
    sum += bin.weight * figure(bin);
    total += bin.weight;
  }
  return sum / total;
}

/** A calibration error as a function of bins, of which there is one at least. */
export type BinFigure = (bins: readonly CalibrationBin[]) => number;

/** A statistic of bins; null where nobody voted. */
export function ofBinning(binning: Binning, figure: BinFigure): Statistic {
  const figureOf = (bins: readonly CalibrationBin[]) => (bins.length > 0 ? figure(bins) : null);
  const statistic: Statistic = (weights) => figureOf(binning.ofRows(weights));
  statistic.overClusters = (clusters) => {
    const binsOf = binning.ofClusters(clusters);
    return (draws, draw) => figureOf(binsOf(draws, draw));
  };
  return statistic;
}

/** Mean gap over bins: ECE where they are of equal width, equal-mass ECE where they are of equal votes. */
export const meanGap: BinFigure = (bins) => weightedMean(bins, gap);

/** Largest gap of a bin: MCE where they are of equal width. */
export const largestGap: BinFigure = (bins) => bins.reduce((most, bin) => Math.max(most, gap(bin)), 0);

/** Mean gap less the bias that noise adds; `prepareDebiasedEce` says how. */
export const debiasedMeanGap: BinFigure = (bins) => {
  const redrawn = weightedMean(bins, ({ forecast, rate, weight }) =>
    foldedNormalMean(forecast - rate, Math.sqrt((rate * (1 - rate)) / weight)),
  );
  return Math.max(0, 2 * weightedMean(bins, gap) - redrawn);
};

/** What calibration errors are computed from. */
export interface BinOptions {
  /** Number of bins; 15 by default. A calibration error without it cannot be compared. */
  readonly bins?: number;
}

/**
 * Expected calibration error of P(positive) over bins of equal width, in [0, 1].
 *
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 * @see Guo et al. (2017); netcal.metrics.ECE on binary labels
 */
export const prepareEce = (
  probabilities: Float64Array,
  outcomes: Outcomes,
  { bins = DEFAULT_BINS }: BinOptions = {},
): Statistic => ofBinning(prepareEqualWidthBins(probabilities, outcomes, bins), meanGap);

/** The largest gap of a bin of equal width. @throws RangeError as `prepareEce` @see netcal.metrics.MCE */
export const prepareMce = (
  probabilities: Float64Array,
  outcomes: Outcomes,
  { bins = DEFAULT_BINS }: BinOptions = {},
): Statistic => ofBinning(prepareEqualWidthBins(probabilities, outcomes, bins), largestGap);

/** Expected calibration error over bins of equal numbers of votes. @throws RangeError as `prepareEce` @see verified_calibration get_ece_em */
export const prepareEceMass = (
  probabilities: Float64Array,
  outcomes: Outcomes,
  { bins = DEFAULT_BINS }: BinOptions = {},
): Statistic => ofBinning(prepareEqualMassBins(probabilities, outcomes, bins), meanGap);

/** Mean of |X| for X ~ Normal(mean, deviation^2). */
function foldedNormalMean(mean: number, deviation: number): number {
  const size = Math.abs(mean);
  if (deviation === 0) return size;
  const z = size / deviation;
  return deviation * Math.sqrt(2 / Math.PI) * Math.exp((-z * z) / 2) + size * (1 - 2 * normalCdf(-z));
}

/**
 * ECE over bins of equal numbers of votes, less the bias that noise in the bins' rates adds: 2 ECE - E[ECE*], where ECE* is the
 * ECE with each rate redrawn from Normal(rate, rate (1 - rate) / votes). Of verified_calibration's normal_debiased_ce (Kumar,
 * Liang and Ma 2019) with power 1, whose 1000 random draws are replaced by their expectation. Below 0 it is 0. Every vote counts
 * as an observation of its own.
 *
 * @throws RangeError as `prepareEce`
 */
export const prepareDebiasedEce = (
  probabilities: Float64Array,
  outcomes: Outcomes,
  { bins = DEFAULT_BINS }: BinOptions = {},
): Statistic => ofBinning(prepareEqualMassBins(probabilities, outcomes, bins), debiasedMeanGap);

/**
 * Root mean squared calibration error over bins of equal numbers of votes, unbiased before the root: each bin's squared gap less
 * rate (1 - rate) / (votes - 1). Below 0 it is 0; a bin of fewer than two votes adds nothing.
 *
 * @throws RangeError as `prepareEce`
 * @see Kumar, Liang and Ma (2019); verified_calibration unbiased_l2_ce
 */
export const prepareDebiasedRmsce = (
  probabilities: Float64Array,
  outcomes: Outcomes,
  { bins = DEFAULT_BINS }: BinOptions = {},
): Statistic =>
  ofBinning(prepareEqualMassBins(probabilities, outcomes, bins), (list) => {
    const square = weightedMean(list, (bin) =>
      bin.weight < 2 ? 0 : gap(bin) ** 2 - (bin.rate * (1 - bin.rate)) / (bin.weight - 1),
    );
    return Math.sqrt(Math.max(0, square));
  });
