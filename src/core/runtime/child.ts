import type { ChildProcess } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { fromFailureData, HpsError, systemErrorCode } from '../errors.js';
import { LIMITS } from '../limits.js';
import { takeChild } from './child-start.js';
import type { Device } from './device.js';
import type { Exchange, SentValues } from './exchange.js';
import { Lane } from './lane.js';
import { WEIGHT_COPIES } from './memory.js';
import type { ModelReply, ModelRequest, Numbered, ThreadOptions, WireReply, WireRequest } from './messages.js';
import { explainedBytes, explainedMs } from './model-limits.js';
import { processorMs, residentBytes } from './process-facts.js';
import type { Session, SessionOptions } from './session.js';
import type { Tallies, TallyKinds } from './tally.js';
import { cycleOf } from './turns.js';
import type { TensorValue } from './value.js';
import { encodeFrame, FrameReader } from './wire.js';

export interface ModelLimits {
  /**
   * Resident memory the process may reach, beyond `WEIGHT_COPIES` times the model's files and what its inputs explain; as often as
   * it has sessions of one model side by side. On Linux alone. Default `LIMITS.modelMemoryBytes`.
   */
  readonly memoryBytes?: number;
  /** Wall time of one load or one run, in milliseconds, and as much again for each GiB of files. Default `LIMITS.modelRunMs`. */
  readonly runMs?: number;
  /**
   * Processor time from one answer to the next, in milliseconds, beyond what weights and inputs explain; where it is given, the
   * wall time may be four times as long. On Linux alone; not limited by default.
   */
  readonly processorMs?: number;
  /** Bytes of all outputs of one run. Default `LIMITS.modelOutputBytes`. */
  readonly outputBytes?: number;
}

export interface ModelProcessOptions {
  readonly limits?: ModelLimits;
  /** Kills the process; what is under way rejects with INTERRUPTED. */
  readonly signal?: AbortSignal;
  /** Keeps no program alive while nothing is asked of it. */
  readonly background?: boolean;
  /** Where one step leaves its process for the next. */
  readonly kept?: KeptProcess;
}

export interface OpenThreadOptions extends ThreadOptions {
  /** Called where `auto` falls back, with the device that is missing and the one that is tried next. */
  readonly onFallback?: (missing: Device, next: Device) => void;
  /** Whether a session of the same model is open already. */
  readonly another?: boolean;
}

/** A session in a thread of its own within a `ModelProcess`: it runs beside the other ones there. */
export interface ThreadSession extends Session {
  readonly device: Device;
}

/** A session in a `ModelProcess`. */
export interface RemoteSession extends Session {
  /** Its number within the process. */
  readonly index: number;
  /** Milliseconds of all runs together, as measured inside the process. */
  readonly runMs: number;
  /** Runs the model once and puts some outputs together with those of other runs in the process, where they are. */
  tally(feeds: Feeds, kinds: TallyKinds): Promise<void>;
  /** What was put together since the last call. */
  tallies(): Promise<Tallies>;
}

type Feeds = Parameters<Session['run']>[0];

/** A model and its inputs, to be timed against others. */
export interface TimedTrial {
  readonly session: RemoteSession;
  readonly feeds: ReadonlyMap<string, TensorValue>;
}

const LINUX = process.platform === 'linux';

/** How often the limits are looked at. Pages are filled at some 10 GB/s at most, so memory overshoots by 200 MB at worst. */
const POLL_MS = 20;
/** The libraries of another device than the processor take this in the process, and as many times the processor time. */
const DEVICE = { bytes: 4 * 2 ** 30, times: 10 } as const;
/** Runs that a session in a thread of its own is given at a time: one runs, the next one is already there when it ends. */
const RUNS_AHEAD = 2;

type Answer = Exclude<ModelReply['result'], { kind: 'failed' }>;
type Ran = Extract<Answer, { kind: 'ran' }>;

/** What one request may take until it is answered. */
interface Budget {
  readonly wallMs: number;
  readonly processorMs: number;
}

interface Pending extends Budget {
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
  private readonly exchange: Exchange | null;
  private readonly wires: readonly Socket[];
  /** Places of wires that no session has. */
  private readonly freeWires: number[];
  private readonly exited: Promise<void>;
  /** By the number of the request. */
  private readonly pending = new Map<number, Pending>();
  private requests = 0;
  private ended: HpsError | undefined;
  /** Of all requests but runs of sessions in threads of their own. */
  private readonly lane = new Lane(1);
  private sessions = 0;
  private fileBytes = 0;
  /** Sessions of one model side by side. */
  private copies = 1;
  /** What the inputs of a session's largest run explain, by session. */
  private readonly explained: number[] = [];
  private elsewhere = false;
  private file = 'model';
  /** When the last answer came, and what processor time the process had taken when the limits were looked at next. */
  private progress: { readonly at: number; processorMs: number | null } = { at: 0, processorMs: null };
  private readonly memoryBytes: number;
  private readonly runMs: number;
  private readonly processorMs: number;
  private readonly outputBytes: number;
  private timer: NodeJS.Timeout | undefined;
  private isReferenced = true;

  constructor(private readonly options: ModelProcessOptions = {}) {
    const { limits = {}, signal } = options;
    this.memoryBytes = limits.memoryBytes ?? LIMITS.modelMemoryBytes;
    this.runMs = limits.runMs ?? LIMITS.modelRunMs;
    this.processorMs = limits.processorMs ?? Number.POSITIVE_INFINITY;
    this.outputBytes = limits.outputBytes ?? LIMITS.modelOutputBytes;
    ({ child: this.child, exchange: this.exchange, wires: this.wires } = takeChild());
    this.freeWires = this.wires.map((_, wire) => wire);
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
    this.child.on('message', (reply: Numbered<ModelReply>) => this.take(reply));
    if (options.background) this.unref();
    signal?.addEventListener('abort', this.onAbort, { once: true });
    if (signal?.aborted) this.onAbort();
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
    this.elsewhere ||= options.device !== undefined && options.device.kind !== 'cpu';
    const result = await this.request({ kind: 'load', session, path: resolve(path), options });
    if (result.kind !== 'loaded') throw new TypeError(`${result.kind} answers a load`);
    const { inputs, outputs, loadMs } = result;
    const model = this;
    let runMs = 0;
    const run = async (feeds: Feeds, kinds?: TallyKinds) => {
      const ran = await model.run(session, feeds, model.lane, kinds);
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
      async tally(feeds, kinds) {
        await run(feeds, kinds);
      },
      async tallies() {
        const tallied = await model.request({ kind: 'tallies', session });
        if (tallied.kind !== 'tallied') throw new TypeError(`${tallied.kind} answers a question for tallies`);
        return tallied.tallies;
      },
      async release() {
        await model.request({ kind: 'release', session });
      },
    };
  }

  /**
   * Loads a model in a thread of its own, on the device asked for or, under `auto`, on the first that works.
   * @param fileBytes - as of `load`; for a part of a model, of the whole
   * @throws HpsError as `load`; BACKEND_UNAVAILABLE for a device that is not there
   */
  async openThread(path: string, options: OpenThreadOptions, fileBytes: number): Promise<ThreadSession> {
    const { onFallback, another = false, ...rest } = options;
    const session = this.sessions++;
    if (another) this.copies++;
    this.file = basename(path);
    this.fileBytes = Math.max(this.fileBytes, fileBytes);
    this.elsewhere ||= options.device.kind !== 'cpu';
    const wire = this.freeWires.shift();
    const loaded = await this.request({ kind: 'open', session, path: resolve(path), options: rest, wire }).catch(
      (error) => {
        if (wire !== undefined) this.freeWires.unshift(wire);
        throw error;
      },
    );
    if (loaded.kind !== 'loaded') throw new TypeError(`${loaded.kind} answers an opening`);
    const { inputs, outputs, loadMs, device, missing = [] } = loaded;
    for (const [i, absent] of missing.entries()) onFallback?.(absent, missing[i + 1] ?? device!);
    const lane = new Lane(RUNS_AHEAD);
    if (wire !== undefined) this.listen(this.wires[wire]);
    return {
      inputs,
      outputs,
      loadMs,
      device: device!,
      run: async (feeds) =>
        (
          await (wire === undefined
            ? this.run(session, feeds, lane)
            : this.runOver(this.wires[wire], { session, feeds, lane }))
        ).outputs,
      release: async () => {
        if (wire === undefined) await this.request({ kind: 'release', session }, { lane });
        else await this.inTurn(lane, () => this.ask(overWire(this.wires[wire], { kind: 'release' }), this.budget()));
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
    const one = this.budget();
    const budget = { ...one, wallMs: budgetMs + runs * one.wallMs };
    for (const { session, feeds } of trials) this.explain(session.index, feeds);
    const result = await this.request({ kind: 'time', trials: sent, rounds, budgetMs }, { budget });
    if (result.kind !== 'timed') throw new TypeError(`${result.kind} answers a timing`);
    return result.times;
  }

  /** Whether it takes requests. */
  get isAlive(): boolean {
    return this.ended === undefined;
  }

  /** Ends the process and waits until it is gone. */
  async close(): Promise<void> {
    this.kill(new HpsError('INTERRUPTED', `${this.file}: its process was closed`));
    this.child.ref();
    await this.exited;
  }

  private async run(session: number, feeds: Feeds, lane: Lane, tally?: TallyKinds): Promise<Ran> {
    this.explain(session, feeds);
    const { outputBytes } = this;
    const ran = await this.request(
      { kind: 'run', session, feeds, outputBytes, tally },
      { lane, budget: this.budget(feeds) },
    );
    return assertRan(ran);
  }

  /** As `run`, for a session whose thread has a wire. */
  private runOver(wire: Socket, { session, feeds, lane }: WiredRun): Promise<Ran> {
    this.explain(session, feeds);
    const { outputBytes } = this;
    return this.inTurn(lane, async () => {
      const put = this.exchange?.put(feeds);
      try {
        const send = overWire(wire, { kind: 'run', outputBytes }, put?.sent ?? feeds);
        return assertRan(await this.ask(send, this.budget(feeds)));
      } finally {
        put?.release();
      }
    });
  }

  private listen(wire: Socket): void {
    const reader = new FrameReader<WireReply>();
    wire.on('data', (piece: Uint8Array) => {
      for (const { id, head, values } of reader.push(piece)) {
        this.settle(id, head.kind === 'ran' ? { ...head, outputs: values as Map<string, TensorValue> } : head);
      }
    });
    wire.unref(); // the process itself keeps the program alive while something is asked of it
  }

  private explain(session: number, feeds: Feeds): void {
    this.explained[session] = Math.max(this.explained[session] ?? 0, explainedBytes(feeds, this.fileBytes));
  }

  private budget(feeds: Feeds = new Map()): Budget {
    const processorMs = (this.processorMs + explainedMs(feeds, this.fileBytes)) * (this.elsewhere ? DEVICE.times : 1);
    const wallMs = this.runMs * (1 + this.fileBytes / 2 ** 30);
    return { processorMs, wallMs: Number.isFinite(processorMs) ? Math.max(wallMs, 4 * processorMs) : wallMs };
  }

  /** Sends a request when it is its turn in its lane. */
  private async request(
    message: ModelRequest,
    { lane = this.lane, budget = this.budget() }: { readonly lane?: Lane; readonly budget?: Budget } = {},
  ): Promise<Answer> {
    return this.inTurn(lane, async () => {
      const put = message.kind === 'run' ? this.exchange?.put(message.feeds as Feeds) : undefined;
      const sent = put ? ({ ...message, feeds: put.sent } as ModelRequest) : message;
      try {
        // A failed send is followed by the exit, which rejects.
        return await this.ask(
          (id) => this.child.send({ id, message: sent } satisfies Numbered<ModelRequest>, () => {}),
          budget,
        );
      } finally {
        put?.release();
      }
    });
  }

  private async inTurn<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
    await lane.enter();
    try {
      return await work();
    } finally {
      lane.leave();
    }
  }

  private async ask(send: (id: number) => void, budget: Budget): Promise<Answer> {
    const result = await new Promise<ModelReply['result']>((resolve, reject) => {
      if (this.ended) {
        reject(this.ended);
        return;
      }
      if (this.pending.size === 0) this.watch();
      const id = this.requests++;
      this.pending.set(id, { ...budget, resolve, reject });
      send(id);
    });
    if (result.kind !== 'failed') return result;
    throw fromFailureData(result);
  }

  private take({ id, message: { result, peakRssBytes, rssBytes } }: Numbered<ModelReply>): void {
    this.rssBytes = rssBytes;
    this.peakRssBytes = Math.max(this.peakRssBytes, peakRssBytes);
    this.settle(id, result);
  }

  private settle(id: number, result: ModelReply['result']): void {
    const waiting = this.pending.get(id);
    this.pending.delete(id);
    if (this.pending.size > 0) this.noteProgress();
    else this.rest();
    waiting?.resolve(result);
  }

  /** Begins to look at the limits, as long as something is under way. */
  private watch(): void {
    this.noteProgress();
    this.timer ??= setInterval(() => this.checkLimits(), POLL_MS).unref();
    if (this.isReferenced) return;
    this.isReferenced = true;
    this.child.ref();
    this.child.channel?.ref();
  }

  private rest(): void {
    if (this.options.background) this.unref();
  }

  private unref(): void {
    this.isReferenced = false;
    this.child.unref();
    this.child.channel?.unref();
  }

  private noteProgress(): void {
    this.progress = { at: performance.now(), processorMs: null };
  }

  /** Zero where nothing tells, or nothing asks. */
  private takenMs(): number {
    return LINUX && this.processorMs < Number.POSITIVE_INFINITY ? processorMs(this.child.pid) : 0;
  }

  private checkLimits(): void {
    if (this.pending.size === 0) {
      clearInterval(this.timer); // not with the last answer: the next request may come at once
      this.timer = undefined;
      return;
    }
    if (LINUX) this.checkMemory();
    const { progress } = this;
    const takenMs = this.takenMs();
    progress.processorMs ??= takenMs;
    let [wallMs, processorMs] = [0, 0];
    for (const budget of this.pending.values()) {
      wallMs += budget.wallMs;
      processorMs += budget.processorMs;
    }
    if (performance.now() - progress.at > wallMs) this.kill(timedOut(this.file, wallMs, ''));
    else if (takenMs - progress.processorMs > processorMs)
      this.kill(timedOut(this.file, processorMs, ' of a processor'));
  }

  private checkMemory(): void {
    const rss = residentBytes(this.child.pid);
    this.peakRssBytes = Math.max(this.peakRssBytes, rss);
    const explained = this.explained.reduce((sum, bytes) => sum + bytes, 0);
    const each = this.memoryBytes + WEIGHT_COPIES * this.fileBytes;
    const limit = this.copies * each + explained + (this.elsewhere ? DEVICE.bytes : 0);
    if (rss > limit) this.kill(outOfMemory(this.file, rss, Math.round(limit)));
  }

  private readonly onAbort = (): void => {
    this.kill(new HpsError('INTERRUPTED', `${this.file}: interrupted`));
  };

  private kill(reason: HpsError): void {
    this.end(reason);
    this.child.kill('SIGKILL');
  }

  /** The first reason stays: a killed process then exits by a signal, which is not a crash of its own. */
  private end(reason: HpsError): void {
    if (this.ended) return;
    this.ended = reason;
    clearInterval(this.timer);
    this.options.signal?.removeEventListener('abort', this.onAbort);
    for (const { reject } of this.pending.values()) reject(reason);
    this.pending.clear();
  }
}

interface WiredRun {
  readonly session: number;
  readonly feeds: Feeds;
  readonly lane: Lane;
}

/** What sends a request over a wire. */
const overWire =
  (wire: Socket, head: WireRequest, values: SentValues = new Map()) =>
  (id: number): void =>
    void wire.write(encodeFrame({ id, head, values }));

function assertRan(answer: Answer): Ran {
  if (answer.kind !== 'ran') throw new TypeError(`${answer.kind} answers a run`);
  return answer;
}

/** Runs `use` with a process that is ended afterwards, however it ends, or left for the next step where `options` keep it. */
export async function withModelProcess<T>(
  options: ModelProcessOptions,
  use: (model: ModelProcess) => Promise<T>,
): Promise<T> {
  const { kept } = options;
  const model = kept?.take() ?? new ModelProcess(options);
  try {
    return await use(model);
  } finally {
    await (kept ? kept.leave(model) : model.close());
  }
}

/** A process between two steps of one piece of work: starting another and loading the runtime takes longer than a small step. */
export class KeptProcess {
  private model: ModelProcess | undefined;
  /** Steps that have a process now: one within another. */
  private steps = 0;

  /** @returns undefined where none is left, or it has ended */
  take(): ModelProcess | undefined {
    const { model } = this;
    this.steps++;
    this.model = undefined;
    return model?.isAlive ? model : undefined;
  }

  /** Takes the process of a step over; that of one within another ends, so that none is idle beside one that works. */
  async leave(model: ModelProcess): Promise<void> {
    this.steps--;
    if (this.steps > 0) await model.close();
    else this.model = model;
  }

  /** Ends what is left. */
  async close(): Promise<void> {
    await this.model?.close();
    this.model = undefined;
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

function crashed(file: string, code: number | null, signal: string | null): HpsError {
  return new HpsError('MODEL_CRASHED', `${file}: onnxruntime crashed on it (${signal ?? `exit ${code}`})`, {
    hint: 'Do not use this model; export it again from its checkpoint.',
    details: { file, signal, code },
  });
}

function timedOut(file: string, limitMs: number, unit: string): HpsError {
  return new HpsError('MODEL_TIMEOUT', `${file}: one run took longer than ${Math.round(limitMs)} ms${unit}`, {
    hint: 'The model may loop without end, or the machine was busy: try again, and do not use it unless you know why it is slow.',
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
