import type { Scheduler } from './scheduler.js';

/** How long a source may take for its next row before batches that are not full run without it. */
const LINGER_MS = 20;

export interface InOrderOptions<T, R> {
  /** Rows taken and not yet yielded. */
  readonly limit: number;
  /** Of all stages that rows pass through. */
  readonly schedulers: readonly Scheduler[];
  readonly work: (row: T) => Promise<R>;
}

/**
 * Does `work` for up to `limit` rows at once and yields what comes of them in the order of the rows, each as soon as those
 * before it are done. The source is read no further than that: what is slow holds back what is fast.
 */
export async function* inOrder<T, R>(
  source: AsyncIterable<T> | Iterable<T>,
  { limit, schedulers, work }: InOrderOptions<T, R>,
): AsyncGenerator<R> {
  const rows = iterate(source);
  const pending: Promise<R>[] = [];
  let reading: Promise<void> | undefined;
  let ended = false;

  const read = async (): Promise<void> => {
    const next = await lingering(schedulers, rows.next());
    reading = undefined;
    if (next.done) {
      ended = true;
      return;
    }
    const result = work(next.value);
    result.catch(() => undefined); // thrown when its turn comes
    pending.push(result);
  };

  try {
    for (;;) {
      if (!ended && !reading && pending.length < limit) reading = read();
      const waits: Promise<unknown>[] = [];
      if (reading) waits.push(reading);
      let first: { readonly value: R } | undefined;
      if (pending.length > 0) waits.push(pending[0].then((value) => (first = { value })));
      if (waits.length === 0) return;
      await Promise.race(waits);
      if (!first) continue;
      pending.shift();
      yield first.value;
    }
  } finally {
    // Not awaited: a source that is waiting for its next row, such as a pipe, would hold the end up.
    rows.return(undefined).catch(() => undefined);
  }
}

async function lingering<T>(schedulers: readonly Scheduler[], promise: Promise<T>): Promise<T> {
  const ends = schedulers.map((scheduler) => scheduler.begin());
  const end = (): void => {
    for (const each of ends) each();
  };
  const timer = setTimeout(end, LINGER_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    end();
  }
}

async function* iterate<T>(source: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T, void, undefined> {
  yield* source;
}
