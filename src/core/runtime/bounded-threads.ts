import { availableParallelism } from 'node:os';
import { type Threads, withThreads } from '../bytes/threads.js';
import { fullness, type MemoryUse, memoryUse } from './memory-use.js';
import { NEAR, taken, watchMemory } from './memory-watch.js';

export interface BoundedThreadsOptions {
  /** The cores by default. */
  readonly threads?: number;
  /** What the work goes by. */
  readonly rows: number;
  /** Bytes that a thread takes for each row, at its peak. */
  readonly rowBytes: number;
  /** What this program should take at most; the limit of its container counts in any case. */
  readonly maxMemory?: number;
  readonly signal?: AbortSignal;
  readonly onWarning?: (warning: string) => void;
  /** For tests. */
  readonly look?: () => MemoryUse | null;
}

/**
 * As `withThreads`, with as many threads as memory has room for: fewer from the start where all would not fit, half of them whenever
 * memory comes near its limit. Both is said, and changes no result.
 */
export function withBoundedThreads<T>(
  {
    threads = availableParallelism(),
    rows,
    rowBytes,
    maxMemory,
    signal,
    onWarning = () => undefined,
    look = () => memoryUse(maxMemory),
  }: BoundedThreadsOptions,
  work: (threads: Threads | null) => Promise<T>,
): Promise<T> {
  const fitting = threadsThatFit(threads, rows * rowBytes, look(), onWarning);
  return withThreads({ threads: fitting, rows, signal }, async (pool) => {
    const halve = (): string | null => {
      const now = pool?.halve() ?? null;
      return now === null ? null : atOnce(now);
    };
    const endWatch = watchMemory({ maxMemory, halve, least: 'with one thread', onWarning, look });
    try {
      return await work(pool);
    } finally {
      endWatch();
    }
  });
}

const MIB = 2 ** 20;

const atOnce = (threads: number): string =>
  `no more than ${threads} thread${threads === 1 ? ' computes' : 's compute'} at once`;

function threadsThatFit(
  threads: number,
  bytesEach: number,
  use: MemoryUse | null,
  onWarning: (warning: string) => void,
): number {
  if (use === null) return threads;
  const room = NEAR * use.limitBytes - use.usedBytes;
  let fitting = threads;
  while (fitting > 1 && fitting * bytesEach > room) fitting = Math.floor(fitting / 2);
  // What is over its limit already is said by the watch.
  if (fitting < threads && fullness(use) < 1) {
    const more = Math.max(1, Math.ceil((threads * bytesEach) / MIB)).toLocaleString('en');
    onWarning(`${taken(use)}; ${threads} threads could take ${more} MiB more: ${atOnce(fitting)}.`);
  }
  return fitting;
}
