import type { Pixels } from './pixels.js';
import { resizeBySimd } from './resample-simd.js';
import { FILTERS, PRECISION_BITS, ROUND, type Weights, weightsOf } from './weights.js';

export type Kernel = 'nearest' | keyof typeof FILTERS;

export interface ResizeOptions {
  readonly width: number;
  readonly height: number;
  readonly kernel: Kernel;
  /** Whether the kernel widens with the reduction, as Pillow's always does. */
  readonly antialias: boolean;
}

/** A part of a picture, in pixels. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * The picture in another size, byte for byte as Pillow's `Image.resize` (and so torchvision's `Resize` of a PIL image) makes it:
 * a horizontal and a vertical pass, each with weights of 22 fractional bits and a result of 8 bits.
 * @param window - the part of the result that is wanted; no more is worked out
 * @see Pillow, src/libImaging/Resample.c and, for `nearest`, Geometry.c (ImagingScaleAffine)
 */
export function resize(
  pixels: Pixels,
  { width, height, kernel, antialias }: ResizeOptions,
  window: Window = { left: 0, top: 0, width, height },
): Pixels {
  const isWhole = window.width === pixels.width && window.height === pixels.height;
  if (isWhole && width === pixels.width && height === pixels.height) return pixels;
  if (kernel === 'nearest') return pickNearest(pixels, { width, height }, window);
  const filter = FILTERS[kernel];
  const columns = weightsOf({ inSize: pixels.width, outSize: width, filter, antialias }, window.left, window.width);
  const rows = weightsOf({ inSize: pixels.height, outSize: height, filter, antialias }, window.top, window.height);
  const firstRow = rows.first[0];
  const endRow = rows.first[window.height - 1] + rows.count[window.height - 1];
  return (
    resizeBySimd(pixels, columns, rows, { firstRow, endRow }) ??
    resizePlainly(pixels, columns, rows, { firstRow, endRow })
  );
}

/** Both passes in JavaScript: what scripts/resample.wat does, where it cannot run. */
export function resizePlainly(
  pixels: Pixels,
  columns: Weights,
  rows: Weights,
  { firstRow, endRow }: { readonly firstRow: number; readonly endRow: number },
): Pixels {
  return resizeColumns(resizeRows(pixels, columns, firstRow, endRow), rows, firstRow);
}

const clip8 = (sum: number): number => {
  const value = sum >> PRECISION_BITS;
  return value < 0 ? 0 : Math.min(value, 255);
};

/** The horizontal pass over the rows from `firstRow` up to `endRow`. */
function resizeRows({ width, data }: Pixels, weights: Weights, firstRow: number, endRow: number): Pixels {
  const { first, count, stride, values } = weights;
  const out = new Uint8Array(3 * first.length * (endRow - firstRow));
  let to = 0;
  for (let row = firstRow; row < endRow; row++) {
    for (let column = 0; column < first.length; column++) {
      let red = ROUND;
      let green = ROUND;
      let blue = ROUND;
      let from = 3 * (row * width + first[column]);
      const end = column * stride + count[column];
      for (let i = column * stride; i < end; i++, from += 3) {
        const weight = values[i];
        red = (red + Math.imul(weight, data[from])) | 0;
        green = (green + Math.imul(weight, data[from + 1])) | 0;
        blue = (blue + Math.imul(weight, data[from + 2])) | 0;
      }
      out[to++] = clip8(red);
      out[to++] = clip8(green);
      out[to++] = clip8(blue);
    }
  }
  return { width: first.length, height: endRow - firstRow, data: out };
}

/** The vertical pass; row 0 of the picture is row `firstRow` of what the weights are for. */
function resizeColumns({ width, data }: Pixels, weights: Weights, firstRow: number): Pixels {
  const { first, count, stride, values } = weights;
  const rowBytes = width * 3;
  const out = new Uint8Array(rowBytes * first.length);
  const sums = new Int32Array(rowBytes);
  for (let row = 0; row < first.length; row++) {
    sums.fill(ROUND);
    for (let i = 0; i < count[row]; i++) {
      const weight = values[row * stride + i];
      const from = (first[row] - firstRow + i) * rowBytes;
      const line = data.subarray(from, from + rowBytes);
      for (let x = 0; x < line.length; x++) sums[x] = (sums[x] + Math.imul(weight, line[x])) | 0;
    }
    const to = row * rowBytes;
    for (let x = 0; x < rowBytes; x++) out[to + x] = clip8(sums[x]);
  }
  return { width, height: first.length, data: out };
}

function pickNearest(
  { width, height, data }: Pixels,
  to: { readonly width: number; readonly height: number },
  window: Window,
): Pixels {
  const columns = nearestOf(width, to.width).subarray(window.left, window.left + window.width);
  const rows = nearestOf(height, to.height).subarray(window.top, window.top + window.height);
  const out = new Uint8Array(window.width * window.height * 3);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = 3 * (row * width + column);
      out[at++] = data[from];
      out[at++] = data[from + 1];
      out[at++] = data[from + 2];
    }
  }
  return { width: window.width, height: window.height, data: out };
}

/** The position is summed up, not multiplied, because Pillow's is: the rounding differs. */
function nearestOf(inSize: number, outSize: number): Int32Array {
  const scale = inSize / outSize;
  const picked = new Int32Array(outSize);
  let at = scale * 0.5;
  for (let out = 0; out < outSize; out++, at += scale) picked[out] = Math.min(inSize - 1, Math.trunc(at));
  return picked;
}
