import { softplus } from '../../stats/logistic.js';
import { fitLogistic } from '../logistic-fit.js';
import { withPriorVotes } from '../prior-votes.js';
import { type CalibrationMethod, FEW_PARAMETERS } from './method.js';

/**
 * Logistic regression on log q and -log(1 - q), q = sigmoid(logit). A negative coefficient is dropped and the rest fitted again.
 * Where both orders of a pair are one judgement, a = b and c = 0, and the two logarithms join to the logit itself.
 */
export const beta: CalibrationMethod = {
  id: 'beta',
  label: 'Beta',
  source: 'Kull, Silva Filho and Flach (2017), with Laplace\'s two votes; betacal.BetaCalibration(parameters="abm")',
  freedom: (symmetric) => (symmetric ? 1 : 3),
  minClusters: FEW_PARAMETERS,
  fit: (data, { symmetric }) => {
    const { logits, outcomes } = withPriorVotes(data, symmetric);
    if (symmetric) {
      const [slope] = fitLogistic([logits], outcomes);
      return { kind: 'sigmoid', slope: Math.max(0, slope), intercept: 0 };
    }
    const ones = new Float64Array(logits.length).fill(1);
    const logQ = logits.map((logit) => -softplus(-logit));
    const minusLogRest = logits.map(softplus);
    const [a, b, c] = fitLogistic([logQ, minusLogRest, ones], outcomes);
    if (a >= 0 && b >= 0) return { kind: 'beta', a, b, c };
    const kept = a < 0 ? minusLogRest : logQ;
    const [coefficient, intercept] = fitLogistic([kept, ones], outcomes);
    if (coefficient < 0) return { kind: 'beta', a: 0, b: 0, c: fitLogistic([ones], outcomes)[0] };
    return a < 0
      ? { kind: 'beta', a: 0, b: coefficient, c: intercept }
      : { kind: 'beta', a: coefficient, b: 0, c: intercept };
  },
};
