import { holmAdjust } from '../stats/holm.js';
import { logit } from '../stats/logistic.js';
import { twoSidedP } from '../stats/normal.js';
import type { Outcomes } from '../stats/outcomes.js';
import type { Clusters } from '../stats/statistic.js';
import { solveSymmetric } from './logistic-fit.js';

/** Chance of calling a calibrator stale that is not. */
export const STALENESS_LEVEL = 0.05;

/** One test of the hypothesis that the probabilities still hold. */
export interface StalenessTest {
  readonly name: 'recalibration' | 'spiegelhalter';
  /** Chi-squared where the probabilities hold. */
  readonly statistic: number;
  readonly degreesOfFreedom: number;
  readonly pValue: number;
  /** Adjusted for the number of tests. */
  readonly holm: number;
}

export interface Staleness {
  readonly stale: boolean;
  /** Chance of saying so of a calibrator that still holds. */
  readonly level: number;
  readonly tests: readonly StalenessTest[];
}

/** Fewest clusters the tests are asked of: their distribution is that of many. */
export const STALENESS_CLUSTERS = 10;

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

/** A test before it is adjusted: rows whose sums by cluster should have means 0. */
interface Question {
  readonly name: StalenessTest['name'];
  readonly columns: readonly Float64Array[];
}

function answer(questions: readonly Question[], clusters: Clusters, level: number): Staleness {
  const asked = questions.map(({ name, columns }) => ({ name, ...clusteredScoreTest(columns, clusters) }));
  const pValues = asked.map(({ statistic, degreesOfFreedom }) => chiSquaredTail(statistic, degreesOfFreedom));
  const holm = holmAdjust(pValues);
  const tests = asked.map((test, i) => ({ ...test, pValue: pValues[i], holm: holm[i] }));
  return { stale: holm.some((p) => p < level), level, tests };
}

/**
 * Has a calibrator of pairs gone stale? Two tests on new votes, both by clusters: is the logistic recalibration of its log-odds
 * anything but slope 1 and intercept 0 (Cox 1958), and Spiegelhalter's (1986), which weighs how sure each probability is. Adjusted
 * by Holm.
 *
 * @param symmetric - both orders of a pair are one judgement, so that there is no intercept to test
 * @throws RangeError if there are no rows
 */
export function testStaleness(
  probabilities: Float64Array,
  { positive, negative }: Outcomes,
  clusters: Clusters,
  { symmetric, level = STALENESS_LEVEL }: { readonly symmetric: boolean; readonly level?: number },
): Staleness {
  if (probabilities.length === 0) throw new RangeError('no rows to test');
  const residuals = probabilities.map((p, i) => positive[i] - (positive[i] + negative[i]) * p);
  const forSlope = residuals.map((residual, i) => residual * logOdds(probabilities[i]));
  const forSureness = residuals.map((residual, i) => residual * (1 - 2 * probabilities[i]));
  return answer(
    [
      { name: 'recalibration', columns: symmetric ? [forSlope] : [forSlope, residuals] },
      { name: 'spiegelhalter', columns: [forSureness] },
    ],
    clusters,
    level,
  );
}

const logOdds = (p: number): number => Math.min(Math.max(logit(p), -MAX_LOG_ODDS), MAX_LOG_ODDS);

/**
 * Has a calibrator to a human scale gone stale? Tests whether the regression of new scores on its predictions is anything but slope
 * 1 and intercept 0, by clusters.
 *
 * @throws RangeError if there are no rows
 */
export function testScaleStaleness(
  predicted: Float64Array,
  scores: Float64Array,
  clusters: Clusters,
  level = STALENESS_LEVEL,
): Staleness {
  if (predicted.length === 0) throw new RangeError('no rows to test');
  const residuals = predicted.map((value, i) => scores[i] - value);
  const mean = predicted.reduce((sum, value) => sum + value, 0) / predicted.length;
  const forSlope = residuals.map((residual, i) => residual * (predicted[i] - mean));
  return answer([{ name: 'recalibration', columns: [forSlope, residuals] }], clusters, level);
}
