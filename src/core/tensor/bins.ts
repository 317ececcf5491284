import { openWasm, type WasmMemory } from '../bytes/wasm.js';
import { BINS_WASM } from './bins-wasm.js';

/** Bins on each side of 0; the larger side of what is counted fills more than half of them. */
const SIDE_BINS = 4096;
const ALL_BINS = 2 * SIDE_BINS;
/** Bits of the float32 infinity; those of NaN are larger. */
const INFINITY_BITS = 0x7f800000;

/** Counts of a stream of values in bins of one width, and its extremes. */
export interface BinCounts {
  /** Of a bin: a power of two; 0 where nothing but zeros came. */
  readonly width: number;
  /** Bin i holds values from (i - counts.length / 2) * width up to the next: 0 is the lower edge of the middle one. */
  readonly counts: Float64Array;
  /** The smallest value or 0, and the largest or 0, exact; NaN where a value was NaN or infinite. */
  readonly low: number;
  readonly high: number;
}

/**
 * Counts values whose range nobody knows yet. Widths are powers of two and edges their multiples, so that two bins of one width
 * are one of the next: where a value lies outside, bins are folded two by two. The width in the end is the smallest that holds
 * all, and the result the same in whatever order and pieces the values come.
 */
export class BinCounter implements BinCounts {
  readonly counts = new Float64Array(ALL_BINS);
  width = 0;
  low = 0;
  high = 0;

  add(values: Float32Array): void {
    kernel ??= openWasm<BinsKernel>(BINS_WASM);
    const { buffer } = kernel.memory;
    const room = new Float32Array(buffer, TABLES_BYTES, PIECE);
    for (let start = 0; start < values.length; start += PIECE) {
      const piece = values.subarray(start, start + PIECE);
      const rest = -piece.length & (LANES - 1); // zeros behind the last, taken back below
      room.set(piece);
      room.fill(0, piece.length, piece.length + rest);
      const { low, high } = extremesIn(kernel, piece.length + rest);
      this.low = Math.min(this.low, low);
      this.high = Math.max(this.high, high);
      if (Number.isNaN(this.low)) break;
      const magnitude = Math.max(-low, high);
      if (magnitude >= this.width * SIDE_BINS) {
        this.takeCounts(buffer);
        this.growTo(magnitude);
      }
      if (this.width > 0) kernel.count(TABLES_BYTES, piece.length + rest, 4 / this.width, ALL_BINS);
      else this.counts[SIDE_BINS] += piece.length + rest;
      this.counts[SIDE_BINS] -= rest;
    }
    this.takeCounts(buffer);
  }

  /** Adds what the kernel has counted at this width. */
  private takeCounts(buffer: ArrayBuffer): void {
    const tables = new Uint32Array(buffer, 0, 2 * ALL_BINS);
    for (let bin = 0; bin < ALL_BINS; bin++) this.counts[bin] += tables[bin] + tables[bin + ALL_BINS];
    tables.fill(0);
  }

  /** Adds what another counter has seen. */
  merge({ width, counts, low, high }: BinCounts): void {
    this.low = Math.min(this.low, low);
    this.high = Math.max(this.high, high);
    const folded = Float64Array.from(counts);
    if (this.width === 0) this.width = width;
    for (; this.width < width; this.width *= 2) foldBins(this.counts);
    for (let from = width; from > 0 && from < this.width; from *= 2) foldBins(folded);
    for (let bin = 0; bin < ALL_BINS; bin++) this.counts[bin] += folded[bin];
  }

  private growTo(magnitude: number): void {
    if (magnitude === 0) return;
    // One less than it is: a logarithm may be rounded up.
    if (this.width === 0) this.width = 2 ** (Math.floor(Math.log2(magnitude / SIDE_BINS)) - 1);
    for (; magnitude >= this.width * SIDE_BINS; this.width *= 2) foldBins(this.counts);
  }
}

/** Bins put together two by two, towards the middle, in place; what they held before stays countable at twice the width. */
export function foldBins(counts: Float64Array): void {
  const side = counts.length / 2;
  for (let bin = 0; bin < side; bin++) {
    const from = 2 * bin;
    const inside = from < side;
    counts[side + bin] = inside ? counts[side + from] + counts[side + from + 1] : 0;
    counts[side - 1 - bin] = inside ? counts[side - 1 - from] + counts[side - 2 - from] : 0;
  }
}

/** What bins.wat exports: byte offsets in its memory, counts of elements. */
interface BinsKernel {
  readonly memory: WasmMemory;
  extremes(values: number, count: number, found: number): void;
  count(values: number, count: number, quarters: number, bins: number): void;
}

const LANES = 4;
const FLOAT_BYTES = 4;
/** Two tables of counts are at the beginning of the kernel's memory, all 0 between calls. */
const TABLES_BYTES = 2 * ALL_BINS * FLOAT_BYTES;
/** Values that are copied into the kernel's memory at once, behind the tables: as much as a core's cache holds. */
const PIECE = 2 ** 15;
const FOUND = TABLES_BYTES + PIECE * FLOAT_BYTES;

let kernel: BinsKernel | undefined;

/**
 * The smallest value or 0, and the largest or 0; NaN where one is NaN or infinite. By bits, which are faster to compare: those of
 * positive floats are in the order of their values, those of negative ones without the sign too, and infinity and NaN come last.
 */
function extremesIn({ memory, extremes }: BinsKernel, count: number): { low: number; high: number } {
  extremes(TABLES_BYTES, count, FOUND);
  const [highest, lowest] = new Int32Array(memory.buffer, FOUND, 2);
  if (highest >= INFINITY_BITS || lowest >= INFINITY_BITS) return { low: Number.NaN, high: Number.NaN };
  const [high, magnitude] = new Float32Array(memory.buffer, FOUND, 2);
  return { low: 0 - magnitude, high };
}
