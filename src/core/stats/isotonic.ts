import { argsort } from './argsort.js';
import { assertFinite, assertLength, assertWeights } from './outcomes.js';
import { poolAdjacentViolators } from './pava.js';

/** A piecewise linear map: x strictly increasing, y non-decreasing. Constant outside. */
export interface Knots {
  readonly x: Float64Array;
  readonly y: Float64Array;
}

/** A regression at every distinct x, with the weight of the rows there. */
export interface FittedPoints extends Knots {
  /** Positive. */
  readonly weights: Float64Array;
}

/** A number of each row. */
type OfRow = (row: number) => number;

/** Distinct x in ascending order, each with the weighted mean of its y and its weight; rows of weight 0 are left out. */
function meansByValue(x: Float64Array, y: OfRow, weights: OfRow): FittedPoints {
  const order = argsort(x);
  const values = new Float64Array(order.length);
  const means = new Float64Array(order.length);
  const totals = new Float64Array(order.length);
  let count = 0;
  for (let i = 0; i < order.length; i++) {
    const row = order[i];
    const weight = weights(row);
    if (weight === 0) continue;
    if (count === 0 || values[count - 1] !== x[row]) values[count++] = x[row];
    means[count - 1] += weight * y(row);
    totals[count - 1] += weight;
  }
  for (let i = 0; i < count; i++) means[i] /= totals[i];
  return { x: values.subarray(0, count), y: means.subarray(0, count), weights: totals.subarray(0, count) };
}

/** Indices of the points that make the map: of a stretch of equal y only its ends are needed. */
export function knotIndices({ x, y }: Knots): Uint32Array {
  let count = 0;
  const keep = new Uint32Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const inner = i > 0 && i < x.length - 1 && y[i - 1] === y[i] && y[i] === y[i + 1];
    if (!inner) keep[count++] = i;
  }
  return keep.subarray(0, count);
}

/**
 * Isotonic regression of y on x: the non-decreasing values closest in weighted least squares, at each distinct x. Equal x are
 * averaged first.
 *
 * @param weights - finite and not negative; rows of weight 0 are left out
 * @returns no points where no row counts
 * @throws RangeError if a number is not finite or a weight is negative
 * @see sklearn.isotonic.IsotonicRegression
 */
export function fitIsotonic(x: Float64Array, y: Float64Array, weights?: Float64Array): FittedPoints {
  assertFinite('x', x);
  assertLength('y', y, x.length);
  if (weights !== undefined) {
    assertLength('weights', weights, x.length);
    assertWeights(weights);
  }
  return fitIsotonicTo(x, (row) => y[row], weights === undefined ? () => 1 : (row) => weights[row]);
}

/** As `fitIsotonic` of numbers that are made of a row when it is met: of very many rows there are no columns of them. */
export function fitIsotonicTo(x: Float64Array, y: OfRow, weights: OfRow): FittedPoints {
  const means = meansByValue(x, y, weights);
  return { ...means, y: poolAdjacentViolators(means.y, means.weights) };
}

/**
 * The map's value at `x`: linear between knots, constant outside.
 *
 * @throws RangeError if there are no knots or `x` is NaN
 */
export function interpolate(
  { x: xs, y: ys }: { readonly x: ArrayLike<number>; readonly y: ArrayLike<number> },
  x: number,
): number {
  const last = xs.length - 1;
  if (last < 0 || Number.isNaN(x)) throw new RangeError(`no value at ${x} of ${xs.length} knots`);
  if (x <= xs[0]) return ys[0];
  if (x >= xs[last]) return ys[last];
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  return ys[low] + ((ys[high] - ys[low]) * (x - xs[low])) / (xs[high] - xs[low]);
}
