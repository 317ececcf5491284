import { argsort } from './argsort.js';
import { assertOutcomes, assertProbabilities, type Outcomes } from './outcomes.js';
import { tieEnds } from './ranks.js';

/** Bins of every calibration error unless a caller says otherwise (Guo et al. 2017). */
export const DEFAULT_BINS = 15;

/** Votes and forecasts of each bin; bins nobody voted in are not listed. */
export interface CalibrationBin {
  /** Votes in the bin. */
  readonly weight: number;
  /** Mean probability over those votes. */
  readonly forecast: number;
  /** Share of positive votes. */
  readonly rate: number;
}

/** Bins as a function of how often each row counts. */
export interface Binning {
  /** The rows by their probability. */
  readonly order: Uint32Array;
  /** @param at - where in the counts that of each row in this order is (see `inOrder`) */
  count(counts: Float64Array | undefined, at: Uint32Array): CalibrationBin[];
}

/** Votes of the rows, and their probabilities times votes, in the order of the probabilities. */
function sortByProbability(probabilities: Float64Array, { positive, negative }: Outcomes) {
  const order = argsort(probabilities);
  const sorted = (ofRow: (row: number) => number) => Float64Array.from(order, ofRow);
  return {
    order,
    ends: tieEnds(probabilities, order),
    votes: sorted((row) => positive[row] + negative[row]),
    forecasts: sorted((row) => probabilities[row] * (positive[row] + negative[row])),
    positives: sorted((row) => positive[row]),
  };
}

const binOfSums = (votes: number, forecasts: number, positives: number): CalibrationBin => ({
  weight: votes,
  forecast: forecasts / votes,
  rate: positives / votes,
});

/** Which of `bins` equal parts of [0, 1] a probability is in: (i / bins, (i + 1) / bins], 0 in the first. */
function binOf(probability: number, bins: number): number {
  const guess = Math.max(0, Math.ceil(probability * bins) - 1);
  // The product is rounded: the edges themselves decide.
  if (guess > 0 && probability <= guess / bins) return guess - 1;
  return guess < bins - 1 && probability > (guess + 1) / bins ? guess + 1 : guess;
}

/**
 * Bins of equal width, closed on the right.
 *
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 */
export function prepareEqualWidthBins(probabilities: Float64Array, outcomes: Outcomes, bins = DEFAULT_BINS): Binning {
  assertProbabilities(probabilities);
  assertOutcomes(outcomes, probabilities.length);
  const { order, votes, forecasts, positives } = sortByProbability(probabilities, outcomes);
  const binEnds = new Uint32Array(bins);
  for (const row of order) binEnds[binOf(probabilities[row], bins)]++;
  for (let bin = 1; bin < bins; bin++) binEnds[bin] += binEnds[bin - 1];
  return {
    order,
    count: (counts, at) => {
      const finished: CalibrationBin[] = [];
      let i = 0;
      for (const end of binEnds) {
        let [inBin, forecast, positive] = [0, 0, 0];
        for (; i < end; i++) {
          const weight = counts === undefined ? 1 : counts[at[i]];
          inBin += weight * votes[i];
          forecast += weight * forecasts[i];
          positive += weight * positives[i];
        }
        if (inBin > 0) finished.push(binOfSums(inBin, forecast, positive));
      }
      return finished;
    },
  };
}

/**
 * Bins of equal numbers of votes: a bin closes at the first probability at which the votes so far reach the next of `bins`
 * equal shares. Equal probabilities stay together, so there may be fewer bins.
 *
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 */
export function prepareEqualMassBins(probabilities: Float64Array, outcomes: Outcomes, bins = DEFAULT_BINS): Binning {
  assertProbabilities(probabilities);
  assertOutcomes(outcomes, probabilities.length);
  const { order, ends, votes, forecasts, positives } = sortByProbability(probabilities, outcomes);
  return {
    order,
    count: (counts, at) => {
      let total = 0;
      for (let i = 0; i < votes.length; i++) total += (counts === undefined ? 1 : counts[at[i]]) * votes[i];
      const finished: CalibrationBin[] = [];
      let seen = 0; // votes in finished bins
      let fullAt = total; // votes times bins at which the bin that is open closes
      let [inBin, forecast, positive] = [0, 0, 0];
      for (let i = 0; i < votes.length; i++) {
        const weight = counts === undefined ? 1 : counts[at[i]];
        inBin += weight * votes[i];
        forecast += weight * forecasts[i];
        positive += weight * positives[i];
        const full = ends[i] === 1 && (seen + inBin) * bins >= fullAt;
        if (inBin === 0 || !(full || i === votes.length - 1)) continue;
        finished.push(binOfSums(inBin, forecast, positive));
        seen += inBin;
        fullAt = (Math.floor((seen * bins) / total) + 1) * total;
        inBin = forecast = positive = 0;
      }
      return finished;
    },
  };
}
