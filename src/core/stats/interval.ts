import { normalQuantile } from './normal.js';

/** Lower and upper end. */
export type Interval = readonly [number, number];

/** Level of every interval unless a caller says otherwise. */
export const DEFAULT_LEVEL = 0.95;

/**
 * Wilson's score interval of a proportion: inside [0, 1] and sensible for few trials.
 *
 * @param successes - may be fractional: a tie counts one half
 * @throws RangeError unless 0 <= successes <= trials and trials > 0
 * @see Wilson (1927); equals statsmodels' proportion_confint(method='wilson')
 */
export function wilsonInterval(successes: number, trials: number, level = DEFAULT_LEVEL): Interval {
  if (!(trials > 0 && successes >= 0 && successes <= trials)) {
    throw new RangeError(`${successes} successes of ${trials} trials`);
  }
  const z = normalQuantile((1 + level) / 2);
  const share = successes / trials;
  const scale = 1 + z ** 2 / trials;
  const centre = (share + z ** 2 / (2 * trials)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / trials + z ** 2 / (4 * trials ** 2));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}
