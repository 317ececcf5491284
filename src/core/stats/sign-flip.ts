import { twoSidedP } from './normal.js';
import { assertFinite } from './outcomes.js';
import type { Clusters } from './statistic.js';

export interface SignFlipTest {
  /** Two-sided; exact as `signFlipTest` says. */
  readonly pValue: number;
  /** Two-sided mid-p: less conservative, and rarely above its level. */
  readonly midP: number;
}

/** Additions that the exact distribution may take: a fraction of a second. Of more clusters the normal one is as good. */
const MAX_ADDITIONS = 2e8;

/** What two models' credits differ by, summed over the rows of each cluster. */
export function clusterDifferences(first: Float64Array, second: Float64Array, { of, count }: Clusters): Float64Array {
  const sums = new Float64Array(count);
  for (let row = 0; row < first.length; row++) sums[of[row]] += first[row] - second[row];
  return sums;
}

/**
 * Tests that two models are right equally often. Then the difference of a cluster is as likely as its opposite, and the observed sum
 * is one of those that come about by flipping the signs of whole clusters. Rows of one prompt are so flipped together, and half a
 * credit counts one half. Where every cluster is a row and no credit is half it is McNemar's exact test.
 *
 * Exact where differences are whole or half numbers (votes, ties); else, and of very many, by the normal distribution.
 *
 * @param differences - of independent clusters
 * @throws RangeError if one is not finite
 * @see Fisher (1935); scipy.stats.permutation_test(permutation_type='samples'); McNemar (1947); Fagerland, Lydersen and Laake
 *   (2013) for mid-p
 */
export function signFlipTest(differences: Float64Array): SignFlipTest {
  assertFinite('difference', differences);
  const halves = differences.map((difference) => 2 * difference).filter((difference) => difference !== 0);
  if (halves.length === 0) return { pValue: 1, midP: 1 };
  const sum = halves.reduce((total, value) => total + value, 0);
  const sizes = halves.map(Math.abs);
  const reach = sizes.reduce((total, size) => total + size, 0);
  if (!sizes.every(Number.isInteger) || sizes.length * reach > MAX_ADDITIONS) {
    const variance = sizes.reduce((total, size) => total + size ** 2, 0);
    const pValue = twoSidedP(sum / Math.sqrt(variance));
    return { pValue, midP: pValue };
  }
  // Flipping clusters of size s in all takes 2 s from the sum: the chance of each s, where every cluster is flipped or not.
  const chances = new Float64Array(reach + 1);
  chances[0] = 1;
  let highest = 0;
  for (const size of sizes) {
    highest += size;
    for (let flipped = highest; flipped >= 0; flipped--) {
      chances[flipped] = (chances[flipped] + (flipped >= size ? chances[flipped - size] : 0)) / 2;
    }
  }
  const least = (reach - Math.abs(sum)) / 2;
  let tail = 0;
  for (let flipped = 0; flipped <= least; flipped++) tail += chances[flipped];
  if (sum === 0) return { pValue: 1, midP: 1 - chances[least] / 2 };
  return { pValue: Math.min(1, 2 * tail), midP: 2 * tail - chances[least] };
}
