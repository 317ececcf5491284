import type { Outcomes } from '../stats/outcomes.js';

/** Newton converges in about ten steps; separable votes, held only by the ridge, take some thirty. */
const MAX_STEPS = 100;
const MAX_HALVINGS = 40;
/** A step that lowers the mean loss by less than this no longer changes a coefficient that matters. */
const LEAST_GAIN = 1e-15;
/** Share of the votes' weight that pulls standardised coefficients to 0: it settles what votes leave open, and no more. */
const RIDGE = 1e-11;

/**
 * Maximum-likelihood logistic regression on a few features, without intercept unless one of the features is all ones: stable for
 * separable votes, collinear features and scores of any size.
 *
 * @param features - columns of as many rows as there are outcomes, finite
 * @returns one coefficient a feature, finite
 */
export function fitLogistic(features: readonly Float64Array[], outcomes: Outcomes): number[] {
  // Brought to size one, so that one ridge and one tolerance fit all; a column of zeros stays.
  const sizes = features.map(rootMeanSquare);
  const columns = features.map((column, j) => column.map((value) => value / sizes[j]));
  let votes = 0;
  for (let i = 0; i < outcomes.positive.length; i++) votes += outcomes.positive[i] + outcomes.negative[i];
  const objective = new LogisticObjective(columns, outcomes, RIDGE * votes);
  const coefficients = votes > 0 ? minimise(objective, votes) : columns.map(() => 0);
  return coefficients.map((value, j) => value / sizes[j]);
}

function rootMeanSquare(column: Float64Array): number {
  // Divided by the largest first: squares of large scores would overflow.
  const largest = column.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return 1;
  const squares = column.reduce((sum, value) => sum + (value / largest) ** 2, 0);
  return largest * Math.sqrt(squares / column.length);
}

function minimise(objective: LogisticObjective, votes: number): number[] {
  let at = objective.columns.map(() => 0);
  let here = objective.at(at);
  for (let step = 0; step < MAX_STEPS; step++) {
    const direction = solveSymmetric(here.hessian, here.gradient);
    let scale = 1;
    let next = at.map((value, j) => value - direction[j]);
    let there = objective.at(next);
    for (let halving = 0; !(there.loss <= here.loss) && halving < MAX_HALVINGS; halving++) {
      scale /= 2;
      next = at.map((value, j) => value - scale * direction[j]);
      there = objective.at(next);
    }
    if (!(there.loss <= here.loss)) return at;
    const gain = here.loss - there.loss;
    at = next;
    here = there;
    if (gain <= LEAST_GAIN * votes) return at;
  }
  return at;
}

interface Quadratic {
  readonly loss: number;
  readonly gradient: readonly number[];
  readonly hessian: readonly (readonly number[])[];
}

/** The votes' negative log likelihood plus a ridge, as a function of the coefficients. */
class LogisticObjective {
  private readonly votes: Float64Array;

  constructor(
    readonly columns: readonly Float64Array[],
    private readonly outcomes: Outcomes,
    private readonly ridge: number,
  ) {
    this.votes = outcomes.positive.map((votes, i) => votes + outcomes.negative[i]);
  }

  /** Its value, gradient and Hessian in one pass: they share an exponential a row. */
  at(coefficients: readonly number[]): Quadratic {
    const { columns, votes, ridge } = this;
    const { positive, negative } = this.outcomes;
    const k = columns.length;
    let loss = (ridge / 2) * coefficients.reduce((squares, value) => squares + value ** 2, 0);
    const gradient = Float64Array.from(coefficients, (value) => ridge * value);
    const hessian = new Float64Array(k * k);
    for (let a = 0; a < k; a++) hessian[a * k + a] = ridge;
    for (let i = 0; i < votes.length; i++) {
      if (votes[i] === 0) continue;
      let z = 0;
      for (let j = 0; j < k; j++) z += coefficients[j] * columns[j][i];
      // `sigmoid`, and `softplus` of either sign.
      const small = Math.exp(-Math.abs(z));
      const smaller = small / (1 + small);
      const p = z < 0 ? smaller : 1 - smaller;
      const rest = Math.log1p(small);
      loss += positive[i] * (Math.max(-z, 0) + rest) + negative[i] * (Math.max(z, 0) + rest);
      const residual = votes[i] * p - positive[i];
      const curvature = votes[i] * p * (1 - p);
      for (let a = 0; a < k; a++) {
        const value = columns[a][i];
        gradient[a] += residual * value;
        for (let b = a; b < k; b++) hessian[a * k + b] += curvature * value * columns[b][i];
      }
    }
    const entry = (a: number, b: number) => hessian[Math.min(a, b) * k + Math.max(a, b)];
    const every = [...columns.keys()];
    return { loss, gradient: Array.from(gradient), hessian: every.map((a) => every.map((b) => entry(a, b))) };
  }
}

/** Solves a small positive-definite system by elimination; the diagonal holds the pivots. */
export function solveSymmetric(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length;
  const rows = matrix.map((row, i) => [...row, right[i]]);
  for (let pivot = 0; pivot < n; pivot++) {
    for (let i = pivot + 1; i < n; i++) {
      const factor = rows[i][pivot] / rows[pivot][pivot];
      for (let j = pivot; j <= n; j++) rows[i][j] -= factor * rows[pivot][j];
    }
  }
  const solution = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let rest = rows[i][n];
    for (let j = i + 1; j < n; j++) rest -= rows[i][j] * solution[j];
    solution[i] = rest / rows[i][i];
  }
  return solution;
}
