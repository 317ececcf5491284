import { argsort } from './argsort.js';
import { assertOutcomes, assertProbabilities, type Outcomes } from './outcomes.js';
import { poolAdjacentViolators } from './pava.js';
import { tieEnds } from './ranks.js';
import { ratioOfSums, type Statistic } from './statistic.js';

/** Sum of squared errors of one forecast against its votes. */
const squaredError = (p: number, positive: number, negative: number): number =>
  positive * (1 - p) ** 2 + negative * p ** 2;

/**
 * Brier score of the votes, in [0, 1], lower is better.
 *
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 * @see sklearn.metrics.brier_score_loss
 */
export function prepareBrier(probabilities: Float64Array, outcomes: Outcomes): Statistic {
  assertProbabilities(probabilities);
  assertOutcomes(outcomes, probabilities.length);
  const { positive, negative } = outcomes;
  const errors = probabilities.map((p, i) => squaredError(p, positive[i], negative[i]));
  return ratioOfSums(
    errors,
    positive.map((votes, i) => votes + negative[i]),
  );
}

/** Brier score = miscalibration - discrimination + uncertainty. */
export interface BrierDecomposition {
  readonly brier: number;
  /** MCB: what recalibrating by isotonic regression would gain, >= 0. */
  readonly miscalibration: number;
  /** DSC: what the recalibrated forecast gains over the base rate, >= 0. */
  readonly discrimination: number;
  /** UNC: the Brier score of the base rate. */
  readonly uncertainty: number;
}

/** Votes of the distinct forecasts that have any, forecasts ascending. */
interface VotesByForecast extends Outcomes {
  readonly forecasts: Float64Array;
}

/** @returns a function of row weights; what it returns is valid until the next call */
function prepareVotesByForecast(
  probabilities: Float64Array,
  outcomes: Outcomes,
): (weights?: Float64Array) => VotesByForecast {
  const order = argsort(probabilities);
  const ends = tieEnds(probabilities, order);
  const forecasts = new Float64Array(order.length);
  const positive = new Float64Array(order.length);
  const negative = new Float64Array(order.length);
  return (weights) => {
    let count = 0;
    let tiedPositive = 0;
    let tiedNegative = 0;
    for (let i = 0; i < order.length; i++) {
      const weight = weights === undefined ? 1 : weights[order[i]];
      tiedPositive += weight * outcomes.positive[order[i]];
      tiedNegative += weight * outcomes.negative[order[i]];
      if (ends[i] === 0) continue;
      if (tiedPositive + tiedNegative > 0) {
        forecasts[count] = probabilities[order[i]];
        positive[count] = tiedPositive;
        negative[count++] = tiedNegative;
      }
      tiedPositive = 0;
      tiedNegative = 0;
    }
    return {
      forecasts: forecasts.subarray(0, count),
      positive: positive.subarray(0, count),
      negative: negative.subarray(0, count),
    };
  };
}

function decompose({ forecasts, positive, negative }: VotesByForecast): BrierDecomposition | null {
  const votes = positive.map((value, i) => value + negative[i]);
  const recalibrated = poolAdjacentViolators(
    positive.map((value, i) => value / votes[i]),
    votes,
  );
  let positives = 0;
  let total = 0;
  let loss = 0;
  let recalibratedLoss = 0;
  for (let i = 0; i < forecasts.length; i++) {
    positives += positive[i];
    total += votes[i];
    loss += squaredError(forecasts[i], positive[i], negative[i]);
    recalibratedLoss += squaredError(recalibrated[i], positive[i], negative[i]);
  }
  if (total === 0) return null;
  const rate = positives / total;
  const uncertainty = rate * (1 - rate);
  return {
    brier: loss / total,
    miscalibration: Math.max(0, (loss - recalibratedLoss) / total),
    discrimination: Math.max(0, uncertainty - recalibratedLoss / total),
    uncertainty,
  };
}

/**
 * CORP decomposition of the Brier score, which needs no bins: the forecast is recalibrated by pooling adjacent violators.
 *
 * @returns a function of row weights; null where no row counts
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 * @see Dimitriadis, Gneiting and Jordan (2021), "Stable reliability diagrams for probabilistic classifiers"
 */
export function prepareBrierDecomposition(
  probabilities: Float64Array,
  outcomes: Outcomes,
): (weights?: Float64Array) => BrierDecomposition | null {
  assertProbabilities(probabilities);
  assertOutcomes(outcomes, probabilities.length);
  const votesByForecast = prepareVotesByForecast(probabilities, outcomes);
  return (weights) => decompose(votesByForecast(weights));
}
