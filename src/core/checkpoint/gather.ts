import type { ByteSource } from '../bytes/source.js';
import { LIMITS } from '../limits.js';
import { aligned } from '../tensor/values.js';

export interface StridedLayout {
  readonly shape: readonly number[];
  /** In elements, each >= 0. */
  readonly strides: readonly number[];
  /** Bytes of one element: 1, 2, 4, 8 or 16. */
  readonly size: number;
}

/**
 * The elements of a strided tensor in row-major order, in pieces of at most `LIMITS.chunkBytes`.
 * Holds the stretch it spans in memory, which is at most its storage.
 * @param span - the bytes from its first to its last element
 */
export async function* gather(span: ByteSource, layout: StridedLayout): AsyncGenerator<Uint8Array> {
  const bytes = new Uint8Array(span.byteLength);
  await span.readInto(0, bytes);
  const words = wordsPerElement(layout);
  const from = asWords(bytes, layout.size);
  const piece = new Uint8Array(LIMITS.chunkBytes);
  const to = asWords(piece, layout.size);
  let filled = 0;
  for (const run of runs(layout)) {
    // A run of one stride; it is cut where the piece is full.
    for (let done = 0; done < run.length; ) {
      const count = Math.min(run.length - done, (to.length - filled) / words);
      copyRun(from, to, {
        start: (run.offset + done * run.stride) * words,
        stride: run.stride * words,
        count,
        words,
        filled,
      });
      done += count;
      filled += count * words;
      if (filled === to.length) {
        yield piece;
        filled = 0;
      }
    }
  }
  if (filled > 0) yield piece.subarray(0, (filled / words) * layout.size);
}

type Words = Uint8Array | Uint16Array | Uint32Array;

/** Elements are moved as integers of 1, 2 or 4 bytes, so that no value is reinterpreted (a NaN keeps its bits). */
const wordsPerElement = ({ size }: StridedLayout): number => Math.max(1, size / 4);

function asWords(bytes: Uint8Array, size: number): Words {
  const WordArray = size === 1 ? Uint8Array : size === 2 ? Uint16Array : Uint32Array;
  const { buffer, byteOffset, byteLength } = aligned(bytes, WordArray.BYTES_PER_ELEMENT);
  return new WordArray(buffer as ArrayBuffer, byteOffset, byteLength / WordArray.BYTES_PER_ELEMENT);
}

interface Copy {
  readonly start: number;
  readonly stride: number;
  readonly count: number;
  readonly words: number;
  readonly filled: number;
}

function copyRun(from: Words, to: Words, { start, stride, count, words, filled }: Copy): void {
  if (stride === words) {
    to.set(from.subarray(start, start + count * words), filled);
    return;
  }
  if (words === 1) {
    for (let i = 0, at = start; i < count; i++, at += stride) to[filled + i] = from[at];
    return;
  }
  for (let i = 0, out = filled, at = start; i < count; i++, at += stride) {
    for (let word = 0; word < words; word++) to[out++] = from[at + word];
  }
}

/** The innermost rows in row-major order, by where each starts; offsets and strides in elements. */
function* runs({ shape, strides }: StridedLayout): Generator<{ offset: number; stride: number; length: number }> {
  const inner = shape.length - 1;
  const index = new Array<number>(inner).fill(0);
  let offset = 0;
  for (;;) {
    yield { offset, stride: strides[inner], length: shape[inner] };
    let axis = inner - 1;
    // Count up like an odometer, keeping the offset in step.
    for (; axis >= 0; axis--) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}
