import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collector: (() => void) | undefined;

/**
 * Frees now what nothing refers to any more. V8 goes by how full its own heap is: pixels and columns lie outside of it, in shared memory it
 * does not even count them, and much would pass before it looked. It takes some milliseconds where the heap itself is small.
 */
export function collectGarbage(): void {
  if (collector === undefined) {
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as () => void;
  }
  collector();
}

/** Columns of fewer rows may wait for V8. */
const MANY_ROWS = 2 ** 17;

/** Frees columns that are done with before others take their turn, where they are of very many rows. */
export function collectColumns(rows: number): void {
  if (rows >= MANY_ROWS) collectGarbage();
}
