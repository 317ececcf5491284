import type { Pixels } from './pixels.js';

interface Filter {
  /** Half the width of the kernel, in pixels of the larger picture. */
  readonly support: number;
  weight(x: number): number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

const BICUBIC_A = -0.5; // Pillow's; OpenCV and torch's bicubic without antialias have -0.75

const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight(signed) {
      const x = Math.abs(signed);
      if (x < 1) return ((BICUBIC_A + 2) * x - (BICUBIC_A + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * BICUBIC_A : 0;
    },
  },
  lanczos3: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const satisfies Record<string, Filter>;

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
  return resizeColumns(resizeRows(pixels, columns, firstRow, endRow), rows, firstRow);
}

/** Bits after the point: 8 bits of the sample, 2 for weights beyond 1 and below 0, the rest of an int32. */
const PRECISION_BITS = 32 - 8 - 2;
const ROUND = 1 << (PRECISION_BITS - 1);

/** For each wanted output: which inputs it is made of, and their weights times 2^PRECISION_BITS. */
interface Weights {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** Weights of output `i` start at `i * stride`. */
  readonly stride: number;
  readonly values: Int32Array;
}

interface Axis {
  readonly inSize: number;
  readonly outSize: number;
  readonly filter: Filter;
  readonly antialias: boolean;
}

/** Weights of the outputs `start` to `start + wanted`; where the sizes are equal, they leave every sample as it is. */
function weightsOf({ inSize, outSize, filter, antialias }: Axis, start: number, wanted: number): Weights {
  const scale = inSize / outSize;
  const filterScale = antialias ? Math.max(scale, 1) : 1;
  const support = filter.support * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(wanted);
  const count = new Int32Array(wanted);
  const values = new Int32Array(wanted * stride);
  const weights = new Float64Array(stride);
  for (let out = 0; out < wanted; out++) {
    const center = (start + out + 0.5) * scale;
    first[out] = Math.max(0, Math.trunc(center - support + 0.5));
    count[out] = Math.min(inSize, Math.trunc(center + support + 0.5)) - first[out];
    let sum = 0;
    for (let i = 0; i < count[out]; i++) {
      weights[i] = filter.weight((i + first[out] - center + 0.5) * (1 / filterScale));
      sum += weights[i];
    }
    for (let i = 0; i < count[out]; i++) {
      const weight = (sum === 0 ? weights[i] : weights[i] / sum) * (1 << PRECISION_BITS);
      values[out * stride + i] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
  }
  return { first, count, stride, values };
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
