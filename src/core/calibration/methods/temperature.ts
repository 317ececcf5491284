import { sigmoid } from '../../stats/logistic.js';
import type { JudgedLogits } from '../judged.js';
import { withPriorVotes } from '../prior-votes.js';
import { type CalibrationMethod, FEW_PARAMETERS } from './method.js';

/** Bounds of the logarithm of the inverse temperature, as in scikit-learn: scores that raters contradict end at the lower one. */
const LOG_SCALE = [-10, 10] as const;
const MAX_STEPS = 100;
const TOLERANCE = 1e-12;

/**
 * Derivative of the negative log likelihood by the inverse temperature, increasing since the likelihood is log-concave, and the
 * derivative of that by the logarithm of the scale.
 */
function slopeOfLoss({ logits, outcomes: { positive, negative } }: JudgedLogits, scale: number) {
  let slope = 0;
  let curvature = 0;
  for (let i = 0; i < logits.length; i++) {
    const votes = positive[i] + negative[i];
    if (votes === 0) continue;
    const p = sigmoid(scale * logits[i]);
    slope += (votes * p - positive[i]) * logits[i];
    curvature += votes * p * (1 - p) * logits[i] * logits[i];
  }
  return { value: slope, derivative: scale * curvature };
}

/** The root of an increasing function by Newton's method, never outside its bounds, which close in on it. */
function increasingRoot(
  f: (x: number) => { readonly value: number; readonly derivative: number },
  [from, to]: readonly [number, number],
): number {
  let [low, high] = [from, to];
  if (f(low).value >= 0) return low;
  if (f(high).value <= 0) return high;
  let x = (low + high) / 2;
  for (let step = 0; step < MAX_STEPS && high - low > TOLERANCE; step++) {
    const { value, derivative } = f(x);
    if (value === 0) return x;
    if (value < 0) low = x;
    else high = x;
    const next = x - value / derivative;
    if (Math.abs(next - x) <= TOLERANCE) return Math.min(Math.max(next, low), high);
    // Where the function is too flat to follow, half of what is left is as good a guess.
    x = next > low && next < high ? next : (low + high) / 2;
  }
  return x;
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
