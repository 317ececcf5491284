import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { fromFailureData, HpsError } from '../errors.js';
import { candidates, type Device, type DeviceChoice, formatDevice } from './device.js';
import type { ModelReply, WorkerRequest } from './messages.js';
import type { Session, SessionOptions } from './session.js';
import type { TensorValue } from './value.js';

/** The compiled entry: beside this file in `dist`, or in `dist` for tests that run the TypeScript of `src`. */
const WORKER_ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../../dist/core/runtime/worker-main.js' : './worker-main.js',
    import.meta.url,
  ),
);

/** Of V8's young generation in a session's thread, which holds messages alone: tensors lie outside of it. V8's own choice is 48. */
const YOUNG_GENERATION_MB = 6;

type Answer = Exclude<ModelReply['result'], { kind: 'failed' }>;

/** A session in a thread of its own: a run blocks that thread, and the event loop stays free. */
export interface WorkerSession extends Session {
  readonly device: Device;
  /**
   * As `Session.run`, and the feeds are gone afterwards: their memory moves to the thread. A tensor that is a view of a
   * larger buffer takes the whole buffer with it.
   */
  run(feeds: ReadonlyMap<string, TensorValue>): Promise<Map<string, TensorValue>>;
  /** Answers what comes over a wire of this process from now on, and nothing else; where the thread ends otherwise, so does the process. */
  listen(wire: number): void;
}

export interface WorkerOptions extends Omit<SessionOptions, 'device'> {
  readonly device: DeviceChoice;
  /** Called where `auto` falls back, with the device that is missing and the one that is tried next. */
  readonly onFallback?: (missing: Device, next: Device) => void;
}

/**
 * Opens a model in a thread of this process, on the device asked for or, under `auto`, on the first that works.
 * Only for a process that may be ended: no thread stops a run.
 * @throws HpsError as `openSession`; MODEL_CRASHED where the thread ends
 */
export async function openWorkerSession(path: string, options: WorkerOptions): Promise<WorkerSession> {
  const { device: choice, onFallback, ...rest } = options;
  const devices = candidates(choice);
  for (const [i, device] of devices.entries()) {
    const thread = takeThread(basename(path));
    try {
      return await thread.open(path, { ...rest, device });
    } catch (error) {
      await thread.close();
      const next = devices[i + 1];
      if (next === undefined || !(error instanceof HpsError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
      onFallback?.(device, next);
    }
  }
  throw new RangeError(`no device for ${formatDevice(choice)}`);
}

/** A thread that was started before it was asked for. */
let ahead: SessionThread | undefined;

/** Starts a thread for the next session: it loads the runtime meanwhile. */
export function startThreadAhead(): void {
  ahead ??= new SessionThread('model');
  ahead.prepare();
}

function takeThread(file: string): SessionThread {
  const thread = ahead;
  ahead = undefined;
  if (!thread?.isAlive) return new SessionThread(file);
  thread.file = file;
  return thread;
}

class SessionThread {
  private readonly worker = new Worker(WORKER_ENTRY, {
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  private readonly pending: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];
  private ended: Error | undefined;

  /** @param file - what errors call the model */
  constructor(public file: string) {
    this.worker.on('message', (result: ModelReply['result']) => this.settle(result));
    this.worker.on('error', (cause) => this.end(cause));
    this.worker.on('exit', () => this.end(crashed(this.file)));
  }

  get isAlive(): boolean {
    return this.ended === undefined;
  }

  /** A runtime that cannot be loaded is reported by the request that needs it. */
  prepare(): void {
    this.request({ kind: 'prepare' }).catch(() => undefined);
  }

  async open(path: string, options: SessionOptions & { device: Device }): Promise<WorkerSession> {
    const loaded = await this.request({ kind: 'load', path, options });
    if (loaded.kind !== 'loaded') throw new TypeError(`${loaded.kind} answers a load`);
    const { inputs, outputs, loadMs } = loaded;
    return {
      inputs,
      outputs,
      loadMs,
      device: options.device,
      run: async (feeds) => {
        const ran = await this.request({ kind: 'run', feeds });
        if (ran.kind !== 'ran') throw new TypeError(`${ran.kind} answers a run`);
        return ran.outputs;
      },
      listen: (wire) => {
        this.ended = new HpsError('INTERRUPTED', `${this.file}: is asked over its wire`);
        this.worker.on('error', (cause) => {
          throw cause;
        });
        this.worker.postMessage({ kind: 'listen', wire } satisfies WorkerRequest);
      },
      release: async () => {
        if (this.ended) return;
        const released = this.request({ kind: 'release' });
        this.ended = new HpsError('INTERRUPTED', `${this.file}: was closed`);
        await released;
        await this.close();
      },
    };
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }

  private request(message: WorkerRequest): Promise<Answer> {
    if (this.ended) return Promise.reject(this.ended);
    const moved =
      message.kind === 'run'
        ? new Set(Array.from(message.feeds.values(), ({ data }) => data.buffer as ArrayBuffer))
        : new Set<ArrayBuffer>();
    return new Promise((resolve, reject) => {
      this.pending.push({ resolve, reject });
      this.worker.postMessage(message, [...moved]);
    });
  }

  private settle(result: ModelReply['result']): void {
    const waiting = this.pending.shift();
    if (result.kind !== 'failed') waiting?.resolve(result);
    else waiting?.reject(fromFailureData(result));
  }

  /** The first reason stays. */
  private end(reason: Error): void {
    this.ended ??= reason;
    for (const { reject } of this.pending.splice(0)) reject(reason);
  }
}

function crashed(file: string): HpsError {
  return new HpsError('MODEL_CRASHED', `${file}: the thread that ran it has ended`, {
    hint: 'Open the model again; where it happens again, do not use this model.',
    details: { file },
  });
}
