import type { CalibrationMethod } from './method.js';

/** sigmoid(logit): the score as it is, which may be the best there is. */
export const none: CalibrationMethod = {
  id: 'none',
  label: 'None',
  source: 'sigmoid of the logit: nothing is fitted',
  freedom: () => 0,
  minClusters: { refused: 1, warned: 1 },
  fit: () => ({ kind: 'sigmoid', slope: 1, intercept: 0 }),
};
