import { openWasm, type WasmMemory } from '../bytes/wasm.js';
import { LIMITS } from '../limits.js';
import { DTYPES, type Dtype } from './dtype.js';
import { FLOATS_WASM } from './floats-wasm.js';

/** What floats.wat exports: places in bytes of its memory, counts of elements. */
interface FloatKernel {
  readonly memory: WasmMemory;
  brainToFloat: Convert;
  halfToFloat: Convert;
  floatToHalf: Convert;
  brainToHalf: Convert;
  nonFinite32(from: number, count: number): number;
  nonFinite16(from: number, count: number, exponent: number): number;
}

type Convert = (from: number, to: number, count: number) => void;

/** The kernel takes this many elements at once. */
const LANES = 8;
/** Bytes that are copied into the kernel's memory at once, at its beginning: a core's cache keeps them. */
const PIECE = 2 ** 16;
/** All bits of the exponent, which NaN and the infinities have set. */
const EXPONENT = { F16: 0x7c00, BF16: 0x7f80 } as const;

/** Float dtypes that the kernel reads. */
export type KernelFloat = 'F32' | 'F16' | 'BF16';

export const isKernelFloat = (dtype: Dtype): dtype is KernelFloat =>
  dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';

/** Kernels by their memory, so that what lies there already is looked at where it lies. */
const kernels = new WeakMap<object, FloatKernel>();

function openKernel(resultBytes: number): FloatKernel {
  const kernel = openWasm<FloatKernel>(FLOATS_WASM);
  if (resultBytes > 0) kernel.memory.grow(resultBytes / PIECE);
  kernels.set(kernel.memory.buffer, kernel);
  return kernel;
}

/** The kernel of the last tensor, for the next one: fresh pages cost as much as the converting itself. */
let spare: FloatKernel | undefined;

/**
 * Pieces of one float dtype as another, each of at most `LIMITS.chunkBytes` and valid until the next is asked for. F16 and BF16
 * to F32 are exact; to F16 rounds half to even, and beyond 65504 becomes infinity.
 */
export async function* convertFloats(
  chunks: AsyncIterable<Uint8Array>,
  from: KernelFloat,
  to: 'F32' | 'F16',
): AsyncGenerator<Uint8Array> {
  const kernel = spare ?? openKernel(LIMITS.chunkBytes);
  spare = undefined;
  const convert = conversion(kernel, from, to);
  const [size, resultSize] = [DTYPES[from].bytes, DTYPES[to].bytes];
  const most = (LIMITS.chunkBytes / resultSize) * size;
  const room = new Uint8Array(kernel.memory.buffer);
  try {
    for await (const chunk of chunks) {
      for (let start = 0; start < chunk.byteLength; start += most) {
        const part = chunk.subarray(start, start + most);
        let end = PIECE;
        for (let at = 0; at < part.byteLength; at += PIECE) {
          const piece = part.subarray(at, at + PIECE);
          room.set(piece);
          const count = piece.byteLength / size;
          convert(0, end, roundUp(count, LANES));
          end += count * resultSize;
        }
        yield room.subarray(PIECE, end);
      }
    }
  } finally {
    spare = kernel;
  }
}

function conversion(kernel: FloatKernel, from: KernelFloat, to: 'F32' | 'F16'): Convert {
  if (to === 'F32') return from === 'BF16' ? kernel.brainToFloat : kernel.halfToFloat;
  return from === 'BF16' ? kernel.brainToHalf : kernel.floatToHalf;
}

let scanner: FloatKernel | undefined;

/** Whether bytes of a float dtype hold NaN or an infinity. */
export function anyNonFinite(bytes: Uint8Array, dtype: KernelFloat): boolean {
  const vector = LANES * DTYPES[dtype].bytes;
  const owner = kernels.get(bytes.buffer);
  const inPlace = owner ? bytes.byteLength - (bytes.byteLength % vector) : 0;
  if (owner && scan(owner, bytes.byteOffset, inPlace, dtype)) return true;
  scanner ??= openKernel(0);
  const room = new Uint8Array(scanner.memory.buffer);
  for (let at = inPlace; at < bytes.byteLength; at += PIECE) {
    const piece = bytes.subarray(at, at + PIECE);
    const whole = roundUp(piece.byteLength, vector);
    room.set(piece);
    room.fill(0, piece.byteLength, whole);
    if (scan(scanner, 0, whole, dtype)) return true;
  }
  return false;
}

function scan(kernel: FloatKernel, from: number, byteLength: number, dtype: KernelFloat): boolean {
  const count = byteLength / DTYPES[dtype].bytes;
  const found = dtype === 'F32' ? kernel.nonFinite32(from, count) : kernel.nonFinite16(from, count, EXPONENT[dtype]);
  return found !== 0;
}

const roundUp = (count: number, step: number): number => Math.ceil(count / step) * step;
