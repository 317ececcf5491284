import { openWasm, type WasmMemory } from '../../bytes/wasm.js';
import { INT8_WASM } from './int8-wasm.js';

/** What int8.wat exports: byte offsets in its memory, counts of elements; a number other than 0 where a value is not finite. */
interface Int8Kernel {
  readonly memory: WasmMemory;
  block(values: number, count: number, first: number, step: number, found: number): number;
  largestTwo(values: number, count: number, found: number): number;
  row(values: number, count: number, largest: number, pair: number, before: number): number;
  quantize(values: number, count: number, scales: number, scaleStep: number, out: number): void;
}

export const FLOAT_BYTES = 4;
/** Values that are copied into the kernel's memory and worked on at once: as much as a core's cache holds. */
export const PIECE = 2 ** 15;
const PAGE_BYTES = 2 ** 16;
const LANE_BYTES = 16;

let kernel: Int8Kernel | undefined;

/**
 * The kernel with arrays in its memory, of as many float32 as asked for. What they hold is nobody's once the caller waits for
 * anything. With SIMD it takes a tenth of the time of loops here.
 */
export function int8Kernel(...lengths: readonly number[]): { kernel: Int8Kernel; arrays: Float32Array[] } {
  kernel ??= openWasm<Int8Kernel>(INT8_WASM);
  const { memory } = kernel;
  const offsets: number[] = [];
  let end = 0;
  for (const length of lengths) {
    offsets.push(end);
    end += Math.ceil((length * FLOAT_BYTES) / LANE_BYTES) * LANE_BYTES;
  }
  if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / PAGE_BYTES));
  return { kernel, arrays: lengths.map((length, i) => new Float32Array(memory.buffer, offsets[i], length)) };
}

/** Values in stretches of at most `PIECE`, each with the place where it begins. */
export function* piecesOf(values: Float32Array): Generator<{ readonly start: number; readonly piece: Float32Array }> {
  for (let start = 0; start < values.length; start += PIECE)
    yield { start, piece: values.subarray(start, start + PIECE) };
}
