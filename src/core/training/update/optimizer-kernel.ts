import { openWasm, type WasmMemory } from '../../bytes/wasm.js';
import { OPTIMIZER_WASM } from './optimizer-wasm.js';

interface Exports {
  readonly memory: WasmMemory;
  adamw(length: number, ...offsetsAndSettings: number[]): void;
  blend(length: number, ...offsetsAndSettings: number[]): void;
}

/** Vectors that the kernel's memory has room for. */
const VECTORS = 4;
/** Elements that are worked on at once. */
const LANES = 4;

let opened: { readonly exports: Exports; readonly places: readonly Float32Array[] } | undefined;

function openKernel(): NonNullable<typeof opened> {
  if (opened) return opened;
  const exports = openWasm<Exports>(OPTIMIZER_WASM);
  const length = exports.memory.buffer.byteLength / Float32Array.BYTES_PER_ELEMENT / VECTORS;
  const places = Array.from(
    { length: VECTORS },
    (_, i) => new Float32Array(exports.memory.buffer, i * length * Float32Array.BYTES_PER_ELEMENT, length),
  );
  opened = { exports, places };
  return opened;
}

/**
 * Runs a function of optimizer.wat over vectors of one length, piece by piece, as much as a core's cache holds: with SIMD it
 * takes less than half the time of a loop here, copies included, and its float32 arithmetic is the same on every machine.
 * @param changed - vectors that are written, before those that are only read, in the order of the function
 */
export function runKernel(
  name: 'adamw' | 'blend',
  changed: readonly Float32Array[],
  read: readonly Float32Array[],
  settings: readonly number[],
): void {
  const { exports, places } = openKernel();
  const vectors = [...changed, ...read];
  const { length } = vectors[0];
  const room = places[0].length;
  const offsets = vectors.map((_, i) => places[i].byteOffset);
  for (let start = 0; start < length; start += room) {
    const end = Math.min(length, start + room);
    for (const [i, vector] of vectors.entries()) places[i].set(vector.subarray(start, end));
    exports[name](Math.ceil((end - start) / LANES) * LANES, ...offsets, ...settings);
    for (const [i, vector] of changed.entries()) vector.set(places[i].subarray(0, end - start), start);
  }
}
