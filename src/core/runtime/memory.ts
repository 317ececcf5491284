import { totalmem } from 'node:os';

/** A runtime holds the weights as read and once more as packed for its kernels, and folds some (measured: up to 2.6 times). */
export const WEIGHT_COPIES = 3;

/**
 * Copies of the weights that a session holds at the least: as read and as packed for its kernels; of float16, which the processor
 * computes in float32, two in that.
 */
export const leastCopies = (half: boolean): number => (half ? 3 : 2);

/** Bytes of weights that are in memory at a time, of a model that is run in segments. */
export const SEGMENT_BYTES = 2 ** 30;

/** Bytes of memory this process may take: the machine's, or less where a container says so. */
export function machineMemory(): number {
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0 where nothing says so
  return Math.min(totalmem(), constrained);
}
