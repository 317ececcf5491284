import { auc } from '../stats/auc.js';

/** What is to be expected of probabilities that hold, without a single label. */
export interface EstimatedPerformance {
  /** Mean chance that the more likely side is the preferred one. */
  readonly accuracy: number;
  /** Null where every probability is 0, or every one is 1. */
  readonly auc: number | null;
}

/**
 * Expected accuracy and AUC: every row counts as p of a positive and 1 - p of a negative one.
 *
 * @param probabilities - calibrated, in [0, 1]
 * @see nannyml's CBPE; both trust the calibrator and are blind to a change of what raters prefer at the same score
 */
export function estimatePerformance(probabilities: Float64Array): EstimatedPerformance {
  if (probabilities.length === 0) throw new RangeError('no probabilities');
  const sum = probabilities.reduce((total, p) => total + Math.max(p, 1 - p), 0);
  const outcomes = { positive: probabilities, negative: probabilities.map((p) => 1 - p) };
  return { accuracy: sum / probabilities.length, auc: auc(probabilities, outcomes) };
}
