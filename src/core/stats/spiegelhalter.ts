import { twoSidedP } from './normal.js';
import { assertOutcomes, assertProbabilities, type Outcomes } from './outcomes.js';

export interface ZTest {
  readonly z: number;
  /** Two-sided. */
  readonly pValue: number;
}

/**
 * Spiegelhalter's test that probabilities are calibrated: z = Σ (y - p)(1 - 2p) / sqrt(Σ (1 - 2p)² p (1 - p)), normal where
 * they are. Every vote counts as an observation of its own: votes that depend on each other make it reject too often.
 *
 * @returns null where the variance is 0: every probability is 0, 0.5 or 1
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 * @see Spiegelhalter (1986)
 */
export function spiegelhalterTest(probabilities: Float64Array, outcomes: Outcomes): ZTest | null {
  assertProbabilities(probabilities);
  assertOutcomes(outcomes, probabilities.length);
  let sum = 0;
  let variance = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i];
    const positive = outcomes.positive[i];
    const votes = positive + outcomes.negative[i];
    sum += (positive - votes * p) * (1 - 2 * p);
    variance += votes * (1 - 2 * p) ** 2 * p * (1 - p);
  }
  if (!(variance > 0)) return null;
  const z = sum / Math.sqrt(variance);
  return { z, pValue: twoSidedP(z) };
}
