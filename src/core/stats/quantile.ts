/**
 * The `p` quantile of values in ascending order, linear between neighbours (numpy's default, Hyndman and Fan's type 7).
 *
 * @throws RangeError if there are no values or `p` is not in [0, 1]
 */
export function quantileOfSorted(sorted: Float64Array, p: number): number {
  if (sorted.length === 0 || !(p >= 0 && p <= 1)) throw new RangeError(`no ${p} quantile of ${sorted.length} values`);
  const position = p * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}
