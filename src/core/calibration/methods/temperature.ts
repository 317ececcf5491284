import { sigmoid } from '../../stats/logistic.js';
import type { JudgedLogits } from '../judged.js';
import { withPriorVotes } from '../prior-votes.js';
import { type CalibrationMethod, FEW_PARAMETERS } from './method.js';

/** Bounds of the logarithm of the inverse temperature, as in scikit-learn: scores that raters contradict end at the lower one. */
const LOG_SCALE = [-10, 10] as const;
const MAX_STEPS = 100;
const TOLERANCE = 1e-12;

/** Derivative of the negative log likelihood by the inverse temperature: increasing, since the likelihood is log-concave. */
function slopeOfLoss({ logits, outcomes: { positive, negative } }: JudgedLogits, scale: number): number {
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const votes = positive[i] + negative[i];
    if (votes > 0) sum += (votes * sigmoid(scale * logits[i]) - positive[i]) * logits[i];
  }
  return sum;
}

/** The root of an increasing function by the Illinois form of regula falsi: a few evaluations, and never outside its bounds. */
function increasingRoot(f: (x: number) => number, [from, to]: readonly [number, number]): number {
  let [low, high] = [from, to];
  let [atLow, atHigh] = [f(low), f(high)];
  if (atLow >= 0) return low;
  if (atHigh <= 0) return high;
  let side = 0;
  for (let step = 0; step < MAX_STEPS && high - low > TOLERANCE; step++) {
    // Halved now and then, for functions so flat at one end that the chord hardly moves.
    const chord = (low * atHigh - high * atLow) / (atHigh - atLow);
    const x = step % 4 === 3 || !(chord > low && chord < high) ? (low + high) / 2 : chord;
    const value = f(x);
    if (value === 0) return x;
    if (value < 0) {
      [low, atLow] = [x, value];
      if (side === -1) atHigh /= 2;
      side = -1;
    } else {
      [high, atHigh] = [x, value];
      if (side === 1) atLow /= 2;
      side = 1;
    }
  }
  return (low + high) / 2;
}

/**
 * sigmoid(scale * logit), the scale by maximum likelihood of the votes and one imagined for either side: antisymmetric whatever
 * the votes, and finite where they are separable.
 */
export const temperature: CalibrationMethod = {
  id: 'temperature',
  label: 'Temperature',
  source:
    'Guo et al. (2017): one positive scale by maximum likelihood, with Laplace\'s two votes; sklearn CalibratedClassifierCV(method="temperature")',
  freedom: () => 1,
  minClusters: FEW_PARAMETERS,
  fit: (data) => {
    const votes = withPriorVotes(data, true);
    const logScale = increasingRoot((x) => slopeOfLoss(votes, Math.exp(x)), LOG_SCALE);
    return { kind: 'sigmoid', slope: Math.exp(logScale), intercept: 0 };
  },
};
