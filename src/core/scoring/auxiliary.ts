import { AUXILIARY, type Auxiliary } from '../data/rows.js';
import type { ValueInfo } from '../runtime/session.js';

/** The auxiliary heads among a model's outputs: each gives logits [batch, classes], of two classes at least. */
export const headsOf = (outputs: readonly ValueInfo[]): Auxiliary[] =>
  AUXILIARY.filter((head) =>
    outputs.some(({ name, shape }) => name === head && shape.length === 2 && Number(shape[1]) >= 2),
  );

/**
 * The number of the class, 0 to C - 1, on average over the probabilities (softmax) of the classes. Of two classes it is the
 * probability of the second; of the quality classes, worst to best, a quality without steps.
 */
export function meanClass(logits: ArrayLike<number>): number {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const weights = values.map((logit) => Math.exp(logit - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.reduce((sum, weight, index) => sum + index * weight, 0) / total;
}
