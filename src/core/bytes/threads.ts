import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type FailureData, fromFailureData } from '../errors.js';

/** A function of a module, and what it is called with: all of it must survive the structured clone. */
export interface ThreadCall {
  /** `import.meta.url` of the module. */
  readonly module: string;
  readonly name: string;
  readonly given: unknown;
}

export type ThreadAnswer = { readonly result: unknown } | { readonly failed: FailureData };

/** A module as threads run it: itself in `dist`, or what is compiled of it for tests that run the TypeScript of `src`. */
const compiled = (url: string): string => url.replace(/\/src\/core\/(.*)\.ts$/, '/dist/core/$1.js');

const ENTRY = fileURLToPath(new URL('./thread-main.js', compiled(import.meta.url)));

/** Of what a thread makes and gives up again; what is large are columns, which are not among it. */
const YOUNG_MIB = 8;

/**
 * Threads that compute beside this one. What they answer depends on what they are asked alone, so that results are the same whatever
 * their number. Each starts when there is a call for it.
 */
export class Threads {
  private readonly idle: Worker[] = [];
  private readonly all = new Set<Worker>();
  private readonly waiting: (() => void)[] = [];

  /** @param count - how many calls are computed at a time */
  constructor(private most: number) {}

  get count(): number {
    return this.most;
  }

  /** Lets half as many calls be computed at a time from here on. @returns how many; null where it was one already */
  halve(): number | null {
    if (this.most === 1) return null;
    this.most = Math.floor(this.most / 2);
    while (this.all.size > this.most && this.idle.length > 0) this.end(this.idle.pop()!);
    return this.most;
  }

  /** Calls a function of a module in one of the threads. @throws what it throws: after a bug, the threads can only be closed */
  async call<T>(call: ThreadCall): Promise<T> {
    const worker = await this.take();
    const answer = await new Promise<ThreadAnswer>((resolve, reject) => {
      const ended = () => reject(new Error(`the thread that computes ${call.name} has ended`));
      worker.once('error', reject);
      worker.once('exit', ended);
      worker.once('message', (message: ThreadAnswer) => {
        worker.off('error', reject);
        worker.off('exit', ended);
        resolve(message);
      });
      worker.postMessage({ ...call, module: compiled(call.module) });
    });
    if (this.all.size > this.most) this.end(worker);
    else this.idle.push(worker);
    this.waiting.shift()?.();
    if ('failed' in answer) throw fromFailureData(answer.failed);
    return answer.result as T;
  }

  /** Ends all threads, whatever they compute. */
  async close(): Promise<void> {
    await Promise.all([...this.all].map((worker) => worker.terminate()));
  }

  private end(worker: Worker): void {
    this.all.delete(worker);
    void worker.terminate();
  }

  private async take(): Promise<Worker> {
    while (this.idle.length === 0 && this.all.size >= this.most) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    const idle = this.idle.pop();
    if (idle) return idle;
    const worker = new Worker(ENTRY, { execArgv: [], resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB } });
    this.all.add(worker);
    return worker;
  }
}

/** Rows under which threads take longer to start than they save. */
const FEWEST_ROWS = 5_000;

/**
 * Does some work with as many threads as there are cores, or as were asked for; they end with it, or when the signal says so.
 *
 * @param rows - what the work goes by: with few rows, or where one thread is asked for, it gets null
 */
export async function withThreads<T>(
  { threads = availableParallelism(), rows, signal }: { threads?: number; rows: number; signal?: AbortSignal },
  work: (threads: Threads | null) => Promise<T>,
): Promise<T> {
  if (threads < 2 || rows < FEWEST_ROWS) return work(null);
  const pool = new Threads(threads);
  const stop = () => void pool.close();
  signal?.addEventListener('abort', stop);
  try {
    return await work(pool);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
    await pool.close();
  }
}

/** The column in memory that threads share, so that it is not copied for each; itself where it is in such memory already. */
export function shared<T extends Float64Array | Int32Array>(column: T): T {
  if (column.buffer instanceof SharedArrayBuffer) return column;
  const memory = new SharedArrayBuffer(column.byteLength);
  const copy = (column instanceof Float64Array ? new Float64Array(memory) : new Int32Array(memory)) as T;
  copy.set(column);
  return copy;
}
