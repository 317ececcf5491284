import { openWasm, type WasmMemory } from '../bytes/wasm.js';
import { LIMITS } from '../limits.js';
import { DTYPES } from './dtype.js';
import { anyNonFinite, convertFloats, isKernelFloat } from './floats.js';
import { formatShape, numel } from './shape.js';
import type { Tensor } from './tensor.js';
import { TRANSPOSE_WASM } from './transpose-wasm.js';
import { aligned, asFloat32, bytesOf, toFloat32 } from './values.js';

/** Rows scattered together: 64 elements of two bytes fill two cache lines of the output. */
const TILE_ROWS = 64;
/** Bytes between the rows of a tile, so that a power of two of columns does not put a whole column into one cache set. */
const TILE_PADDING = 64;

/** Rows of a tile. */
const tileRows = (rows: number): number => Math.min(rows, TILE_ROWS);

const tileStride = (columns: number, size: number): number => columns * size + TILE_PADDING;

/** Columns are transposed in strips of at most this many output bytes; a larger tensor is streamed once per strip. */
const STRIP_BYTES = 128 * 1024 * 1024;

/**
 * The same values as another float dtype, converted piece by piece. F16 and BF16 to F32 are exact; to F16 rounds half to even.
 * @throws RangeError for a tensor that is not of a float dtype
 */
export function castTensor(tensor: Tensor, dtype: 'F32' | 'F16'): Tensor {
  if (tensor.dtype === dtype) return tensor;
  if (DTYPES[tensor.dtype].kind !== 'float')
    throw new RangeError(`${tensor.name}: ${tensor.dtype} is not a float dtype`);
  return {
    name: tensor.name,
    dtype,
    shape: tensor.shape,
    chunks: () => {
      const { dtype: from } = tensor;
      if (isKernelFloat(from)) return convertFloats(tensor.chunks(), from, dtype);
      const floats = roundedChunks(tensor);
      return dtype === 'F32' ? floats : convertFloats(floats, 'F32', dtype);
    },
  };
}

/** Of a dtype that holds more than float32 does. */
async function* roundedChunks(tensor: Tensor): AsyncGenerator<Uint8Array> {
  for await (const chunk of tensor.chunks()) yield bytesOf(toFloat32(chunk, tensor.dtype));
}

/**
 * A matrix [rows, columns] as [columns, rows], streamed: memory is one strip of the output, whatever the matrix.
 * @throws RangeError unless the tensor has two axes and elements of 2 or 4 bytes
 */
export function transposeMatrix(tensor: Tensor): Tensor {
  const size = DTYPES[tensor.dtype].bytes;
  if (tensor.shape.length !== 2 || (size !== 2 && size !== 4)) {
    throw new RangeError(`${tensor.name}: cannot transpose ${tensor.dtype} ${formatShape(tensor.shape)} as a matrix`);
  }
  const [rows, columns] = tensor.shape;
  return {
    name: tensor.name,
    dtype: tensor.dtype,
    shape: [columns, rows],
    async *chunks() {
      const columnsPerStrip = Math.min(columns, Math.max(1, Math.floor(STRIP_BYTES / Math.max(1, rows * size))));
      const transposer = takeTransposer(tileRows(rows) * tileStride(columns, size) + columnsPerStrip * rows * size);
      try {
        for (let from = 0; from < columns; from += columnsPerStrip) {
          const strip = await transposeStrip(tensor, from, Math.min(columns, from + columnsPerStrip), transposer);
          for (let at = 0; at < strip.byteLength; at += LIMITS.chunkBytes)
            yield strip.subarray(at, at + LIMITS.chunkBytes);
        }
      } finally {
        spare = transposer;
      }
    },
  };
}

/** What transpose.wat exports: places and distances in bytes, counts of elements. */
interface Transposer {
  readonly memory: WasmMemory;
  transpose16: Transpose;
  transpose32: Transpose;
}

type Transpose = (from: number, stride: number, columns: number, rows: number, to: number, pitch: number) => void;

/** The memory of the last matrix, for the next one: fresh pages cost as much as the transposing itself. */
let spare: Transposer | undefined;

const PAGE_BYTES = 65_536;

function takeTransposer(byteLength: number): Transposer {
  const transposer = spare ?? openWasm<Transposer>(TRANSPOSE_WASM);
  spare = undefined;
  const missing = byteLength - transposer.memory.buffer.byteLength;
  if (missing > 0) transposer.memory.grow(Math.ceil(missing / PAGE_BYTES));
  return transposer;
}

/** Columns `from` to `to` of a matrix, as the rows of a new one: in the transposer's memory, behind a tile of rows at its begin. */
async function transposeStrip(
  tensor: Tensor,
  from: number,
  to: number,
  { memory, transpose16, transpose32 }: Transposer,
): Promise<Uint8Array> {
  const size = DTYPES[tensor.dtype].bytes;
  const transpose = size === 4 ? transpose32 : transpose16;
  const [rows, columns] = tensor.shape;
  const stride = tileStride(columns, size);
  const width = columns * size;
  const tile = new Uint8Array(memory.buffer, 0, tileRows(rows) * stride);
  const strip = new Uint8Array(memory.buffer, tile.byteLength, (to - from) * rows * size);
  let [row, filled, firstRow] = [0, 0, 0]; // where the next byte goes in the tile, and the tile in the matrix

  const scatter = (): void => {
    transpose(from * size, stride, to - from, row, strip.byteOffset + firstRow * size, rows * size);
    firstRow += row;
    row = 0;
  };

  for await (const chunk of tensor.chunks()) {
    for (let at = 0; at < chunk.byteLength; ) {
      const piece = chunk.subarray(at, at + width - filled);
      tile.set(piece, row * stride + filled);
      at += piece.byteLength;
      filled += piece.byteLength;
      if (filled < width) break; // the chunk ends inside a row
      filled = 0;
      if (++row === tileRows(rows)) scatter();
    }
  }
  scatter();
  return strip;
}

/** The same bytes under another name or shape of as many elements. */
export function renameTensor(tensor: Tensor, name: string, shape: readonly number[] = tensor.shape): Tensor {
  if (numel(shape) !== numel(tensor.shape)) {
    throw new RangeError(`${tensor.name}: ${formatShape(tensor.shape)} cannot be seen as ${formatShape(shape)}`);
  }
  return { ...tensor, name, shape, chunks: () => tensor.chunks() };
}

export interface TensorStatistics {
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  /** Population standard deviation. */
  readonly std: number | null;
  readonly zeros: number;
  readonly nonfinite: number;
}

/** Statistics over the finite values; null where there are none. Two-pass accuracy in one pass, by Welford per piece. */
export async function tensorStatistics(tensor: Tensor): Promise<TensorStatistics> {
  let [count, mean, m2, zeros, nonfinite] = [0, 0, 0, 0, 0];
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for await (const chunk of tensor.chunks()) {
    for (const value of toFloat32(chunk, tensor.dtype)) {
      if (!Number.isFinite(value)) {
        nonfinite++;
        continue;
      }
      count++;
      const delta = value - mean;
      mean += delta / count;
      m2 += delta * (value - mean);
      if (value === 0) zeros++;
      if (value < min) min = value;
      if (value > max) max = value;
    }
  }
  if (count === 0) return { min: null, max: null, mean: null, std: null, zeros, nonfinite };
  return { min, max, mean, std: Math.sqrt(m2 / count), zeros, nonfinite };
}

/** Minus infinity and the bits of its exponent. */
const MINUS_INFINITY = {
  F32: { exponent: 0x7f800000, bits: 0xff800000 },
  F16: { exponent: 0x7c00, bits: 0xfc00 },
  BF16: { exponent: 0x7f80, bits: 0xff80 },
} as const;

/**
 * Whether a piece of a float tensor holds NaN or an infinity. Integers never do.
 * @param options - `allowMinusInfinity`: not where all that is not finite is minus infinity, as in an attention mask
 */
export function hasNonFinite(
  chunk: Uint8Array,
  dtype: Tensor['dtype'],
  { allowMinusInfinity = false }: { allowMinusInfinity?: boolean } = {},
): boolean {
  if (dtype === 'F64') {
    const view = aligned(chunk, 8);
    const values = new Float64Array(view.buffer, view.byteOffset, view.byteLength / 8);
    return values.some((value) => !Number.isFinite(value) && !(allowMinusInfinity && value === -Infinity));
  }
  if (!isKernelFloat(dtype) || !anyNonFinite(chunk, dtype)) return false;
  if (!allowMinusInfinity) return true;
  const view = aligned(chunk, DTYPES[dtype].bytes);
  const { exponent, bits } = MINUS_INFINITY[dtype];
  const values =
    dtype === 'F32'
      ? new Uint32Array(view.buffer, view.byteOffset, view.byteLength / 4)
      : new Uint16Array(view.buffer, view.byteOffset, view.byteLength / 2);
  return values.some((value) => (value & exponent) === exponent && value !== bits);
}

/** The values of a small float tensor as float32. */
export async function readFloat32(tensor: Tensor): Promise<Float32Array> {
  const cast = castTensor(tensor, 'F32');
  const values = new Float32Array(numel(cast.shape));
  let at = 0;
  for await (const chunk of cast.chunks()) {
    const piece = asFloat32(chunk);
    values.set(piece, at);
    at += piece.length;
  }
  return values;
}
