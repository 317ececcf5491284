import { normalCdf } from '../stats/normal.js';
import type { Beliefs } from './beliefs.js';

/** A prompt's best item is settled where it is the best at least so probably. */
export const SETTLED = 0.95;

/**
 * The share of prompts whose best item is settled: P(best) at least 1 less the sum of P(another is better), by Bonferroni. Prompts with
 * one item have nothing to settle, and do not count; null where there are no others.
 *
 * @param promptOf - of each item
 */
export function shareSettled(beliefs: Beliefs, promptOf: Int32Array, prompts: number): number | null {
  const best = new Int32Array(prompts).fill(-1);
  const items = new Int32Array(prompts);
  for (let item = 0; item < promptOf.length; item++) {
    const prompt = promptOf[item];
    items[prompt]++;
    if (best[prompt] < 0 || beliefs.meanOf(item) > beliefs.meanOf(best[prompt])) best[prompt] = item;
  }
  const doubt = new Float64Array(prompts);
  for (let item = 0; item < promptOf.length; item++) {
    const prompt = promptOf[item];
    if (item === best[prompt]) continue;
    const { mean, variance } = beliefs.difference(best[prompt], item);
    doubt[prompt] += normalCdf(-mean / Math.sqrt(variance));
  }
  let [settled, contested] = [0, 0];
  for (let prompt = 0; prompt < prompts; prompt++) {
    if (items[prompt] < 2) continue;
    contested++;
    if (doubt[prompt] <= 1 - SETTLED) settled++;
  }
  return contested === 0 ? null : settled / contested;
}
