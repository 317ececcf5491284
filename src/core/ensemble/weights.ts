import { HpsError } from '../errors.js';
import type { StackFit } from './cross-fit.js';

/** How members are combined: the log-odds are `slope` times the weighted average of their logits. */
export interface EnsembleWeights {
  /** Of each member's logit as it comes. Not negative, sum 1. */
  readonly weights: readonly number[];
  /**
   * What part of the answer each member has: its weight times the usual size of its logits, as a share of all. Members whose logits
   * have different sizes can be compared by it. Sum 1.
   */
  readonly shares: readonly number[];
  /** 1 for weights given by hand. */
  readonly slope: number;
}

/**
 * Weights given by hand, normalised to sum 1.
 *
 * @param sizes - how large the logits of each member usually are; all alike where they are not known
 * @throws HpsError USAGE for a weight that is negative or not a number, and for weights that sum to 0
 */
export function givenWeights(given: ReadonlyMap<string, number>, sizes?: readonly number[]): EnsembleWeights {
  for (const [name, weight] of given) {
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) {
      throw badWeights(`the weight of ${name} is ${weight}`, 'Give every member a finite weight of 0 or more.');
    }
  }
  const weights = [...given.values()];
  if (!weights.some((weight) => weight > 0))
    throw badWeights('the weights sum to 0', 'Give at least one member a weight above 0.');
  const normalised = partsOf(weights);
  const influence = sizes === undefined ? normalised : normalised.map((weight, m) => weight * sizes[m]);
  // Members that score nothing but 0 have no influence to share.
  const shares = influence.some((part) => part > 0) ? partsOf(influence) : normalised;
  return { weights: normalised, shares, slope: 1 };
}

/** Numbers that are not negative, and not all 0, as parts of their sum. */
function partsOf(values: readonly number[]): number[] {
  const largest = Math.max(...values);
  const scaled = values.map((value) => value / largest); // sums of the largest doubles would overflow
  const sum = scaled.reduce((total, value) => total + value, 0);
  return scaled.map((value) => value / sum);
}

/**
 * Weights on the logits as they come, from a fit on standardised ones.
 *
 * @throws HpsError DATA_INVALID where all are 0, or where logits are too small for their weights to be written down
 */
export function fittedWeights({ weights, scales }: Pick<StackFit, 'weights' | 'scales'>): EnsembleWeights {
  const influence = weights.reduce((sum, weight) => sum + weight, 0);
  if (influence === 0) {
    throw new HpsError('DATA_INVALID', 'no member tells which side raters prefer: all fitted weights are 0', {
      hint: 'Check that scores and labels name the sides alike, and that not all votes are ties.',
    });
  }
  const smallest = Math.min(...scales.filter((_, m) => weights[m] > 0));
  const relative = scales.map((scale, m) => weights[m] * (smallest / scale));
  const sum = relative.reduce((total, weight) => total + weight, 0);
  const slope = sum / smallest;
  if (!Number.isFinite(slope)) {
    throw new HpsError('DATA_INVALID', `logits of a size of ${smallest} cannot be weighted`, {
      hint: 'Multiply the scores by a constant, or leave the member out.',
    });
  }
  return {
    weights: relative.map((weight) => weight / sum),
    shares: Array.from(weights, (weight) => weight / influence),
    slope,
  };
}

const badWeights = (problem: string, hint: string): HpsError => new HpsError('USAGE', problem, { hint });
