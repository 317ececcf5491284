import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { ZstdFrames } from './zstd-frames.js';

/** Compressions that files of rows come in, by the first bytes of each. */
const MAGICS = { gzip: '\x1f\x8b\x08', zstd: '\x28\xb5\x2f\xfd' } as const;
export type Compression = keyof typeof MAGICS;

/** What an input is compressed with, by its first bytes. */
export function compressionOf(head: Buffer): Compression | undefined {
  const opening = head.toString('latin1', 0, 4);
  return (Object.keys(MAGICS) as Compression[]).find((compression) => opening.startsWith(MAGICS[compression]));
}

/**
 * The bytes of a compressed stream, in memory that is bounded whatever it claims.
 *
 * @param name - what errors call it
 * @throws HpsError DATA_INVALID where it is damaged, cut short, or inflates beyond all proportion
 */
export async function* inflate(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  name: string,
): AsyncGenerator<Uint8Array> {
  let read = 0;
  let written = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      read += chunk.byteLength;
      yield chunk;
    }
  }
  try {
    for await (const piece of compression === 'gzip' ? gunzip(counted()) : unzstd(counted())) {
      written += piece.byteLength;
      if (written > LIMITS.rowsInflatedFromBytes && written > read * LIMITS.rowsRatio) {
        throw new RangeError(`it inflates to more than ${LIMITS.rowsRatio} times its size`);
      }
      yield piece;
    }
  } catch (cause) {
    if (cause instanceof HpsError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HpsError('DATA_INVALID', `${name}: not a readable ${compression} file: ${reason}`, {
      hint: 'It may be damaged or cut short: get it again, or unpack it.',
      details: { file: name },
      cause,
    });
  }
}

async function* gunzip(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  async function* copies(): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) yield Buffer.from(chunk); // zlib holds on to what it is given
  }
  const input = Readable.from(copies(), { objectMode: false });
  const output = createGunzip();
  input.on('error', (error) => output.destroy(error));
  try {
    yield* input.pipe(output) as AsyncIterable<Buffer>;
  } finally {
    input.destroy();
  }
}

/** fzstd, as Node 20 has no zstd of its own. It trusts the window that a frame asks for and skips checksums. */
async function* unzstd(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import('fzstd');
  let pieces: Uint8Array[] = [];
  const decoder = new Decompress((piece) => pieces.push(piece.slice()));
  const frames = new ZstdFrames();
  for await (const chunk of chunks) {
    frames.push(chunk);
    decoder.push(chunk.slice());
    yield* pieces;
    pieces = [];
  }
  frames.finish();
  decoder.push(new Uint8Array(0), true); // it holds back the last few bytes until it is told
  yield* pieces;
}
