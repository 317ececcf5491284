import { openWasm, type WasmMemory } from '../bytes/wasm.js';
import type { Outcomes } from '../stats/outcomes.js';
import { STACK_WASM } from './stack-wasm.js';

/** Judged pairs with the standardised logits of all members. */
export interface StackRows {
  readonly members: number;
  /** Row-major `[rows, members]`; 0 where a member has no score. */
  readonly logits: Float64Array;
  /** Votes of each row. */
  readonly outcomes: Outcomes;
}

/** Rows as the kernel reads them. */
export interface WideRows extends StackRows {
  /** Logits of a row: the members, and zeros up to a multiple of four. */
  readonly width: number;
}

export function widened(rows: StackRows): WideRows {
  const { members } = rows;
  const count = rows.outcomes.positive.length;
  const width = Math.ceil(members / LANES) * LANES;
  if (width === members) return { ...rows, width };
  const logits = new Float64Array(count * width);
  for (let i = 0; i < count; i++)
    for (let m = 0; m < members; m++) logits[i * width + m] = rows.logits[i * members + m];
  return { ...rows, width, logits };
}

/** A loss near some weights. */
export interface Quadratic {
  readonly loss: number;
  readonly gradient: Float64Array;
  readonly hessian: Float64Array;
}

/** Mean loss of a vote, its gradient and its Hessian `[members, members]`, without penalty. */
export function lossAt(
  { members, width, logits, outcomes: { positive, negative } }: WideRows,
  weights: Float64Array,
): Quadratic {
  const { kernel, x, left, right, state, scratch } = kernelOf(width);
  state.fill(0);
  state.set(weights);
  for (let from = 0; from < positive.length; from += BLOCK) {
    const end = Math.min(positive.length, from + BLOCK);
    const count = end - from;
    x.set(logits.subarray(from * width, end * width));
    left.set(positive.subarray(from, end));
    right.set(negative.subarray(from, end));
    const odd = count % 2; // a row without votes makes it even
    if (odd)
      for (const [array, each] of [
        [x, width],
        [left, 1],
        [right, 1],
      ] as const)
        array.fill(0, count * each, (count + 1) * each);
    kernel.add(
      x.byteOffset,
      left.byteOffset,
      right.byteOffset,
      count + odd,
      width,
      state.byteOffset,
      scratch.byteOffset,
    );
  }
  const [loss, votes] = state.subarray(2 * width + width * width);
  const scale = votes > 0 ? 1 / votes : 0;
  const gradient = state.slice(width, width + members).map((slope) => slope * scale);
  const hessian = new Float64Array(members * members);
  for (let a = 0; a < members; a++) {
    for (let b = 0; b <= a; b++) {
      const value = state[(2 + a) * width + b] * scale;
      hessian[a * members + b] = value;
      hessian[b * members + a] = value;
    }
  }
  return { loss: loss * scale, gradient, hessian };
}

/** Rows that are added at a time: their logits stay in the cache of the first level. */
const BLOCK = 128;
const LANES = 4;
/** Numbers that the kernel keeps of each row. */
const SCRATCH = 4;
const PAGE_BYTES = 2 ** 16;

/** What stack.wat exports: byte offsets in its memory, counts of rows and of logits a row. */
interface StackKernel {
  readonly memory: WasmMemory;
  add(x: number, left: number, right: number, count: number, width: number, state: number, scratch: number): void;
}

let kernel: StackKernel | undefined;

/** The kernel with arrays in its memory for a block of rows; nobody's once the caller waits for anything. */
function kernelOf(width: number) {
  kernel ??= openWasm<StackKernel>(STACK_WASM);
  const { memory } = kernel;
  const lengths = [BLOCK * width, BLOCK, BLOCK, 2 * width + width * width + 2, SCRATCH * BLOCK];
  const bytes = Float64Array.BYTES_PER_ELEMENT * lengths.reduce((sum, length) => sum + length, 0);
  if (bytes > memory.buffer.byteLength) memory.grow(Math.ceil((bytes - memory.buffer.byteLength) / PAGE_BYTES));
  let end = 0;
  const [x, left, right, state, scratch] = lengths.map((length) => {
    const array = new Float64Array(memory.buffer, end, length);
    end += array.byteLength;
    return array;
  });
  return { kernel, x, left, right, state, scratch };
}
