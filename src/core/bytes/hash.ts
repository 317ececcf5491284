import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { HASH_WORKER_SOURCE, type HashWorkerData, type HashWorkerMessage } from './hash-worker.js';
import { FileSource, readChunks } from './source.js';

/** A stretch of a file whose CRC-32 the container states. */
export interface ChecksummedRecord {
  readonly file: string;
  readonly name: string;
  readonly offset: number;
  readonly byteLength: number;
  readonly crc32: number;
}

export interface HashFileOptions {
  /** Records of this file, to be checked on the way; their `file` is not looked at. */
  readonly records?: readonly ChecksummedRecord[];
  /** Called now and then with the bytes hashed so far, and at the end. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface FileHash {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly byteLength: number;
  /** Those of the records whose bytes have another CRC-32 than stated, in the order given. */
  readonly badRecords: readonly ChecksummedRecord[];
}

/** SHA-256 of bytes in memory, in lower-case hexadecimal. */
export const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Starting a thread takes longer than hashing this much. */
const THREAD_BYTES = 16 * 2 ** 20;

/**
 * SHA-256 of a file and the CRC-32 of stretches of it, from one sequential read: of a large one in a thread of its own, so that it
 * overlaps with whatever the caller does with the same bytes.
 *
 * @throws HpsError FILE_NOT_FOUND or FILE_UNREADABLE; USAGE in a deleted folder; the signal's reason when it aborts
 */
export async function hashFile(path: string, options: HashFileOptions = {}): Promise<FileHash> {
  const { records = [], onProgress, signal } = options;
  signal?.throwIfAborted();
  const source = FileSource.open(path);
  try {
    if (source.byteLength <= THREAD_BYTES && records.length === 0) return await hashHere(source, options);
    const order = records.map((_, index) => index).sort((a, b) => records[a].offset - records[b].offset);
    const stretches = order.map((index) => ({ offset: records[index].offset, byteLength: records[index].byteLength }));
    const workerData = { path, chunkBytes: LIMITS.chunkBytes, stretches };
    const { sha256, byteLength, crcs } = await runWorker(workerData, signal, (done) =>
      onProgress?.(done, source.byteLength),
    );
    const computed = new Map(order.map((index, i) => [index, crcs[i]]));
    const badRecords = records.filter((record, index) => computed.get(index) !== record.crc32);
    return { sha256, byteLength, badRecords };
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
  return { sha256: sha256.digest('hex'), byteLength: done, badRecords: [] };
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
