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

/** Rows copied side by side: a transposed matrix then uses all of each cache line read, at twice the speed. */
const TILE_ROWS = 8;

/**
 * The elements of a strided tensor in row-major order, in pieces of at most `LIMITS.chunkBytes`.
 * Holds the stretch it spans in memory, which is at most its storage.
 * @param span - the bytes from its first to its last element
 */
export async function* gather(span: ByteSource, layout: StridedLayout): AsyncGenerator<Uint8Array> {
  const bytes = new Uint8Array(span.byteLength);
  await span.readInto(0, bytes);
  const piece = new Uint8Array(LIMITS.chunkBytes);
  const copy = new StridedCopy(bytes, piece, layout.size);
  for (const panel of panels(layout)) {
    const { rows, columns } = panel;
    for (let row = 0, column = 0; row < rows; ) {
      const whole = column === 0 ? Math.min(TILE_ROWS, rows - row, Math.floor(copy.room / columns)) : 0;
      if (whole > 0) {
        copy.rows(panel, row, whole);
        row += whole;
      } else {
        // Part of a row, up to the end of the row or of the piece.
        const count = Math.min(columns - column, copy.room);
        copy.run(panel, row, column, count);
        column += count;
        if (column === columns) {
          column = 0;
          row++;
        }
      }
      if (copy.room === 0) yield copy.takePiece();
    }
  }
  const rest = copy.takePiece();
  if (rest.byteLength > 0) yield rest;
}

/** A matrix of elements: the two innermost axes of a tensor. Offset and strides in elements. */
interface Panel {
  readonly offset: number;
  readonly rows: number;
  readonly rowStride: number;
  readonly columns: number;
  readonly columnStride: number;
}

type Words = Uint8Array | Uint16Array | Uint32Array;

/** Copies elements as integers of 1, 2 or 4 bytes, so that no value is reinterpreted (a NaN keeps its bits). */
class StridedCopy {
  private readonly from: Words;
  private readonly to: Words;
  /** Words of one element. */
  private readonly words: number;
  /** Words of the piece that hold elements. */
  private filled = 0;

  constructor(
    bytes: Uint8Array,
    private readonly piece: Uint8Array,
    private readonly size: number,
  ) {
    this.words = Math.max(1, size / 4);
    this.from = asWords(bytes, size);
    this.to = asWords(piece, size);
  }

  /** Elements that the piece still takes. */
  get room(): number {
    return (this.to.length - this.filled) / this.words;
  }

  /** The bytes copied since the last time. */
  takePiece(): Uint8Array {
    const taken = this.piece.subarray(0, (this.filled / this.words) * this.size);
    this.filled = 0;
    return taken;
  }

  /** Elements of one row. */
  run({ offset, rowStride, columnStride }: Panel, row: number, column: number, count: number): void {
    const { from, to, words } = this;
    const start = (offset + row * rowStride + column * columnStride) * words;
    if (columnStride === 1) {
      to.set(from.subarray(start, start + count * words), this.filled);
    } else {
      for (let i = 0, out = this.filled; i < count; i++) {
        for (let word = 0, at = start + i * columnStride * words; word < words; word++) to[out++] = from[at + word];
      }
    }
    this.filled += count * words;
  }

  /** Whole rows. */
  rows(panel: Panel, row: number, count: number): void {
    const { offset, rowStride, columns, columnStride } = panel;
    if (this.words > 1 || columnStride <= rowStride) {
      for (let i = 0; i < count; i++) this.run(panel, row + i, 0, columns);
      return;
    }
    // Neighbours in a column lie closer together than neighbours in a row: go down the columns of the tile.
    const { from, to, filled } = this;
    const start = offset + row * rowStride;
    for (let column = 0; column < columns; column++) {
      let at = start + column * columnStride;
      let out = filled + column;
      for (let i = 0; i < count; i++) {
        to[out] = from[at];
        at += rowStride;
        out += columns;
      }
    }
    this.filled += count * columns;
  }
}

function asWords(bytes: Uint8Array, size: number): Words {
  const WordArray = size === 1 ? Uint8Array : size === 2 ? Uint16Array : Uint32Array;
  const { buffer, byteOffset, byteLength } = aligned(bytes, WordArray.BYTES_PER_ELEMENT);
  return new WordArray(buffer as ArrayBuffer, byteOffset, byteLength / WordArray.BYTES_PER_ELEMENT);
}

/** The panels of a tensor without empty dimensions, in row-major order. */
function* panels({ shape, strides }: StridedLayout): Generator<Panel> {
  const columns = shape.at(-1) ?? 1;
  const columnStride = strides.at(-1) ?? 1;
  const rows = shape.at(-2) ?? 1;
  const rowStride = strides.at(-2) ?? columnStride;
  const outer = Math.max(0, shape.length - 2);
  const index = new Array<number>(outer).fill(0);
  let offset = 0;
  for (;;) {
    yield { offset, rows, rowStride, columns, columnStride };
    let axis = outer - 1;
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
