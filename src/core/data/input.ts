import { type ByteSource, readChunks } from '../bytes/source.js';

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
  return { name: source.name, source, chunks: () => readChunks(source, READ_BYTES) };
}

/** A stream, such as standard input, as input; it can be read once. */
export function streamInput(stream: AsyncIterable<Uint8Array>, name: string): DataInput {
  return { name, chunks: () => stream };
}
