import { type JudgedLogits, totalVotes } from '../judged.js';
import { fitLogistic } from '../logistic-fit.js';
import { LAPLACE } from '../prior-votes.js';
import { type CalibrationMethod, FEW_PARAMETERS } from './method.js';

/**
 * Platt's targets: a vote for the left counts (N+ + 1) / (N+ + 2) instead of 1, one for the right 1 / (N- + 2) instead of 0,
 * so that separable votes have a finite fit. Seen from both sides, half of all votes are for either.
 */
function plattTargets(data: JudgedLogits, symmetric: boolean): JudgedLogits {
  const { positive, negative } = totalVotes(data);
  const half = (positive + negative) / 2;
  const [lefts, rights] = symmetric ? [half, half] : [positive, negative];
  const { outcomes, prior: { left, right } = LAPLACE } = data;
  const high = (lefts + left) / (lefts + left + right);
  const low = left / (rights + left + right);
  const soften = (onHigh: Float64Array, a: number, onLow: Float64Array, b: number) =>
    onHigh.map((votes, i) => votes * a + onLow[i] * b);
  return {
    logits: data.logits,
    outcomes: {
      positive: soften(outcomes.positive, high, outcomes.negative, low),
      negative: soften(outcomes.positive, 1 - high, outcomes.negative, 1 - low),
    },
  };
}

/** sigmoid(slope * logit + intercept); no intercept where both orders of a pair are one judgement. */
export const platt: CalibrationMethod = {
  id: 'platt',
  label: 'Platt',
  source: 'Platt (1999) with his targets, by Newton (Lin, Lin and Weng 2007); sklearn _sigmoid_calibration',
  freedom: (symmetric) => (symmetric ? 1 : 2),
  minClusters: FEW_PARAMETERS,
  fit: (data, { symmetric }) => {
    const { logits, outcomes } = plattTargets(data, symmetric);
    if (symmetric) {
      const [slope] = fitLogistic([logits], outcomes);
      return { kind: 'sigmoid', slope: Math.max(0, slope), intercept: 0 };
    }
    const ones = new Float64Array(logits.length).fill(1);
    const [slope, intercept] = fitLogistic([logits, ones], outcomes);
    if (slope >= 0) return { kind: 'sigmoid', slope, intercept };
    // A score that raters contradict is given no say, rather than turned around.
    return { kind: 'sigmoid', slope: 0, intercept: fitLogistic([ones], outcomes)[0] };
  },
};
