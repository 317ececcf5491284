import { fitLogistic, solveSymmetric } from '../calibration/logistic-fit.js';
import { sigmoid } from '../stats/logistic.js';
import type { Outcomes } from '../stats/outcomes.js';
import type { Clusters } from '../stats/statistic.js';

/** Coefficients of a regression, and their covariance where rows of a cluster may depend on each other. */
export interface ClusteredFit {
  readonly coefficients: readonly number[];
  readonly covariance: readonly (readonly number[])[];
}

/** Votes imagined beside those that were cast, half for each side of every row alike: votes that separate have a fit, too. */
const IMAGINED_VOTES = 2;

/** Logistic regression of votes for the left. @param columns - linearly independent */
export function fitVotes(
  columns: readonly Float64Array[],
  { positive, negative }: Outcomes,
  clusters: Clusters,
): ClusteredFit {
  const each = IMAGINED_VOTES / 2 / positive.length;
  const outcomes = { positive: positive.map((votes) => votes + each), negative: negative.map((votes) => votes + each) };
  const coefficients = fitLogistic(columns, outcomes);
  const [residuals, curvatures] = [new Float64Array(positive.length), new Float64Array(positive.length)];
  for (let row = 0; row < positive.length; row++) {
    const votes = outcomes.positive[row] + outcomes.negative[row];
    const p = sigmoid(predict(columns, coefficients, row));
    residuals[row] = outcomes.positive[row] - votes * p;
    curvatures[row] = votes * p * (1 - p);
  }
  return { coefficients, covariance: sandwich(columns, residuals, curvatures, clusters) };
}

/** Least squares. @param columns - linearly independent */
export function fitScores(columns: readonly Float64Array[], scores: Float64Array, clusters: Clusters): ClusteredFit {
  const ones = new Float64Array(scores.length).fill(1);
  const coefficients = solveSymmetric(
    products(columns, ones),
    columns.map((column) => column.reduce((sum, value, row) => sum + value * scores[row], 0)),
  );
  const residuals = scores.map((score, row) => score - predict(columns, coefficients, row));
  return { coefficients, covariance: sandwich(columns, residuals, ones, clusters) };
}

function predict(columns: readonly Float64Array[], coefficients: readonly number[], row: number): number {
  let sum = 0;
  for (let j = 0; j < columns.length; j++) sum += coefficients[j] * columns[j][row];
  return sum;
}

const products = (columns: readonly Float64Array[], weights: Float64Array): number[][] =>
  columns.map((a) => columns.map((b) => a.reduce((sum, value, row) => sum + weights[row] * value * b[row], 0)));

/** The cluster-robust covariance, with the correction C / (C - 1). @see Liang and Zeger (1986); statsmodels cov_type="cluster" */
function sandwich(
  columns: readonly Float64Array[],
  residuals: Float64Array,
  curvatures: Float64Array,
  { of, count }: Clusters,
): number[][] {
  const sums = columns.map((column) => {
    const byCluster = new Float64Array(count);
    for (let row = 0; row < column.length; row++) byCluster[of[row]] += residuals[row] * column[row];
    return byCluster;
  });
  const used = new Set(of).size;
  const scale = used / Math.max(1, used - 1);
  const meat = sums.map((a) => sums.map((b) => scale * a.reduce((sum, value, i) => sum + value * b[i], 0)));
  const inverse = inverseOf(products(columns, curvatures));
  const times = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]) =>
    a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
  return times(times(inverse, meat), inverse);
}

/** Of a symmetric matrix: its columns are its rows. */
const inverseOf = (matrix: readonly (readonly number[])[]): number[][] =>
  matrix.map((_, i) =>
    solveSymmetric(
      matrix,
      matrix.map((__, j) => (i === j ? 1 : 0)),
    ),
  );

/** The columns that those before them do not give, by Gram–Schmidt. */
export function independentColumns(columns: readonly Float64Array[]): number[] {
  const basis: Float64Array[] = [];
  return [...columns.keys()].filter((j) => {
    const rest = columns[j].slice();
    const size = sizeOf(rest);
    // Twice: once leaves rounding of the size of what was taken away.
    for (let pass = 0; pass < 2; pass++) {
      for (const one of basis) {
        const along = one.reduce((sum, value, row) => sum + value * rest[row], 0);
        for (let row = 0; row < rest.length; row++) rest[row] -= along * one[row];
      }
    }
    const left = sizeOf(rest);
    if (!(left > INDEPENDENT * size)) return false;
    basis.push(rest.map((value) => value / left));
    return true;
  });
}

const INDEPENDENT = 1e-6;

const sizeOf = (column: Float64Array): number => Math.sqrt(column.reduce((sum, value) => sum + value * value, 0));
