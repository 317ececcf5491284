import { DEFAULT_LEVEL, type Interval } from './interval.js';

/**
 * Interval of the `p` quantile from order statistics alone, whatever the distribution: between two of the values such that
 * the quantile lies outside with a probability of at most (1 - level) / 2 on either side. The values must be independent.
 *
 * @param sorted - in ascending order
 * @returns null where there are too few values for one of the ends
 * @throws RangeError unless `p` is in (0, 1)
 * @see Conover, Practical Nonparametric Statistics (1999), 3.2; ranks by scipy.stats.binom.ppf in tests/golden/stats
 */
export function quantileInterval(sorted: Float64Array, p: number, level = DEFAULT_LEVEL): Interval | null {
  if (!(p > 0 && p < 1)) throw new RangeError(`no interval of the ${p} quantile`);
  const n = sorted.length;
  if (n === 0) return null;
  const tail = (1 - level) / 2;
  // Ranks from 1: a value of rank r is at most the quantile with probability P(Binomial(n, p) >= r).
  const low = binomialQuantile(n, p, tail);
  const high = binomialQuantile(n, p, 1 - tail) + 1;
  return low < 1 || high > n ? null : [sorted[low - 1], sorted[high - 1]];
}

/** The least k with P(Binomial(n, p) <= k) >= q. */
function binomialQuantile(n: number, p: number, q: number): number {
  const odds = Math.log(p) - Math.log1p(-p);
  let logMass = n * Math.log1p(-p);
  let below = 0;
  for (let k = 0; k < n; k++) {
    below += Math.exp(logMass);
    if (below >= q) return k;
    logMass += Math.log((n - k) / (k + 1)) + odds;
  }
  return n;
}
