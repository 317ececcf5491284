import { LIMITS } from '../limits.js';
import { DTYPES, type Dtype } from './dtype.js';
import { numel } from './shape.js';

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/**
 * A tensor whose values stay where they are (in a file, or in memory) until asked for.
 * However it is stored (strided, transposed, shared, quantized), it reads as contiguous, row-major and little-endian.
 */
export interface Tensor extends TensorInfo {
  /**
   * All values in order, in pieces of at most `LIMITS.chunkBytes`, each a whole number of elements.
   * A piece is valid until the next is asked for: copy what must outlive it.
   */
  chunks(): AsyncIterable<Uint8Array>;
  /** Equal for tensors that are the same view of the same storage (tied weights); undefined where a format has no sharing. */
  readonly storageId?: string;
  /** Compares what is stored with the checksum its container has of it, as reading it does; absent where there is none. */
  verify?(): Promise<void>;
}

export const byteLength = (tensor: TensorInfo): number => numel(tensor.shape) * DTYPES[tensor.dtype].bytes;

/** The values as bytes in one new array; for tensors known to be small enough. */
export async function readTensor(tensor: Tensor): Promise<Uint8Array> {
  const bytes = new Uint8Array(byteLength(tensor));
  let offset = 0;
  for await (const chunk of tensor.chunks()) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  if (offset !== bytes.byteLength)
    throw new RangeError(`${tensor.name}: ${offset} bytes came, ${bytes.byteLength} were due`);
  return bytes;
}

/**
 * Compares the tensors that nothing read with their checksums: a damaged file is refused wherever the damage lies.
 * @param read - names of those that were read, and so compared already
 */
export async function verifyUnread(
  tensors: ReadonlyMap<string, Tensor>,
  read: { has(name: string): boolean },
  signal?: AbortSignal,
): Promise<void> {
  for (const [name, tensor] of tensors) {
    if (!read.has(name)) await tensor.verify?.();
    signal?.throwIfAborted();
  }
}

/** A tensor over bytes in memory: contiguous, row-major, little-endian. */
export function tensorFromBytes(info: TensorInfo, bytes: Uint8Array): Tensor {
  if (bytes.byteLength !== byteLength(info)) {
    throw new RangeError(
      `${info.name}: ${bytes.byteLength} bytes do not fill ${info.dtype} [${info.shape.join(', ')}]`,
    );
  }
  return {
    ...info,
    async *chunks() {
      for (let at = 0; at < bytes.byteLength; at += LIMITS.chunkBytes) yield bytes.subarray(at, at + LIMITS.chunkBytes);
    },
  };
}
