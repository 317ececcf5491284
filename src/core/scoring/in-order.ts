import type { Scheduler } from './scheduler.js';

/** How long a source may take for its next rows before batches that are not full run without them. */
const LINGER_MS = 20;

export interface InOrderOptions<T, V, R = V> {
  /** Rows that are worked on, or whose results were not taken yet; it may become less meanwhile. */
  readonly limit: number;
  /** Of all stages that rows pass through. */
  readonly schedulers: readonly Scheduler[];
  readonly work: (row: T) => Promise<V>;
  /** What a row comes to: what its work brought, where it is left out. */
  readonly succeeded?: (row: T, value: V) => R;
  /** What one comes to whose work failed; undefined, or left out, where all ends with that. */
  readonly failed?: (row: T, error: unknown) => R | undefined;
}

/**
 * Does `work` for up to `limit` rows at once and yields what comes of them in the order of the rows, each as soon as those
 * before it are done. The source is read no further than that: what is slow holds back what is fast.
 */
export async function* inOrder<T, V, R = V>(
  source: AsyncIterable<T> | Iterable<T>,
  options: InOrderOptions<T, V, R>,
): AsyncGenerator<R> {
  yield* flattened(manyInOrder(oneByOne(source), options));
}

/** Rows as they come, for what takes several at a time. */
export async function* oneByOne<T>(source: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T[], void, undefined> {
  for await (const row of source) yield [row];
}

/** Rows that come several at a time, one by one. */
export async function* flattened<T>(source: AsyncIterable<readonly T[]>): AsyncGenerator<T, void, undefined> {
  for await (const rows of source) yield* rows;
}

/** A row under way, and what its work has brought. */
interface Place<T, V> {
  readonly row: T;
  state: 'working' | 'done' | 'failed';
  value?: V;
  error?: unknown;
}

/** As `inOrder`, of rows that are read several at a time: the results, too, come as many at a time as are there. */
export async function* manyInOrder<T, V, R = V>(
  source: AsyncIterable<readonly T[]>,
  options: InOrderOptions<T, V, R>,
): AsyncGenerator<R[]> {
  const { schedulers, work } = options;
  const rows = source[Symbol.asyncIterator]();
  const pending: Place<T, V>[] = [];
  let read: { readonly rows: readonly T[]; taken: number } = { rows: [], taken: 0 };
  let isReading = false;
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  let wake = (): void => undefined;

  const begin = (row: T): void => {
    const place: Place<T, V> = { row, state: 'working', value: undefined, error: undefined };
    pending.push(place);
    const end = (state: 'done' | 'failed'): void => {
      place.state = state;
      if (place === pending[0]) wake();
    };
    work(row).then(
      (value) => {
        place.value = value;
        end('done');
      },
      (error) => {
        place.error = error;
        end('failed');
      },
    );
  };

  const readOn = async (): Promise<void> => {
    isReading = true;
    try {
      const next = await lingering(schedulers, () => rows.next());
      if (next.done) ended = true;
      else read = { rows: next.value, taken: 0 };
    } catch (error) {
      failure = { error };
    }
    isReading = false;
    wake();
  };

  try {
    for (;;) {
      while (pending.length < options.limit && read.taken < read.rows.length) begin(read.rows[read.taken++]);
      const isDry = read.taken === read.rows.length;
      if (isDry && !isReading && !ended && pending.length < options.limit) void readOn();
      if (failure) throw failure.error;
      const done = settledOf(pending, options);
      if (done.length > 0) yield done;
      else if (ended && isDry && pending.length === 0) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    // Not awaited: a source that is waiting for its next row, such as a pipe, would hold the end up.
    rows.return?.(undefined).catch(() => undefined);
  }
}

/** Takes the results that are there from the front. @throws what the first of them failed with, where all ends with that */
function settledOf<T, V, R>(pending: Place<T, V>[], { succeeded, failed }: InOrderOptions<T, V, R>): R[] {
  const results: R[] = [];
  for (const { row, state, value, error } of pending) {
    if (state === 'working') break;
    if (state === 'done') results.push(succeeded ? succeeded(row, value!) : (value as unknown as R));
    else {
      const result = failed?.(row, error);
      if (result === undefined && results.length === 0) throw error;
      if (result === undefined) break; // thrown once those before it were taken
      results.push(result);
    }
  }
  pending.splice(0, results.length);
  return results;
}

/** Runs `read` as something that brings rows, though not for longer than a source may take. */
async function lingering<T>(schedulers: readonly Scheduler[], read: () => Promise<T>): Promise<T> {
  const ends = schedulers.map((scheduler) => scheduler.begin());
  const end = (): void => {
    for (const each of ends) each();
  };
  const timer = setTimeout(end, LINGER_MS);
  try {
    return await read();
  } finally {
    clearTimeout(timer);
    end();
  }
}
