// The entry of a session's thread (see worker.ts). It is started, never imported: hence the work on load.
import { parentPort } from 'node:worker_threads';
import { HpsError } from '../errors.js';
import type { ModelReply, WorkerRequest } from './messages.js';
import { openSession } from './ort.js';
import type { Session } from './session.js';
import type { TensorValue } from './value.js';

const port = parentPort!;
let session: Session | undefined;

async function answer(request: WorkerRequest): Promise<ModelReply['result']> {
  if (request.kind === 'load') {
    session = await openSession(request.path, request.options);
    return { kind: 'loaded', inputs: session.inputs, outputs: session.outputs, loadMs: session.loadMs };
  }
  if (!session) throw new RangeError('no session is loaded');
  if (request.kind === 'release') {
    await session.release();
    return { kind: 'released' };
  }
  const started = performance.now();
  const outputs = await session.run(request.feeds);
  return { kind: 'ran', outputs: own(outputs), runMs: performance.now() - started };
}

/** Copies: what onnxruntime hands out may lie in memory that it frees, and cannot be moved to another thread. */
const own = (outputs: ReadonlyMap<string, TensorValue>): Map<string, TensorValue> =>
  new Map(Array.from(outputs, ([name, value]) => [name, { ...value, data: value.data.slice() }]));

function failure(error: unknown): ModelReply['result'] {
  if (!(error instanceof HpsError)) throw error;
  const { code, message, hint, details } = error;
  return { kind: 'failed', code, message, hint, details };
}

async function reply(request: WorkerRequest): Promise<void> {
  const result = await answer(request).catch(failure);
  const moved = result.kind === 'ran' ? [...result.outputs.values()].map(({ data }) => data.buffer as ArrayBuffer) : [];
  port.postMessage(result, moved);
}

// One after the other: onnxruntime begins a run later than it is asked to, and a release could overtake it.
let queue: Promise<void> = Promise.resolve();
port.on('message', (request: WorkerRequest) => {
  queue = queue.then(() => reply(request));
});
