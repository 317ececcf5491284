/**
 * A figure of rows that are already prepared (sorted, binned, summed), as a function of how often each row counts. Without
 * weights every row counts once. Returns null where the figure is undefined, say the AUC of one class only: never NaN.
 * Each call takes O(n) (Kendall: O(n log n)), so a bootstrap only changes the weights.
 */
export type Statistic = (weights?: Float64Array) => number | null;

/** Sum of `numerator` over sum of `denominator`, both weighted by row; null where the latter is 0. */
export function ratioOfSums(numerator: Float64Array, denominator: Float64Array): Statistic {
  return (weights) => {
    let above = 0;
    let below = 0;
    for (let i = 0; i < numerator.length; i++) {
      const weight = weights === undefined ? 1 : weights[i];
      above += weight * numerator[i];
      below += weight * denominator[i];
    }
    return below > 0 ? above / below : null;
  };
}

/** The statistic of `rows` only, as a function of the weights of all rows: for groups, which share the draws of the whole. */
export function ofSubset(statistic: Statistic, rows: ArrayLike<number>): Statistic {
  const subset = new Float64Array(rows.length);
  return (weights) => {
    if (weights === undefined) return statistic();
    for (let i = 0; i < subset.length; i++) subset[i] = weights[rows[i]];
    return statistic(subset);
  };
}

/** `a - b` under the same weights: null where either is undefined. */
export function differenceOf(a: Statistic, b: Statistic): Statistic {
  return (weights) => {
    const first = a(weights);
    const second = first === null ? null : b(weights);
    return first === null || second === null ? null : first - second;
  };
}

/** A statistic of rows in both orders (see `bothOrders`) as a function of the weights of the rows themselves. */
export function ofBothOrders(statistic: Statistic, rows: number): Statistic {
  const twice = new Float64Array(2 * rows);
  return (weights) => {
    if (weights === undefined) return statistic();
    twice.set(weights);
    twice.set(weights, rows);
    return statistic(twice);
  };
}
