import { turns } from '../run.js';
import { sigmoid, softplus } from '../stats/logistic.js';
import type { Outcomes } from '../stats/outcomes.js';
import { minimizeQuadratic } from './quadratic.js';

/** Judged pairs with the standardised logits of all members. */
export interface StackRows {
  readonly members: number;
  /** Row-major `[rows, members]`; 0 where a member has no score. */
  readonly logits: Float64Array;
  /** Votes of each row. */
  readonly outcomes: Outcomes;
}

export interface StackOptions {
  /** L2 penalty: half of it times the squared weights is added to the mean log loss of a vote. Positive. */
  readonly penalty: number;
  /** Weights sum to 1. */
  readonly simplex: boolean;
  /** Weights to start from, feasible. */
  readonly start?: Float64Array;
  readonly signal?: AbortSignal;
}

const MAX_NEWTON_STEPS = 100;
/** Change of the weights, relative to their size, at which Newton's method has converged. */
const STEP_TOLERANCE = 1e-11;
/** Share of the predicted decrease that a step must bring (Armijo). */
const SUFFICIENT_DECREASE = 1e-4;
/** Below this the line search has met rounding. */
const MIN_STEP = 2 ** -40;

/**
 * Non-negative weights of logistic stacking: P(left) is the sigmoid of the weighted sum of the members' logits, without intercept,
 * so that swapping the sides of a pair swaps its probability. Newton's method; each step solves its quadratic with the constraints
 * exactly. The penalty makes the minimum unique, and finite where the votes are separable.
 *
 * @throws RangeError for a penalty that is not positive
 */
export async function fitStack(
  rows: StackRows,
  { penalty, simplex, start, signal }: StackOptions,
): Promise<Float64Array> {
  if (!(penalty > 0)) throw new RangeError(`penalty must be positive, not ${penalty}`);
  let weights = start ?? new Float64Array(rows.members).fill(simplex ? 1 / rows.members : 0);
  const turn = turns(signal);
  for (let step = 0; step < MAX_NEWTON_STEPS; step++) {
    await turn();
    const { loss, gradient, hessian } = quadraticAt(rows, weights, penalty);
    const linear = gradient.map((slope, i) => product(hessian, i, weights) - slope);
    const target = minimizeQuadratic({ hessian, linear, simplex }, weights);
    const direction = target.map((value, i) => value - weights[i]);
    if (maxAbs(direction) <= STEP_TOLERANCE * (1 + maxAbs(weights))) return target;
    const slope = innerProduct(gradient, direction);
    const next = await search(rows, weights, direction, { penalty, loss, slope, turn });
    if (next === null) return weights;
    weights = next;
  }
  return weights;
}

/** Mean log loss of a vote under the weights, in nats, without penalty; 0 without votes. */
export function stackLoss(rows: StackRows, weights: Float64Array): number {
  const { positive, negative } = rows.outcomes;
  let loss = 0;
  let votes = 0;
  for (let i = 0; i < positive.length; i++) {
    const logit = product(rows.logits, i, weights);
    loss += positive[i] * softplus(-logit) + negative[i] * softplus(logit);
    votes += positive[i] + negative[i];
  }
  return votes > 0 ? loss / votes : 0;
}

interface LineSearch {
  readonly penalty: number;
  /** At the start. */
  readonly loss: number;
  /** Derivative along the direction, at the start. */
  readonly slope: number;
  readonly turn: ReturnType<typeof turns>;
}

/** Halves the step until the penalised loss falls enough; null where rounding hides any fall. */
async function search(
  rows: StackRows,
  weights: Float64Array,
  direction: Float64Array,
  at: LineSearch,
): Promise<Float64Array | null> {
  const rounding = 8 * Number.EPSILON * at.loss;
  for (let step = 1; step >= MIN_STEP; step /= 2) {
    await at.turn();
    const next = weights.map((value, i) => Math.max(0, value + step * direction[i]));
    const loss = stackLoss(rows, next) + (at.penalty / 2) * innerProduct(next, next);
    if (loss <= at.loss + SUFFICIENT_DECREASE * step * at.slope + rounding) return next;
  }
  return null;
}

/** Penalised mean loss, its gradient and its Hessian `[members, members]`. */
function quadraticAt(rows: StackRows, weights: Float64Array, penalty: number) {
  const { members, logits, outcomes } = rows;
  const gradient = new Float64Array(members);
  const hessian = new Float64Array(members * members);
  let loss = 0;
  let votes = 0;
  for (let i = 0; i < outcomes.positive.length; i++) {
    const left = outcomes.positive[i];
    const both = left + outcomes.negative[i];
    const logit = product(logits, i, weights);
    const p = sigmoid(logit);
    loss += left * softplus(-logit) + (both - left) * softplus(logit);
    votes += both;
    addRow(logits, i * members, { residual: both * p - left, curvature: both * p * (1 - p) }, gradient, hessian);
  }
  const scale = votes > 0 ? 1 / votes : 0;
  for (let a = 0; a < members; a++) {
    gradient[a] = gradient[a] * scale + penalty * weights[a];
    for (let b = 0; b <= a; b++) {
      const value = hessian[a * members + b] * scale + (a === b ? penalty : 0);
      hessian[a * members + b] = value;
      hessian[b * members + a] = value;
    }
  }
  return { loss: loss * scale + (penalty / 2) * innerProduct(weights, weights), gradient, hessian };
}

/** Adds one row to the gradient and to the lower triangle of the Hessian. */
function addRow(
  logits: Float64Array,
  offset: number,
  { residual, curvature }: { residual: number; curvature: number },
  gradient: Float64Array,
  hessian: Float64Array,
): void {
  const members = gradient.length;
  for (let a = 0; a < members; a++) {
    const logit = logits[offset + a];
    gradient[a] += residual * logit;
    const curved = curvature * logit;
    for (let b = 0; b <= a; b++) hessian[a * members + b] += curved * logits[offset + b];
  }
}

/** Row `row` of a matrix with as many columns as there are weights, times the weights. */
function product(matrix: Float64Array, row: number, weights: Float64Array): number {
  const offset = row * weights.length;
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += matrix[offset + i] * weights[i];
  return total;
}

function innerProduct(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}

const maxAbs = (values: Float64Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
