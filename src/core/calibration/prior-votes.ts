import type { Random } from '../bytes/random.js';
import { argsort } from '../stats/argsort.js';
import { concatenate, shareAndWeight } from '../stats/outcomes.js';
import { favouredSide, type JudgedLogits, type PriorVotes } from './judged.js';

/** One for either side. */
export const LAPLACE: PriorVotes = { left: 1, right: 1 };

/**
 * Imagined votes of a refit: exponential, as the weights of a Bayesian bootstrap are (Rubin 1981). Refits to n votes for one side
 * then spread as the posterior of their share, Beta(n + 1, 1), where refits to those votes alone would all be the same.
 */
export const drawPrior = (random: Random): PriorVotes => ({
  left: -Math.log(1 - random.uniform()),
  right: -Math.log(1 - random.uniform()),
});

/** The imagined votes stand at this many quantiles of the logits: none where a single score lies far out. */
const DECILES = 9;

/**
 * The votes with the imagined ones beside them: at the deciles of the votes' logits, or of their sizes where both orders of a pair
 * are one judgement (`left` is then for the favoured side).
 */
export function withPriorVotes(data: JudgedLogits, symmetric: boolean): JudgedLogits {
  const { left, right } = data.prior ?? LAPLACE;
  const { logits, outcomes } = symmetric ? favouredSide(data) : data;
  const at = decilesOf(logits, shareAndWeight(outcomes).weight);
  const each = (votes: number) => new Float64Array(at.length).fill(votes / at.length);
  return {
    logits: concatenate(logits, at),
    outcomes: {
      positive: concatenate(outcomes.positive, each(left)),
      negative: concatenate(outcomes.negative, each(right)),
    },
  };
}

/** Values under which a tenth, two tenths, … of the weight lies; none without weight. */
function decilesOf(values: Float64Array, weights: Float64Array): Float64Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const deciles: number[] = [];
  let below = 0;
  for (const row of argsort(values)) {
    below += weights[row];
    while (deciles.length < DECILES && below * (DECILES + 1) >= total * (deciles.length + 1)) deciles.push(values[row]);
  }
  return Float64Array.from(total > 0 ? deciles : []);
}
