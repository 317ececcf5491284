import type { ByteSource } from '../bytes/source.js';

/** Size of one read of a row file: large enough for full disk speed, small enough to stay in the processor's cache. */
const READ_BYTES = 1024 * 1024;

/** Rows to read: a file, or standard input. */
export interface DataInput {
  /** What errors call it: the file's base name. */
  readonly name: string;
  /** Pieces of any size, from front to back, each valid until the next is asked for. */
  chunks(): AsyncIterable<Uint8Array>;
  /** Random access, which Parquet needs; a file has it, standard input does not. */
  readonly source?: ByteSource;
}

/** A file as input; it can be read more than once. */
export function fileInput(source: ByteSource): DataInput {
  return { name: source.name, source, chunks: () => readAhead(source) };
}

/** A stream, such as standard input, as input; it can be read once. */
export function streamInput(stream: AsyncIterable<Uint8Array>, name: string): DataInput {
  return { name, chunks: () => stream };
}

/** The source in pieces, the next one being read while the caller works on this one. */
async function* readAhead(source: ByteSource): AsyncGenerator<Uint8Array> {
  const buffers = [new Uint8Array(READ_BYTES), new Uint8Array(READ_BYTES)] as const;
  const start = async (offset: number): Promise<Uint8Array> => {
    const piece = buffers[(offset / READ_BYTES) % 2].subarray(0, Math.max(source.byteLength - offset, 0));
    if (piece.byteLength > 0) await source.readInto(offset, piece);
    return piece;
  };
  let pending = start(0);
  try {
    for (let offset = 0; offset < source.byteLength; offset += READ_BYTES) {
      const piece = await pending;
      pending = start(offset + READ_BYTES);
      yield piece;
    }
  } finally {
    // A caller that stops early may close the file at once: the read under way must not outlive this.
    await pending.catch(() => undefined);
  }
}
