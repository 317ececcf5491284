import { argsort } from './argsort.js';
import { assertOutcomes, type Outcomes } from './outcomes.js';
import { tieEnds } from './ranks.js';
import { inOrder, type Statistic } from './statistic.js';

/**
 * Sorts the rows once and returns their AUC as a function of row weights; each call is one pass.
 *
 * @param scores - higher means more likely positive; infinities are ordered as numbers
 * @throws RangeError if a score is NaN or a vote count is negative or not finite
 */
export function prepareAuc(scores: Float64Array, outcomes: Outcomes): Statistic {
  assertOutcomes(outcomes, scores.length);
  const order = argsort(scores);
  const ends = tieEnds(scores, order);
  const positive = new Float64Array(order.length);
  const negative = new Float64Array(order.length);
  for (let i = 0; i < order.length; i++) {
    positive[i] = outcomes.positive[order[i]];
    negative[i] = outcomes.negative[order[i]];
  }
  return inOrder(order, (counts, at) => {
    let concordant = 0;
    let positives = 0;
    let negatives = 0;
    let tiedPositive = 0;
    let tiedNegative = 0;
    for (let i = 0; i < at.length; i++) {
      const weight = counts === undefined ? 1 : counts[at[i]];
      tiedPositive += weight * positive[i];
      tiedNegative += weight * negative[i];
      if (ends[i] === 0) continue;
      concordant += tiedPositive * (negatives + tiedNegative / 2);
      positives += tiedPositive;
      negatives += tiedNegative;
      tiedPositive = 0;
      tiedNegative = 0;
    }
    return positives > 0 && negatives > 0 ? concordant / (positives * negatives) : null;
  });
}

/**
 * Area under the ROC curve: the probability that a positive scores above a negative, ties counting one half. Votes of one
 * row on both sides are compared too, as a tie.
 *
 * @returns in [0, 1]; null with one class only
 * @throws RangeError as `prepareAuc`
 * @see Mann and Whitney (1947); equals sklearn.metrics.roc_auc_score with sample_weight
 */
export function auc(scores: Float64Array, outcomes: Outcomes): number | null {
  return prepareAuc(scores, outcomes)();
}
