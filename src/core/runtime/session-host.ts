import { fork } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { ModelReply, WorkerRequest } from './messages.js';
import { switchTelemetryOff } from './telemetry.js';

/** The compiled entry: beside this file in `dist`, or in `dist` for tests that run the TypeScript of `src`. */
const ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../../dist/core/runtime/worker-main.js' : './worker-main.js',
    import.meta.url,
  ),
);

/** Of V8's young generation in a session's thread, which holds messages alone: tensors lie outside of it. V8's own choice is 48. */
const YOUNG_GENERATION_MB = 6;

/** Where a session runs: it answers each request with one reply, in order. Idle, it keeps no program alive. */
export interface SessionHost {
  /** @param moved - memory of the request that the caller gives away */
  send(request: WorkerRequest, moved: readonly ArrayBuffer[]): void;
  ref(): void;
  unref(): void;
  end(): Promise<void>;
}

export interface HostEvents {
  onReply(result: ModelReply['result']): void;
  /** Once it has ended, for whatever reason; with what was thrown, if anything. */
  onEnd(cause?: Error): void;
}

/**
 * A thread, or a process of its own where this code itself runs in a worker thread whose program has the telemetry of
 * onnxruntime on: only the environment that a process is started with, or its main thread, switches it off.
 */
export const startHost = (events: HostEvents): SessionHost =>
  switchTelemetryOff() ? startThread(events) : startProcess(events);

function startThread({ onReply, onEnd }: HostEvents): SessionHost {
  const worker = new Worker(ENTRY, {
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  worker.unref();
  worker.on('message', onReply);
  worker.on('error', onEnd);
  worker.on('exit', () => onEnd());
  return {
    send: (request, moved) => worker.postMessage(request, moved),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
    end: async () => void (await worker.terminate()),
  };
}

function startProcess({ onReply, onEnd }: HostEvents): SessionHost {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = fork(ENTRY, [String(process.pid)], {
    // Views of typed arrays and maps pass; JSON would lose them.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
    cwd: dirname(ENTRY),
    env: { ...env, ORT_DISABLE_TELEMETRY: '1' },
  });
  const unref = () => {
    child.unref();
    child.channel?.unref();
  };
  child.on('message', onReply);
  child.on('error', onEnd);
  unref();
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      onEnd();
      resolve();
    });
  });
  return {
    send: (request) => void child.send(request),
    ref: () => {
      child.ref();
      child.channel?.ref();
    },
    unref,
    end: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
