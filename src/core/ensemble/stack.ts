import { turns } from '../run.js';
import { softplus } from '../stats/logistic.js';
import { minimizeQuadratic } from './quadratic.js';
import { lossAt, type Quadratic, type StackRows, type WideRows, widened } from './stack-loss.js';

export interface StackOptions {
  /** L2 penalty: half of it times the squared weights is added to the mean log loss of a vote. Positive. */
  readonly penalty: number;
  /** Weights sum to 1. */
  readonly simplex: boolean;
  /** Weights to start from, feasible. */
  readonly start?: Float64Array;
  /** Change of the weights, relative to their size, in the last step; the error left is about its square. */
  readonly tolerance?: number;
  readonly signal?: AbortSignal;
}

const MAX_NEWTON_STEPS = 100;
/** At which Newton's method has converged to the last digits. */
const STEP_TOLERANCE = 1e-11;
/** Share of the predicted decrease that a step must bring (Armijo). */
const SUFFICIENT_DECREASE = 1e-4;
/** A sum of n losses is off by some roots of n of its last digits: a fall below that cannot be told from none. */
const ROUNDING = 4;
/** Below this the line search has met rounding. */
const MIN_STEP = 2 ** -40;

/**
 * Non-negative weights of logistic stacking: P(left) is the sigmoid of the weighted sum of the members' logits, without intercept,
 * so that swapping the sides of a pair swaps its probability. Newton's method; each step solves its quadratic with the constraints
 * exactly. The penalty makes the minimum unique, and finite where the votes are separable.
 *
 * @throws RangeError for a penalty that is not positive
 */
export async function fitStack(rows: StackRows, { penalty, ...options }: StackOptions): Promise<Float64Array> {
  const [weights] = await fitStackPath(rows, [penalty], options);
  return weights;
}

/** As `fitStack` for each penalty in turn: a fit goes on from what the one before it knows of the rows. */
export async function fitStackPath(
  given: StackRows,
  penalties: readonly number[],
  { simplex, start, tolerance = STEP_TOLERANCE, signal }: Omit<StackOptions, 'penalty'>,
): Promise<Float64Array[]> {
  const turn = turns(signal);
  const rows = widened(given);
  let weights = start ?? new Float64Array(rows.members).fill(simplex ? 1 / rows.members : 0);
  let at = lossAt(rows, weights);
  const found: Float64Array[] = [];
  for (const penalty of penalties) {
    if (!(penalty > 0)) throw new RangeError(`penalty must be positive, not ${penalty}`);
    let answer: Float64Array | undefined;
    for (let step = 0; step < MAX_NEWTON_STEPS && answer === undefined; step++) {
      await turn();
      const penalised = withPenalty(at, weights, penalty);
      const { gradient, hessian } = penalised;
      const linear = gradient.map((slope, i) => product(hessian, i, weights) - slope);
      const target = minimizeQuadratic({ hessian, linear, simplex }, weights);
      const direction = target.map((value, i) => value - weights[i]);
      if (maxAbs(direction) <= tolerance * (1 + maxAbs(weights))) answer = target;
      else {
        const next = await search(rows, weights, direction, { penalty, at: penalised, turn });
        if (next === null) answer = weights;
        else ({ weights, at } = next);
      }
    }
    found.push(answer ?? weights);
  }
  return found;
}

/** Mean log loss of a vote under the weights, in nats, without penalty; 0 without votes. */
export function stackLoss(rows: StackRows, weights: Float64Array): number {
  const { positive, negative } = rows.outcomes;
  let loss = 0;
  let votes = 0;
  for (let i = 0; i < positive.length; i++) {
    const logit = product(rows.logits, i, weights);
    const rest = softplus(-Math.abs(logit));
    loss += positive[i] * (Math.max(-logit, 0) + rest) + negative[i] * (Math.max(logit, 0) + rest);
    votes += positive[i] + negative[i];
  }
  return votes > 0 ? loss / votes : 0;
}

interface LineSearch {
  readonly penalty: number;
  /** What the start is like. */
  readonly at: Quadratic;
  readonly turn: ReturnType<typeof turns>;
}

/** Halves the step until the penalised loss falls enough, most often at once; null where rounding hides any fall. */
async function search(
  rows: WideRows,
  start: Float64Array,
  direction: Float64Array,
  { penalty, at: { loss, gradient }, turn }: LineSearch,
): Promise<{ weights: Float64Array; at: Quadratic } | null> {
  const rounding = ROUNDING * Number.EPSILON * Math.sqrt(rows.outcomes.positive.length) * loss;
  const slope = innerProduct(gradient, direction);
  for (let step = 1; step >= MIN_STEP; step /= 2) {
    await turn();
    const weights = start.map((value, i) => Math.max(0, value + step * direction[i]));
    const at = lossAt(rows, weights);
    const penalised = at.loss + (penalty / 2) * innerProduct(weights, weights);
    if (penalised <= loss + SUFFICIENT_DECREASE * step * slope + rounding) return { weights, at };
  }
  return null;
}

/** The same with the penalty. */
function withPenalty({ loss, gradient, hessian }: Quadratic, weights: Float64Array, penalty: number): Quadratic {
  const curved = hessian.slice();
  for (let a = 0; a < weights.length; a++) curved[a * weights.length + a] += penalty;
  return {
    loss: loss + (penalty / 2) * innerProduct(weights, weights),
    gradient: gradient.map((slope, a) => slope + penalty * weights[a]),
    hessian: curved,
  };
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
