import type { Pixels } from './pixels.js';
import { RESAMPLE_WASM } from './resample-wasm.js';
import type { Weights } from './weights.js';

/** As much of it as is used here: Node's types leave it to those of browsers. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** What scripts/resample.wat exports; numbers are offsets in its memory, counts and lengths. */
interface Kernels {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  resizeRows(
    ...args: [
      ...[src: number, srcStride: number, rows: number, dst: number, columns: number],
      ...[first: number, count: number, values: number, stride: number],
    ]
  ): void;
  resizeColumns(
    ...args: [
      ...[src: number, rowBytes: number, dst: number, rows: number],
      ...[first: number, count: number, values: number, stride: number],
    ]
  ): void;
}

/** What the kernels read and write beyond an end. */
const SLACK_BYTES = 16;
const PAGE_BYTES = 65_536;
/** Rows of a picture are copied in for the first pass so many bytes at a time: what stays in the processor's cache. */
const STRIP_BYTES = 512 * 1024;
/** A memory cannot shrink: one that a large picture has grown is given up after it. */
const KEPT_BYTES = 32 * 1024 * 1024;

let compiled: object | null | undefined;
let kernels: Kernels | null = null;

/** Null where the processor has no 128-bit SIMD. */
function loadKernels(): Kernels | null {
  if (compiled === undefined) {
    const bytes = Buffer.from(RESAMPLE_WASM, 'base64');
    compiled = WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : null;
  }
  if (compiled === null) return null;
  kernels ??= new WebAssembly.Instance(compiled).exports as Kernels;
  return kernels;
}

/** Where things lie in the memory, one after the other. */
class Layout {
  private end = 0;

  place(byteLength: number): number {
    const at = this.end;
    this.end = Math.ceil((at + byteLength + SLACK_BYTES) / 16) * 16;
    return at;
  }

  fit({ memory }: Kernels): void {
    const missing = this.end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  }
}

/** Where the three tables of weights lie. */
type PlacedWeights = Readonly<Record<'first' | 'count' | 'values', number>>;

const placeWeights = (layout: Layout, { first, count, values }: Weights): PlacedWeights => ({
  first: layout.place(first.byteLength),
  count: layout.place(count.byteLength),
  values: layout.place(values.byteLength),
});

function putWeights(buffer: ArrayBuffer, weights: Weights, at: PlacedWeights): void {
  for (const table of ['first', 'count', 'values'] as const) {
    new Int32Array(buffer, at[table], weights[table].length).set(weights[table]);
  }
}

/**
 * Both passes of `resize`, with the results of the plain ones to the last bit, several times as fast.
 * @param firstRow - the row of the picture that the first output row begins with
 * @returns null where the processor has no 128-bit SIMD
 */
export function resizeBySimd(
  { width, data }: Pixels,
  columns: Weights,
  rows: Weights,
  { firstRow, endRow }: { readonly firstRow: number; readonly endRow: number },
): Pixels | null {
  const found = loadKernels();
  if (!found) return null;
  const layout = new Layout();
  const [inStride, outStride] = [3 * width, 3 * columns.first.length];
  const [inRows, outRows] = [endRow - firstRow, rows.first.length];
  const stripRows = Math.max(1, Math.min(inRows, Math.floor(STRIP_BYTES / inStride)));
  const at = {
    strip: layout.place(inStride * stripRows),
    between: layout.place(outStride * inRows),
    result: layout.place(outStride * outRows),
    columns: placeWeights(layout, columns),
    rows: placeWeights(layout, rows),
  };
  layout.fit(found);
  const { buffer } = found.memory;
  putWeights(buffer, columns, at.columns);
  putWeights(buffer, { ...rows, first: rows.first.map((row) => row - firstRow) }, at.rows);
  const { first, count, values } = at.columns;
  for (let row = 0; row < inRows; row += stripRows) {
    const some = Math.min(stripRows, inRows - row);
    const from = (firstRow + row) * inStride;
    new Uint8Array(buffer).set(data.subarray(from, from + some * inStride), at.strip);
    const to = at.between + row * outStride;
    found.resizeRows(at.strip, inStride, some, to, columns.first.length, first, count, values, 4 * columns.stride);
  }
  const down = at.rows;
  found.resizeColumns(at.between, outStride, at.result, outRows, down.first, down.count, down.values, 4 * rows.stride);
  const out = new Uint8Array(buffer, at.result, outStride * outRows).slice();
  if (buffer.byteLength > KEPT_BYTES) kernels = null;
  return { width: columns.first.length, height: outRows, data: out };
}
