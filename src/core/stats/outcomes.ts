/**
 * What raters said, row by row, as weights: votes for the left and for the right of a pair, or for and against a label.
 * A tie counts one half on each side; a soft label y of weight w counts w y and w (1 - y). A row whose weights are both 0
 * counts nothing.
 */
export interface Outcomes {
  readonly positive: Float64Array;
  readonly negative: Float64Array;
}

/**
 * Outcomes of labels in [0, 1].
 *
 * @param weights - of each row, finite and not negative; 1 when absent
 * @throws RangeError for a label outside [0, 1], or a weight that is negative or not finite
 */
export function outcomesOfLabels(labels: ArrayLike<number>, weights?: ArrayLike<number>): Outcomes {
  const n = labels.length;
  if (weights !== undefined) assertLength('weights', weights, n);
  const positive = new Float64Array(n);
  const negative = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const label = labels[i];
    const weight = weights?.[i] ?? 1;
    if (!(label >= 0 && label <= 1)) throw new RangeError(`label ${i} is ${label}, not in [0, 1]`);
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) throw new RangeError(`weight ${i} is ${weight}`);
    positive[i] = weight * label;
    negative[i] = weight * (1 - label);
  }
  return { positive, negative };
}

/** Share of positive votes and number of votes of each row; the share is 0 where there are none. */
export function shareAndWeight({ positive, negative }: Outcomes): { share: Float64Array; weight: Float64Array } {
  const weight = positive.map((value, i) => value + negative[i]);
  return { share: positive.map((value, i) => (weight[i] > 0 ? value / weight[i] : 0)), weight };
}

/** The rows followed by the same rows seen from the other side: the same raters, sides swapped. */
export function bothOrders({ positive, negative }: Outcomes): Outcomes {
  return { positive: concatenate(positive, negative), negative: concatenate(negative, positive) };
}

/** Two columns, one after the other. */
export function concatenate(first: Float64Array, second: Float64Array): Float64Array {
  const joined = new Float64Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/** @throws RangeError if the columns are not of length `n`, or hold a number that is negative or not finite */
export function assertOutcomes({ positive, negative }: Outcomes, n: number): void {
  assertLength('positive', positive, n);
  assertLength('negative', negative, n);
  assertWeights(positive);
  assertWeights(negative);
}

/** @throws RangeError if a weight is negative or not finite */
export function assertWeights(weights: Float64Array): void {
  for (let i = 0; i < weights.length; i++) {
    if (!(weights[i] >= 0 && weights[i] < Number.POSITIVE_INFINITY))
      throw new RangeError(`weight ${i} is ${weights[i]}`);
  }
}

/** @throws RangeError if a value is infinite or NaN */
export function assertFinite(name: string, values: Float64Array): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw new RangeError(`${name} ${i} is ${values[i]}`);
  }
}

/** @throws RangeError if a value is not in [0, 1] */
export function assertProbabilities(values: Float64Array): void {
  for (let i = 0; i < values.length; i++) {
    if (!(values[i] >= 0 && values[i] <= 1)) throw new RangeError(`probability ${i} is ${values[i]}`);
  }
}

/** @throws RangeError if there are not exactly `n` values */
export function assertLength(name: string, values: ArrayLike<number>, n: number): void {
  if (values.length !== n) throw new RangeError(`${name} has ${values.length} rows, expected ${n}`);
}
