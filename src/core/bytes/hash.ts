import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { HASH_WORKER_SOURCE, type HashWorkerData, type HashWorkerMessage } from './hash-worker.js';
import { FileSource, isMounted, readChunks } from './source.js';

export interface HashFileOptions {
  /** Called now and then with the bytes hashed so far, and at the end. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface FileHash {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly byteLength: number;
}

/** SHA-256 of bytes in memory, in lower-case hexadecimal. */
export const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Starting a thread takes longer than hashing this much. */
const THREAD_BYTES = 16 * 2 ** 20;

/**
 * SHA-256 of a file: of a large one in a thread of its own, so that it overlaps with whatever the caller does with the same bytes.
 *
 * @throws HpsError FILE_NOT_FOUND or FILE_UNREADABLE; USAGE in a deleted folder; the signal's reason when it aborts
 */
export async function hashFile(path: string, options: HashFileOptions = {}): Promise<FileHash> {
  const { onProgress, signal } = options;
  signal?.throwIfAborted();
  const source = FileSource.open(path);
  const own = source.sha256();
  if (own !== null) {
    try {
      return { sha256: await own, byteLength: source.byteLength };
    } finally {
      source.close();
    }
  }
  try {
    if (source.byteLength <= THREAD_BYTES) return await hashHere(source, options);
    const hashing = takeStarted(path) ?? startThread(path);
    return await untilDone(hashing, signal, (done) => onProgress?.(done, source.byteLength));
  } catch (cause) {
    signal?.throwIfAborted();
    if ((cause as NodeJS.ErrnoException).syscall === 'uv_cwd') throw noWorkingFolder(cause);
    throw new HpsError('FILE_UNREADABLE', `${source.name}: cannot be read to its end`, {
      hint: 'Check the disk, and that nothing else changes the file meanwhile.',
      details: { file: source.name },
      cause,
    });
  } finally {
    source.close();
  }
}

async function hashHere(source: FileSource, { onProgress, signal }: HashFileOptions): Promise<FileHash> {
  const sha256 = createHash('sha256');
  let done = 0;
  for await (const piece of readChunks(source, LIMITS.chunkBytes)) {
    sha256.update(piece);
    done += piece.byteLength;
    onProgress?.(done, source.byteLength);
    signal?.throwIfAborted();
  }
  return { sha256: sha256.digest('hex'), byteLength: done };
}

/** Node starts no thread in a folder that was deleted. */
const noWorkingFolder = (cause: unknown): HpsError =>
  new HpsError('USAGE', 'the working folder was deleted', { hint: 'Change to a folder that exists.', cause });

/** A thread that hashes a file. */
interface Hashing {
  readonly worker: Worker;
  readonly done: Promise<FileHash>;
}

function startThread(path: string): Hashing {
  const workerData: HashWorkerData = { path, progressBytes: LIMITS.chunkBytes };
  const worker = new Worker(HASH_WORKER_SOURCE, { eval: true, workerData });
  const done = new Promise<FileHash>((resolve, reject) => {
    worker.on('message', (message: HashWorkerMessage) => {
      if (message.kind === 'done') resolve({ sha256: message.sha256, byteLength: message.byteLength });
    });
    worker.on('error', reject);
    worker.on('exit', () => reject(new Error('the hashing thread stopped early')));
  });
  done.catch(() => undefined); // reported by whoever waits for it
  return { worker, done };
}

/** Waits for a thread to end; an abort ends it early. */
async function untilDone(
  { worker, done }: Hashing,
  signal: AbortSignal | undefined,
  onProgress: (doneBytes: number) => void,
): Promise<FileHash> {
  const stop = () => void worker.terminate();
  worker.ref();
  worker.on('message', (message: HashWorkerMessage) => {
    if (message.kind === 'progress') onProgress(message.doneBytes);
  });
  signal?.addEventListener('abort', stop);
  try {
    const result = await done;
    signal?.throwIfAborted();
    return result;
  } finally {
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}

/** A hash that was begun before it was asked for. */
let started: { readonly source: FileSource; readonly hashing: Hashing } | undefined;

/**
 * Begins to hash a large file: the next `hashFile` of this path waits for this hash, unless the file has changed since. Keeps no
 * program alive, and is silent: what is wrong with the path is told when it is asked for.
 */
export function startHash(path: string): void {
  if (started || isMounted(path)) return;
  let source: FileSource | undefined;
  try {
    source = FileSource.open(path);
    if (source.byteLength > THREAD_BYTES) {
      started = { source, hashing: startThread(path) };
      started.hashing.worker.unref();
    }
  } catch {
    // `hashFile` meets it as well
  }
  if (started === undefined) source?.close();
}

function takeStarted(path: string): Hashing | undefined {
  if (started?.source.path !== path) return undefined;
  const { source, hashing } = started;
  started = undefined;
  const isUnchanged = source.isUnchanged();
  source.close();
  if (isUnchanged) return hashing;
  void hashing.worker.terminate();
  return undefined;
}
