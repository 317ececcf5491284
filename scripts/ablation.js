// The two parts that npm run ablate takes away, and what their absence is judged by.
import { comparePaired } from '../dist/core/stats/paired.js';
import { ratioOfSums } from '../dist/core/stats/statistic.js';

const QUERY = /^fusion\.layers\.\d+\.q\.(?:weight|bias)$/;
const KEY_AND_VALUE = /^fusion\.layers\.\d+\.kv\.(?:weight|bias)$/;

/**
 * Weights whose cross-attention looks at every token alike: queries and keys of the fusion are 0, values as they were. Training leaves
 * them so, since the gradient of either is a product with the other.
 */
export const withoutCrossAttention = (weights) =>
  new Map(
    Array.from(weights, ([name, { shape, values }]) => {
      const zeros = QUERY.test(name) ? values.length : KEY_AND_VALUE.test(name) ? values.length / 2 : 0;
      return [name, { shape, values: zeros === 0 ? values : values.slice().fill(0, 0, zeros) }];
    }),
  );

/** Whether weights are those of `withoutCrossAttention` still. */
export const attendsToAllAlike = (weights) =>
  [...withoutCrossAttention(weights)].every(([name, { values }]) =>
    values.every((value, i) => value === weights.get(name).values[i]),
  );

/** Share of texts that are truly below 0 and were given more than 0. */
export function falsePositives(predicted, actual) {
  const isBad = actual.map((score) => (score < 0 ? 1 : 0));
  return ratioOfSums(
    isBad.map((bad, i) => bad * (predicted[i] > 0 ? 1 : 0)),
    isBad,
  );
}

/** The mean of statistics of the same rows. */
export const meanOf = (statistics) => (weights) => {
  const values = statistics.map((statistic) => statistic(weights));
  return values.includes(null) ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
};

/** A figure of models without the part beside models with it, each from one start, under the same draws of clusters. */
export async function compareArms({ without, whole, direction, clusters, seed }) {
  const options = { resamples: 1000, seed: `ablate/${seed}` };
  const compared = async (a, b) => ({
    whole: b(),
    without: a(),
    ...(await comparePaired(a, b, direction, clusters, options)),
  });
  return {
    ...(await compared(meanOf(without), meanOf(whole))),
    byModel: await Promise.all(without.map((statistic, i) => compared(statistic, whole[i]))),
  };
}
