import { totalmem } from 'node:os';

/** A runtime holds the weights as read and once more as packed for its kernels, and folds some (measured: up to 2.6 times). */
export const WEIGHT_COPIES = 3;

/** Bytes of memory this process may take: the machine's, or less where a container says so. */
export function machineMemory(): number {
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0 where nothing says so
  return Math.min(totalmem(), constrained);
}
