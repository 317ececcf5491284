import type { Clusters } from '../stats/bootstrap.js';
import { holmAdjust } from '../stats/holm.js';
import { logit } from '../stats/logistic.js';
import { twoSidedP } from '../stats/normal.js';
import type { Outcomes } from '../stats/outcomes.js';
import { fitLogistic, solveSymmetric } from './logistic-fit.js';

/** Chance of calling a calibrator stale that is not. */
export const STALENESS_LEVEL = 0.05;

/** One test of the hypothesis that the probabilities still hold. */
export interface StalenessTest {
  readonly name: 'recalibration' | 'spiegelhalter';
  readonly statistic: number;
  readonly degreesOfFreedom: number;
  readonly pValue: number;
  /** Adjusted for there being two tests. */
  readonly holm: number;
}

export interface Staleness {
  readonly stale: boolean;
  readonly level: number;
  readonly tests: readonly StalenessTest[];
  /** What would have to be done to the log-odds: 1 and 0 where they hold. A slope under 1 means too sure of itself. */
  readonly recalibration: { readonly slope: number; readonly intercept: number };
}

const RIDGE = 1e-12;

/** Log-odds are kept this far in: a probability of 0 or 1 would have none. */
const MAX_LOG_ODDS = 36;

/**
 * Score test that rows of independent clusters have means 0: sums by cluster, so that rows of one prompt may depend on each other.
 * The statistic is chi-squared with as many degrees of freedom as there are columns that vary.
 */
function clusteredScoreTest(columns: readonly Float64Array[], { of, count }: Clusters) {
  const varying = columns.filter((column) => column.some((value) => value !== 0));
  const sums = varying.map((column) => {
    const byCluster = new Float64Array(count);
    for (let row = 0; row < column.length; row++) byCluster[of[row]] += column[row];
    return byCluster;
  });
  const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const totals = sums.map((column) => column.reduce((sum, value) => sum + value, 0));
  // The ridge settles columns that say the same of every cluster; it is far below the rounding of a p-value.
  const covariance = sums.map((a, i) => sums.map((b, j) => dot(a, b) * (i === j ? 1 + RIDGE : 1)));
  const solved = solveSymmetric(covariance, totals);
  const statistic = totals.reduce((sum, total, i) => sum + total * solved[i], 0);
  return { statistic, degreesOfFreedom: varying.length };
}

/** P(X > x) for X chi-squared with 0, 1 or 2 degrees of freedom. */
function chiSquaredTail(x: number, degreesOfFreedom: number): number {
  if (degreesOfFreedom === 0) return 1;
  return degreesOfFreedom === 1 ? twoSidedP(Math.sqrt(x)) : Math.exp(-x / 2);
}

/**
 * Has a calibrator gone stale? Two tests on new votes, both by clusters: is the logistic recalibration of its log-odds anything but
 * slope 1 and intercept 0 (Cox 1958), and Spiegelhalter's, whose statistic weighs how sure each probability is. Adjusted by Holm.
 *
 * @param symmetric - both orders of a pair are one judgement, so that there is no intercept to test
 * @throws RangeError if there are no rows
 */
export function testStaleness(
  probabilities: Float64Array,
  outcomes: Outcomes,
  clusters: Clusters,
  { symmetric, level = STALENESS_LEVEL }: { readonly symmetric: boolean; readonly level?: number },
): Staleness {
  if (probabilities.length === 0) throw new RangeError('no rows to test');
  const logOdds = probabilities.map((p) => Math.min(Math.max(logit(p), -MAX_LOG_ODDS), MAX_LOG_ODDS));
  const residuals = probabilities.map(
    (p, i) => outcomes.positive[i] - (outcomes.positive[i] + outcomes.negative[i]) * p,
  );
  const slopeScore = residuals.map((residual, i) => residual * logOdds[i]);
  // Where all log-odds are equal, slope and intercept are one question.
  const constant = logOdds.every((value) => value === logOdds[0]);
  const recalibration = symmetric ? [slopeScore] : constant ? [residuals] : [slopeScore, residuals];
  const tests = [
    { name: 'recalibration' as const, ...clusteredScoreTest(recalibration, clusters) },
    {
      name: 'spiegelhalter' as const,
      ...clusteredScoreTest([residuals.map((residual, i) => residual * (1 - 2 * probabilities[i]))], clusters),
    },
  ];
  const pValues = tests.map(({ statistic, degreesOfFreedom }) => chiSquaredTail(statistic, degreesOfFreedom));
  const holm = holmAdjust(pValues);
  const ones = new Float64Array(logOdds.length).fill(1);
  const [slope, intercept = 0] = fitLogistic(symmetric ? [logOdds] : [logOdds, ones], outcomes);
  return {
    stale: holm.some((p) => p < level),
    level,
    tests: tests.map((test, i) => ({ ...test, pValue: pValues[i], holm: holm[i] })),
    recalibration: { slope, intercept },
  };
}
