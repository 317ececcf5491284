import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { HASH_WORKER_SOURCE, type HashWorkerData, type HashWorkerMessage } from './hash-worker.js';
import { FileSource, readChunks } from './source.js';

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
    const { sha256, byteLength } = await runWorker({ path, progressBytes: LIMITS.chunkBytes }, signal, (done) =>
      onProgress?.(done, source.byteLength),
    );
    return { sha256, byteLength };
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

/** One thread from start to end; an abort ends it early. */
async function runWorker(
  workerData: HashWorkerData,
  signal: AbortSignal | undefined,
  onProgress: (doneBytes: number) => void,
): Promise<Extract<HashWorkerMessage, { kind: 'done' }>> {
  const worker = new Worker(HASH_WORKER_SOURCE, { eval: true, workerData });
  const stop = () => void worker.terminate();
  signal?.addEventListener('abort', stop);
  try {
    const result = await hashOf(worker, onProgress);
    signal?.throwIfAborted();
    return result;
  } finally {
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}

function hashOf(worker: Worker, onProgress: (doneBytes: number) => void) {
  return new Promise<Extract<HashWorkerMessage, { kind: 'done' }>>((resolve, reject) => {
    worker.on('message', (message: HashWorkerMessage) => {
      if (message.kind === 'done') resolve(message);
      else onProgress(message.doneBytes);
    });
    worker.on('error', reject);
    worker.on('exit', () => reject(new Error('the hashing thread stopped early')));
  });
}
