import { Random } from '../bytes/random.js';
import { DEFAULT_RESAMPLES, percentileInterval } from './bootstrap.js';
import type { Interval } from './interval.js';

export interface BlockBootstrapOptions {
  /** Values of a block: as many as depend on each other, at least. */
  readonly block: number;
  readonly seed: string;
  readonly resamples?: number;
  readonly level?: number;
}

/**
 * Percentile interval of the weighted mean of values in a row of which neighbours depend on each other: blocks of neighbours are
 * drawn with replacement, the row closed to a circle, until there are as many values as before.
 * @param weights - one a value, not all 0 in any block
 * @see Politis and Romano, "A circular block-resampling procedure for stationary data" (1992)
 */
export function blockInterval(
  values: ArrayLike<number>,
  weights: ArrayLike<number>,
  { block, seed, resamples = DEFAULT_RESAMPLES, level }: BlockBootstrapOptions,
): Interval {
  const count = values.length;
  if (!(block >= 1 && block <= count)) throw new RangeError(`a block of ${block} of ${count} values`);
  // Sums up to each place of the row written twice: of a block anywhere on the circle in one subtraction.
  const weighted = new Float64Array(2 * count + 1);
  const mass = new Float64Array(2 * count + 1);
  for (let i = 0; i < 2 * count; i++) {
    weighted[i + 1] = weighted[i] + values[i % count] * weights[i % count];
    mass[i + 1] = mass[i] + weights[i % count];
  }
  const random = new Random(seed);
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    let [sum, total] = [0, 0];
    for (let drawn = 0; drawn < count; drawn += block) {
      const start = random.integer(0, count);
      const end = start + Math.min(block, count - drawn);
      sum += weighted[end] - weighted[start];
      total += mass[end] - mass[start];
    }
    means[resample] = sum / total;
  }
  return percentileInterval(means.sort(), level);
}
