import { type ByteSource, stoppable } from '../bytes/source.js';

/** Size of one read of a row file: large enough for full disk speed, small enough to stay in the processor's cache. */
const READ_BYTES = 1024 * 1024;

/** Rows to read: a file, or standard input. */
export interface DataInput {
  /** What errors call it: the file's base name. */
  readonly name: string;
  /** Pieces of any size, from front to back, each valid until the next is asked for. */
  chunks(): AsyncIterable<Uint8Array>;
  /** Whether `chunks` may be called again, for another pass: a file allows it, standard input does not. */
  readonly isRepeatable: boolean;
  /** Random access, which Parquet needs. */
  readonly source?: ByteSource;
}

/** A file as input, until the signal stops it. */
export function fileInput(file: ByteSource, signal?: AbortSignal): DataInput {
  const source = stoppable(file, signal);
  return { name: source.name, source, isRepeatable: true, chunks: () => readAhead(source) };
}

/** A stream, such as standard input, as input. */
export function streamInput(stream: AsyncIterable<Uint8Array>, name: string, signal?: AbortSignal): DataInput {
  return { name, isRepeatable: false, chunks: () => (signal ? untilStopped(stream, signal) : stream) };
}

async function* untilStopped(stream: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) {
    signal.throwIfAborted();
    yield chunk;
  }
}

/**
 * The first bytes of an input, of text or binary, and the input with all of its bytes still to come. A stream is asked for no
 * more than its first line: what comes after may be waiting for an answer to that.
 */
export async function peekInput(input: DataInput, byteLength: number): Promise<{ head: Buffer; input: DataInput }> {
  const pieces: Buffer[] = [];
  const isEnough = (piece: Uint8Array): boolean =>
    pieces.reduce((sum, { length }) => sum + length, 0) >= byteLength || (!input.isRepeatable && piece.includes(0x0a));
  const iterator = input.chunks()[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await iterator.next();
    if (done) break;
    pieces.push(Buffer.from(value));
    if (isEnough(value)) break;
  }
  const head = Buffer.concat(pieces);
  if (!input.isRepeatable) return { head, input: { ...input, chunks: () => after(head, iterator) } };
  await iterator.return?.();
  return { head, input };
}

const BYTE_ORDER_MARK = Buffer.from('\uFEFF');

/** The first bytes of a text without its byte order mark. */
export const withoutMark = (head: Buffer): Buffer =>
  head.indexOf(BYTE_ORDER_MARK) === 0 ? head.subarray(BYTE_ORDER_MARK.byteLength) : head;

/** A text in pieces, without its byte order mark. */
export async function* withoutByteOrderMark(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let opening: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of chunks) {
    if (!opening) yield chunk;
    else {
      opening = Buffer.concat([opening, chunk]);
      if (opening.byteLength < BYTE_ORDER_MARK.byteLength) continue;
      yield withoutMark(opening);
      opening = undefined;
    }
  }
  if (opening) yield opening;
}

async function* after(head: Buffer, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.byteLength > 0) yield head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
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
