import { setFlagsFromString } from 'node:v8';

/** Of what is alive: what may be allocated before the next collection of the whole heap. V8's own choice is up to 300. */
const GROWTH_PERCENT = 10;

/**
 * Makes V8 collect sooner, for work on any number of rows or tensors. Rows wait in a window until their batch is done, long enough to leave
 * the young generation; by default that garbage stays until the heap is several times as large as what is alive in it.
 */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
