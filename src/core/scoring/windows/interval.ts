import type { WindowRule } from '../../data/score-windows.js';
import { blockInterval } from '../../stats/block-bootstrap.js';
import { DEFAULT_LEVEL } from '../../stats/interval.js';

/** Fewer do not show how they vary. */
const FEWEST_BLOCKS = 4;

/**
 * The interval of a mean over windows; null of too few of them.
 * @param overlap - windows that cover one moment
 */
export function intervalOf(
  logits: readonly number[],
  weights: readonly number[],
  overlap: number,
): WindowRule['interval'] {
  // What overlaps depends on each other, and so does what is near: the usual third root of the length, at least.
  const block = Math.max(overlap, Math.ceil(logits.length ** (1 / 3)));
  if (logits.length < FEWEST_BLOCKS * block) return null;
  const [low, high] = blockInterval(logits, weights, { block, seed: 'windows' });
  return { level: DEFAULT_LEVEL, low, high, block };
}
