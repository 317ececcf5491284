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

/** Bins as a function of row weights. */
export type Binning = (weights?: Float64Array) => CalibrationBin[];

class BinSums {
  weight = 0;
  private forecast = 0;
  private positive = 0;

  add(probability: number, positive: number, negative: number): void {
    this.weight += positive + negative;
    this.forecast += probability * (positive + negative);
    this.positive += positive;
  }

  finish(): CalibrationBin {
    return { weight: this.weight, forecast: this.forecast / this.weight, rate: this.positive / this.weight };
  }
}

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
  const { positive, negative } = outcomes;
  const binOfRow = Uint32Array.from(probabilities, (p) => binOf(p, bins));
  return (weights) => {
    const sums = Array.from({ length: bins }, () => new BinSums());
    for (let i = 0; i < binOfRow.length; i++) {
      const weight = weights === undefined ? 1 : weights[i];
      sums[binOfRow[i]].add(probabilities[i], weight * positive[i], weight * negative[i]);
    }
    return sums.filter((sum) => sum.weight > 0).map((sum) => sum.finish());
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
  const { positive, negative } = outcomes;
  const order = argsort(probabilities);
  const ends = tieEnds(probabilities, order);
  return (weights) => {
    let total = 0;
    for (let i = 0; i < order.length; i++) {
      total += (weights === undefined ? 1 : weights[i]) * (positive[i] + negative[i]);
    }
    const finished: CalibrationBin[] = [];
    let bin = new BinSums();
    let seen = 0; // votes in finished bins
    for (let i = 0; i < order.length; i++) {
      const row = order[i];
      const weight = weights === undefined ? 1 : weights[row];
      bin.add(probabilities[row], weight * positive[row], weight * negative[row]);
      const share = Math.floor((seen * bins) / total) + 1;
      const full = i === order.length - 1 || (ends[i] === 1 && (seen + bin.weight) * bins >= share * total);
      if (!full || bin.weight === 0) continue;
      finished.push(bin.finish());
      seen += bin.weight;
      bin = new BinSums();
    }
    return finished;
  };
}
