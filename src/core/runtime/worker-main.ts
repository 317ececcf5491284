// The entry of a session's thread (see worker.ts). It is started, never imported: hence the work on load.
import { readSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { failureData } from '../errors.js';
import { received } from './exchange.js';
import type { ModelReply, WireReply, WireRequest, WorkerRequest } from './messages.js';
import { loadRuntime, openSession } from './ort.js';
import { assertOutputBytes } from './outputs.js';
import type { Session } from './session.js';
import type { TensorValue } from './value.js';
import { encodeFrame, type Frame, FrameReader, wireFd } from './wire.js';

const port = parentPort!;
let session: Session | undefined;

async function answer(request: Exclude<WorkerRequest, { kind: 'listen' }>): Promise<ModelReply['result']> {
  if (request.kind === 'prepare') {
    const started = performance.now();
    const version = await loadRuntime();
    return { kind: 'prepared', version, prepareMs: performance.now() - started };
  }
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

const failure = (error: unknown): Extract<ModelReply['result'], { kind: 'failed' }> => ({
  kind: 'failed',
  ...failureData(error),
});

async function reply(request: WorkerRequest): Promise<void> {
  if (request.kind === 'listen') {
    await listen(wireFd(request.wire), session!);
    port.close();
    return;
  }
  const result = await answer(request).catch(failure);
  const moved = result.kind === 'ran' ? [...result.outputs.values()].map(({ data }) => data.buffer as ArrayBuffer) : [];
  port.postMessage(result, moved);
}

/** Waits for what comes without a turn of the event loop, which would cost as much again as a small run. */
async function listen(fd: number, session: Session): Promise<void> {
  const reader = new FrameReader<WireRequest>();
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  for (;;) {
    const count = readSync(fd, piece, 0, piece.length, null);
    if (count === 0) return; // whoever asked is gone
    for (const frame of reader.push(piece.subarray(0, count))) {
      const answered = await answerFrame(frame, session).catch(
        (error): Frame<WireReply> => ({ id: frame.id, head: failure(error), values: new Map() }),
      );
      writeWhole(fd, encodeFrame(answered));
      if (frame.head.kind === 'release') return;
    }
  }
}

const PIECE_BYTES = 64 * 1024;

async function answerFrame({ id, head, values }: Frame<WireRequest>, session: Session): Promise<Frame<WireReply>> {
  if (head.kind === 'release') {
    await session.release();
    return { id, head: { kind: 'released' }, values: new Map() };
  }
  const started = performance.now();
  const outputs = await session.run(received(values));
  assertOutputBytes(outputs, head.outputBytes);
  return { id, head: { kind: 'ran', runMs: performance.now() - started }, values: outputs };
}

function writeWhole(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}

// One after the other: onnxruntime begins a run later than it is asked to, and a release could overtake it.
let queue: Promise<void> = Promise.resolve();
port.on('message', (request: WorkerRequest) => {
  queue = queue.then(() => reply(request));
});
