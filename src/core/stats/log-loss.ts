import { softplus } from './logistic.js';
import { assertFinite, assertOutcomes, assertProbabilities, type Outcomes } from './outcomes.js';
import { ratioOfSums, type Statistic } from './statistic.js';

/** Probabilities are kept this far from 0 and 1 in a logarithm, as scikit-learn does. */
const EPSILON = 2 ** -52;

/**
 * Mean negative log likelihood of the votes, in nats, from logits: exact where the probability itself would round to 0 or 1.
 *
 * @throws RangeError if a logit is not finite or a vote count is negative or not finite
 */
export function prepareLogitLoss(logits: Float64Array, outcomes: Outcomes): Statistic {
  assertFinite('logit', logits);
  return prepareLoss(outcomes, logits, softplus, (z) => softplus(-z));
}

/**
 * Mean negative log likelihood of the votes, in nats, from probabilities, which are clipped to [2^-52, 1 - 2^-52].
 *
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 * @see sklearn.metrics.log_loss
 */
export function prepareLogLoss(probabilities: Float64Array, outcomes: Outcomes): Statistic {
  assertProbabilities(probabilities);
  const clip = (p: number) => Math.min(Math.max(p, EPSILON), 1 - EPSILON);
  return prepareLoss(
    outcomes,
    probabilities,
    (p) => -Math.log1p(-clip(p)),
    (p) => -Math.log(clip(p)),
  );
}

function prepareLoss(
  outcomes: Outcomes,
  forecasts: Float64Array,
  lossOfNegative: (forecast: number) => number,
  lossOfPositive: (forecast: number) => number,
): Statistic {
  assertOutcomes(outcomes, forecasts.length);
  const { positive, negative } = outcomes;
  const loss = forecasts.map((x, i) => positive[i] * lossOfPositive(x) + negative[i] * lossOfNegative(x));
  return ratioOfSums(
    loss,
    positive.map((votes, i) => votes + negative[i]),
  );
}
