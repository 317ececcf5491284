import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { HpsError, systemErrorCode } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { BinCounts } from '../tensor/bins.js';
import { takeChild } from './child-start.js';
import type { ModelReply, ModelRequest } from './messages.js';
import type { Session, SessionOptions } from './session.js';
import { cycleOf } from './turns.js';
import type { TensorValue } from './value.js';

export interface ModelLimits {
  /** Resident memory the process may reach, beyond `WEIGHT_COPIES` times the model's files. Default `LIMITS.modelMemoryBytes`. */
  readonly memoryBytes?: number;
  /** Wall time of one load or one run, in milliseconds, and as much again for each GiB of files. Default `LIMITS.modelRunMs`. */
  readonly runMs?: number;
  /** Bytes of all outputs of one run. Default `LIMITS.modelOutputBytes`. */
  readonly outputBytes?: number;
}

export interface ModelProcessOptions {
  readonly limits?: ModelLimits;
  /** Kills the process; what is under way rejects with INTERRUPTED. */
  readonly signal?: AbortSignal;
}

/** A session in a `ModelProcess`. */
export interface RemoteSession extends Session {
  /** Its number within the process. */
  readonly index: number;
  /** Milliseconds of all runs together, as measured inside the process. */
  readonly runMs: number;
  /** Runs the model once and counts the values of some float outputs in the process, where they are; counts of runs add up. */
  count(feeds: Feeds, outputs: readonly string[]): Promise<void>;
  /** What was counted since the last call, by output. */
  counts(): Promise<ReadonlyMap<string, BinCounts>>;
}

type Feeds = Parameters<Session['run']>[0];

/** A model and its inputs, to be timed against others. */
export interface TimedTrial {
  readonly session: RemoteSession;
  readonly feeds: ReadonlyMap<string, TensorValue>;
}

/** A runtime holds the weights as read and once more as packed for its kernels, and folds some (measured: up to 2.6 times). */
const WEIGHT_COPIES = 3;

/** How often the memory is looked at. Pages are filled at some 10 GB/s at most, so it overshoots by 200 MB at worst. */
const MEMORY_POLL_MS = 20;

interface Pending {
  resolve(result: ModelReply['result']): void;
  reject(error: Error): void;
}

/**
 * A process of its own for models we did not make. Native code that eats all memory, never ends or crashes takes only
 * this process with it, and the event loop of the caller stays free. Close it when done.
 */
export class ModelProcess {
  /** Highest resident memory seen so far, in bytes. */
  peakRssBytes = 0;
  /** Resident memory after the last answer, in bytes. */
  rssBytes = 0;
  private readonly child: ChildProcess;
  private readonly exited: Promise<void>;
  private pending: Pending | undefined;
  private ended: HpsError | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private sessions = 0;
  private fileBytes = 0;
  private file = 'model';
  private readonly memoryBytes: number;
  private readonly runMs: number;
  private readonly outputBytes: number;
  private readonly memoryTimer: NodeJS.Timeout | undefined;

  constructor(private readonly options: ModelProcessOptions = {}) {
    this.memoryBytes = options.limits?.memoryBytes ?? LIMITS.modelMemoryBytes;
    this.runMs = options.limits?.runMs ?? LIMITS.modelRunMs;
    this.outputBytes = options.limits?.outputBytes ?? LIMITS.modelOutputBytes;
    this.child = takeChild();
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        this.end(crashed(this.file, code, signal));
        resolve();
      });
      this.child.once('error', (cause) => {
        this.end(
          new HpsError('BACKEND_UNAVAILABLE', `a process for the model cannot be started (${systemErrorCode(cause)})`, {
            cause,
          }),
        );
        resolve();
      });
    });
    this.child.on('message', (reply: ModelReply) => this.settle(reply));
    options.signal?.addEventListener('abort', this.onAbort, { once: true });
    if (options.signal?.aborted) this.onAbort();
    if (process.platform === 'linux') this.memoryTimer = setInterval(() => this.checkMemory(), MEMORY_POLL_MS).unref();
  }

  /**
   * Loads a model by path.
   * @param fileBytes - size of its files, external data included; what it may take grows with them
   * @throws HpsError as `openSession`, or MODEL_CRASHED, MODEL_TIMEOUT, MODEL_OUT_OF_MEMORY, INTERRUPTED
   */
  async load(path: string, options: SessionOptions = {}, fileBytes?: number): Promise<RemoteSession> {
    const session = this.sessions++;
    this.file = basename(path);
    this.fileBytes = Math.max(this.fileBytes, fileBytes ?? (await modelBytes(path)));
    const result = await this.request({ kind: 'load', session, path: resolve(path), options });
    if (result.kind !== 'loaded') throw new TypeError(`${result.kind} answers a load`);
    const { inputs, outputs, loadMs } = result;
    const model = this;
    let runMs = 0;
    const run = async (feeds: Feeds, count?: readonly string[]) => {
      const ran = await model.request({ kind: 'run', session, feeds, outputBytes: model.outputBytes, count });
      if (ran.kind !== 'ran') throw new TypeError(`${ran.kind} answers a run`);
      runMs += ran.runMs;
      return ran.outputs;
    };
    return {
      index: session,
      inputs,
      outputs,
      loadMs,
      get runMs() {
        return runMs;
      },
      run: (feeds) => run(feeds),
      async count(feeds, outputs) {
        await run(feeds, outputs);
      },
      async counts() {
        const counted = await model.request({ kind: 'counts', session });
        if (counted.kind !== 'counted') throw new TypeError(`${counted.kind} answers a question for counts`);
        return counted.counts;
      },
      async release() {
        await model.request({ kind: 'release', session });
      },
    };
  }

  /**
   * Loads the runtime without a model.
   * @returns its version, and the milliseconds that took inside the process
   * @throws HpsError BACKEND_UNAVAILABLE, and as `load`
   */
  async prepare(): Promise<{ readonly version: string; readonly prepareMs: number }> {
    const result = await this.request({ kind: 'prepare' });
    if (result.kind !== 'prepared') throw new TypeError(`${result.kind} answers a preparation`);
    return result;
  }

  /**
   * Runs trials in turn (see `turnsOf`) inside the process, where nothing but the runs is timed: at most `rounds` each, and no cycle
   * begun after `budgetMs` (one in any case). Outputs stay there.
   * @returns milliseconds of every run, a list for each trial, all of one length
   * @throws HpsError as `RemoteSession.run`
   */
  async time(
    trials: readonly TimedTrial[],
    { rounds, budgetMs }: { readonly rounds: number; readonly budgetMs: number },
  ): Promise<readonly (readonly number[])[]> {
    const sent = trials.map(({ session, feeds }) => ({ session: session.index, feeds }));
    const runs = trials.length * Math.min(rounds, cycleOf(trials.length));
    const result = await this.request({ kind: 'time', trials: sent, rounds, budgetMs }, budgetMs, runs);
    if (result.kind !== 'timed') throw new TypeError(`${result.kind} answers a timing`);
    return result.times;
  }

  /** Ends the process and waits until it is gone. */
  async close(): Promise<void> {
    this.kill(new HpsError('INTERRUPTED', `${this.file}: its process was closed`));
    await this.exited;
  }

  /** @param runs - how many runs may each take the whole limit, after `extraMs` of others */
  private request(
    message: ModelRequest,
    extraMs = 0,
    runs = 1,
  ): Promise<Exclude<ModelReply['result'], { kind: 'failed' }>> {
    const answered = this.queue.then(() => this.exchange(message, extraMs, runs));
    this.queue = answered.catch(() => {});
    return answered;
  }

  private async exchange(
    message: ModelRequest,
    extraMs: number,
    runs: number,
  ): Promise<Exclude<ModelReply['result'], { kind: 'failed' }>> {
    if (this.ended) throw this.ended;
    const limitMs = this.runMs * (1 + this.fileBytes / 2 ** 30);
    const timer = setTimeout(() => this.kill(timedOut(this.file, limitMs)), extraMs + runs * limitMs);
    try {
      const result = await new Promise<ModelReply['result']>((resolve, reject) => {
        this.pending = { resolve, reject };
        // A failed send is followed by the exit, which rejects.
        this.child.send(message, () => {});
      });
      if (result.kind === 'failed')
        throw new HpsError(result.code, result.message, { hint: result.hint, details: result.details });
      return result;
    } finally {
      clearTimeout(timer);
      this.pending = undefined;
    }
  }

  private settle({ result, peakRssBytes, rssBytes }: ModelReply): void {
    this.rssBytes = rssBytes;
    this.peakRssBytes = Math.max(this.peakRssBytes, peakRssBytes);
    this.pending?.resolve(result);
  }

  private readonly onAbort = (): void => {
    this.kill(new HpsError('INTERRUPTED', `${this.file}: interrupted`));
  };

  private checkMemory(): void {
    const rss = residentBytes(this.child.pid);
    this.peakRssBytes = Math.max(this.peakRssBytes, rss);
    const limit = this.memoryBytes + WEIGHT_COPIES * this.fileBytes;
    if (rss > limit) this.kill(outOfMemory(this.file, rss, limit));
  }

  private kill(reason: HpsError): void {
    this.end(reason);
    this.child.kill('SIGKILL');
  }

  /** The first reason stays: a killed process then exits by a signal, which is not a crash of its own. */
  private end(reason: HpsError): void {
    if (this.ended) return;
    this.ended = reason;
    clearInterval(this.memoryTimer);
    this.options.signal?.removeEventListener('abort', this.onAbort);
    this.pending?.reject(reason);
  }
}

/** Runs `use` with a process that is ended afterwards, however it ends. */
export async function withModelProcess<T>(
  options: ModelProcessOptions,
  use: (model: ModelProcess) => Promise<T>,
): Promise<T> {
  const model = new ModelProcess(options);
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

/** Size of the model and of the files beside it that start with its name (`m.onnx.data`, `m.onnx_data`); 0 where there is none. */
export async function modelBytes(path: string): Promise<number> {
  const name = basename(path);
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => []);
  const sizes = await Promise.all(
    names
      .filter((file) => file.startsWith(name))
      .map(async (file) => (await stat(join(folder, file)).catch(() => null))?.size ?? 0),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Resident memory of a process by /proc; 0 where it is gone. Waiting for so small a read would cost ten times as much. */
function residentBytes(pid: number | undefined): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function crashed(file: string, code: number | null, signal: string | null): HpsError {
  return new HpsError('MODEL_CRASHED', `${file}: onnxruntime crashed on it (${signal ?? `exit ${code}`})`, {
    hint: 'Do not use this model; export it again from its checkpoint.',
    details: { file, signal, code },
  });
}

function timedOut(file: string, limitMs: number): HpsError {
  return new HpsError('MODEL_TIMEOUT', `${file}: one run took longer than ${Math.round(limitMs)} ms`, {
    hint: 'The model may loop without end; do not use it unless you know why it is slow.',
    details: { file, limitMs },
  });
}

function outOfMemory(file: string, residentBytes: number, limitBytes: number): HpsError {
  return new HpsError(
    'MODEL_OUT_OF_MEMORY',
    `${file}: took ${residentBytes} bytes of memory, over the limit of ${limitBytes}`,
    {
      hint: 'The model asks for more memory than its size explains; do not use it unless you know why.',
      details: { file, residentBytes, limitBytes },
    },
  );
}
