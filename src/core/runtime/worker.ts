import { basename, resolve } from 'node:path';
import { HpsError } from '../errors.js';
import { candidates, type Device, type DeviceChoice, formatDevice } from './device.js';
import type { ModelReply, WorkerRequest } from './messages.js';
import type { Session, SessionOptions } from './session.js';
import { type SessionHost, startHost } from './session-host.js';
import type { TensorValue } from './value.js';

type Answer = Exclude<ModelReply['result'], { kind: 'failed' }>;

/** A session in a thread of its own (see `startHost`): a run blocks that thread, and the event loop stays free. */
export interface WorkerSession extends Session {
  readonly device: Device;
  /**
   * As `Session.run`, and the feeds are gone afterwards: their memory moves to the thread. A tensor that is a view of a
   * larger buffer takes the whole buffer with it.
   */
  run(feeds: ReadonlyMap<string, TensorValue>): Promise<Map<string, TensorValue>>;
}

export interface WorkerOptions extends Omit<SessionOptions, 'device'> {
  readonly device: DeviceChoice;
  /** Called where `auto` falls back, with the device that is missing and the one that is tried next. */
  readonly onFallback?: (missing: Device, next: Device) => void;
}

/**
 * Opens a model in a thread, on the device asked for or, under `auto`, on the first that works.
 * @throws HpsError as `openSession`; MODEL_CRASHED where the thread ends
 */
export async function openWorkerSession(path: string, options: WorkerOptions): Promise<WorkerSession> {
  const { device: choice, onFallback, ...rest } = options;
  const devices = candidates(choice);
  for (const [i, device] of devices.entries()) {
    const thread = new SessionThread(basename(path));
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

class SessionThread {
  private readonly host: SessionHost;
  private readonly pending: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];
  private ended: Error | undefined;

  constructor(private readonly file: string) {
    this.host = startHost({
      onReply: (result) => this.settle(result),
      onEnd: (cause) => this.end(cause ?? crashed(this.file)),
    });
  }

  async open(path: string, options: SessionOptions & { device: Device }): Promise<WorkerSession> {
    const loaded = await this.request({ kind: 'load', path: resolve(path), options });
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
    await this.host.end();
  }

  private request(message: WorkerRequest): Promise<Answer> {
    if (this.ended) return Promise.reject(this.ended);
    const moved =
      message.kind === 'run'
        ? new Set(Array.from(message.feeds.values(), ({ data }) => data.buffer as ArrayBuffer))
        : new Set<ArrayBuffer>();
    return new Promise((resolve, reject) => {
      if (this.pending.push({ resolve, reject }) === 1) this.host.ref();
      this.host.send(message, [...moved]);
    });
  }

  private settle(result: ModelReply['result']): void {
    const waiting = this.pending.shift();
    if (this.pending.length === 0) this.host.unref();
    if (result.kind !== 'failed') waiting?.resolve(result);
    else waiting?.reject(new HpsError(result.code, result.message, { hint: result.hint, details: result.details }));
  }

  /** The first reason stays. */
  private end(reason: Error): void {
    this.ended ??= reason;
    for (const { reject } of this.pending.splice(0)) reject(reason);
  }
}

function crashed(file: string): HpsError {
  return new HpsError('MODEL_CRASHED', `${file}: what ran it has ended`, {
    hint: 'Open the model again; where it happens again, do not use this model.',
    details: { file },
  });
}
