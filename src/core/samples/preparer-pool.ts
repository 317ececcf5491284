import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type FailureData, fromFailureData } from '../errors.js';
import type { MediaItem } from '../media/item.js';
import {
  openPreparer,
  type PreparedItem,
  type PreparedWindow,
  type Preparer,
  type PreparerOptions,
} from '../media/preparer.js';
import type { Windowing } from '../media/windows.js';
import { isTextual } from '../onnx/manifest-names.js';

/** An item, or one in windows, of which the first is answered; then the next window of that item, or that no more are wanted. */
export type PrepareRequest =
  | { readonly id: number; readonly item: MediaItem; readonly windowing?: Windowing }
  | { readonly id: number; readonly next: true }
  | { readonly id: number; readonly end: true };

export type PrepareReply =
  /** Null after the last window. */
  | { readonly id: number; readonly prepared: PreparedItem | PreparedWindow | null }
  | { readonly id: number; readonly failed: FailureData };

/** The compiled entry: beside this file in `dist`, or in `dist` for tests that run the TypeScript of `src`. */
const ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../../dist/core/samples/preparer-main.js' : './preparer-main.js',
    import.meta.url,
  ),
);

/** Items given to a thread at a time: one is computed while files of others are read. */
const ITEMS_PER_THREAD = 3;

/** A longer text is cut into windows in another thread: of some MB it takes seconds. */
const LONGEST_CUT_HERE = 100_000;

/**
 * A preparer that works beside inference: pictures, sound and clips are decoded in threads of their own. Text alone takes
 * microseconds and stays in this thread, unless it is long and cut into windows.
 * @throws HpsError as `openPreparer`
 */
export async function openPreparerPool(options: PreparerOptions): Promise<Preparer> {
  const local = await openPreparer(options); // for its errors, and for its hash
  const textOnly = options.inputs.every(({ preprocess }) => isTextual(preprocess.kind));
  const pool = new PreparerPool(options, local, { canLeave: textOnly });
  if (!textOnly) return pool;
  return {
    ...local,
    windows: (item, windowing, signal) =>
      ((item.text?.length ?? 0) > LONGEST_CUT_HERE ? pool : local).windows(item, windowing, signal),
    close: () => pool.close(),
  };
}

interface Pending {
  resolve(item: PreparedItem | PreparedWindow | null): void;
  reject(error: Error): void;
}

class PreparerThread {
  readonly pending = new Map<number, Pending>();
  /** Items under way in windows: it is busy with them though no answer may be due. */
  windowed = 0;
  private readonly worker: Worker;
  private ended: Error | undefined;

  constructor(options: PreparerOptions) {
    this.worker = new Worker(ENTRY, { execArgv: [], workerData: options });
    this.worker.unref();
    this.worker.on('message', (reply: PrepareReply) => this.settle(reply));
    this.worker.on('error', (error) => this.end(error));
    this.worker.on('exit', () => this.end(new Error('a thread that prepares items has ended')));
  }

  get load(): number {
    return this.pending.size + this.windowed;
  }

  ask(request: PrepareRequest): Promise<PreparedItem | PreparedWindow | null> {
    if (this.ended) return Promise.reject(this.ended);
    return new Promise((resolve, reject) => {
      this.worker.ref();
      this.pending.set(request.id, { resolve, reject });
      this.worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }

  private settle(reply: PrepareReply): void {
    const waiting = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if (this.pending.size === 0) this.worker.unref();
    if ('prepared' in reply) waiting?.resolve(reply.prepared);
    else waiting?.reject(fromFailureData(reply.failed));
  }

  private end(reason: Error): void {
    this.ended ??= reason;
    for (const { reject } of this.pending.values()) reject(this.ended);
    this.pending.clear();
  }
}

interface Queued {
  readonly item: MediaItem;
  resolve(item: PreparedItem): void;
  reject(error: Error): void;
}

class PreparerPool implements Preparer {
  private readonly threads: PreparerThread[] = [];
  private readonly queue: Queued[] = [];
  private readonly size = availableParallelism();
  private sent = 0;

  readonly contractSha256: string;
  readonly longestWindow: Preparer['longestWindow'];
  private readonly canLeave: boolean;

  /** @param canLeave - whether nothing is lost where nobody waits for the end of an item: no program reads it, and no file holds it */
  constructor(
    private readonly options: PreparerOptions,
    { contractSha256, longestWindow }: Preparer,
    { canLeave }: { readonly canLeave: boolean },
  ) {
    this.contractSha256 = contractSha256;
    this.longestWindow = longestWindow;
    this.canLeave = canLeave;
  }

  async *windows(item: MediaItem, windowing: Windowing, signal?: AbortSignal): AsyncGenerator<PreparedWindow> {
    signal?.throwIfAborted();
    const leaves = this.canLeave ? signal : undefined;
    const thread = this.leastBusy();
    const id = this.sent++;
    thread.windowed++;
    let isOver = false;
    const ask = async (request: PrepareRequest): Promise<PreparedWindow | null> => {
      isOver = true; // unless there is an answer, and it is a window
      const answer = thread.ask(request) as Promise<PreparedWindow | null>;
      const next = await orAborted(answer, leaves);
      isOver = next === null;
      return next;
    };
    try {
      for (let next = await ask({ id, item, windowing }); next; next = await ask({ id, next: true })) {
        yield next;
        signal?.throwIfAborted();
      }
    } finally {
      const hasLeft = leaves?.aborted ?? false;
      const end = async (): Promise<void> => {
        if (!isOver || hasLeft) await thread.ask({ id, end: true }).catch(() => undefined);
        thread.windowed--;
        this.pump();
      };
      if (hasLeft) void end();
      else await end();
    }
  }

  prepare(item: MediaItem, signal?: AbortSignal): Promise<PreparedItem> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      this.queue.push({ item, resolve, reject });
      this.pump();
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.close()));
  }

  private pump(): void {
    while (this.queue.length > 0) {
      const thread = this.freeThread();
      if (!thread) return;
      const { item, resolve, reject } = this.queue.shift()!;
      thread
        .ask({ id: this.sent++, item })
        .then((prepared) => resolve(prepared!), reject)
        .finally(() => this.pump());
    }
  }

  /** One that has room for another item. */
  private freeThread(): PreparerThread | undefined {
    const least = this.leastBusy();
    return least.load < ITEMS_PER_THREAD ? least : undefined;
  }

  /** A new one while all there are have work and there may be more. */
  private leastBusy(): PreparerThread {
    const [least] = this.threads.toSorted((a, b) => a.load - b.load);
    if (least?.load === 0 || this.threads.length >= this.size) return least;
    const thread = new PreparerThread(this.options);
    this.threads.push(thread);
    return thread;
  }
}

/** What comes, unless the signal aborts before. @throws its reason: a text of megabytes is cut in seconds, in one step */
function orAborted<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return answer;
  setMaxListeners(0, signal); // one an item
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
