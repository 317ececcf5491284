import { normalQuantile } from './normal.js';

/**
 * Quantile of Student's t by the Cornish–Fisher expansion: within 1e-4 of scipy.stats.t.ppf for 0.05 <= p <= 0.95 and 10 or more
 * degrees of freedom.
 *
 * @throws RangeError for fewer degrees of freedom, where the expansion is not close
 * @see Abramowitz and Stegun (1964), 26.7.5
 */
export function studentQuantile(p: number, degreesOfFreedom: number): number {
  if (!(degreesOfFreedom >= 10)) throw new RangeError(`${degreesOfFreedom} degrees of freedom are fewer than 10`);
  const z = normalQuantile(p);
  const terms = [
    z,
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160,
  ];
  return terms.reduce((sum, term, i) => sum + term / degreesOfFreedom ** i, 0);
}
