import { roundEven } from '../round-even.js';
import type { Pixels } from './pixels.js';
import type { ResizeOptions, Window } from './resample.js';
import { FILTERS } from './weights.js';

/** Pixels in another size, in units of the largest 8-bit value: about 0 to 1, but not held there. */
export interface FloatPixels {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3]. */
  readonly data: Float32Array;
}

/** For each wanted output: which inputs it is made of (each held within the picture), and their weights. */
interface Taps {
  readonly index: Int32Array;
  readonly weight: Float32Array;
  /** Taps of one output. */
  readonly count: number;
}

/**
 * A picture in another size as torch resizes a float tensor: no rounding after a pass, and no clipping. With `antialias` the kernel
 * is Pillow's; without, torch's own bicubic (a = -0.75) or bilinear one, whose taps beyond the edge repeat it.
 * @param levels - the float of each 8-bit value
 * @see torch, aten/src/ATen/native/cpu/UpSampleKernel.cpp
 */
export function resizeFloats(
  pixels: Pixels,
  { width, height, kernel, antialias }: ResizeOptions,
  window: Window = { left: 0, top: 0, width, height },
  levels: Float32Array = UNIT,
): FloatPixels {
  const columns = tapsOf(pixels.width, width, { kernel, antialias }, window.left, window.width);
  const rows = tapsOf(pixels.height, height, { kernel, antialias }, window.top, window.height);
  let used: readonly [number, number] = [pixels.height - 1, 0];
  for (const row of rows.index) used = [Math.min(used[0], row), Math.max(used[1], row)];
  const narrow = resizeRows(pixels, columns, window.width, used, levels);
  return resizeColumns(narrow, rows, { width: window.width, height: window.height, firstRow: used[0] });
}

type Choice = Pick<ResizeOptions, 'kernel' | 'antialias'>;

function tapsOf(inSize: number, outSize: number, { kernel, antialias }: Choice, start: number, wanted: number): Taps {
  if (inSize === outSize || kernel === 'nearest') return nearestTaps(inSize, outSize, start, wanted);
  return antialias
    ? widenedTaps(inSize, outSize, kernel, start, wanted)
    : plainTaps(inSize, outSize, kernel, start, wanted);
}

/** The input at floor(output * scale); each itself where the sizes are equal. */
function nearestTaps(inSize: number, outSize: number, start: number, wanted: number): Taps {
  const index = Int32Array.from({ length: wanted }, (_, i) =>
    Math.min(inSize - 1, Math.floor(((start + i) * inSize) / outSize)),
  );
  return { index, weight: new Float32Array(wanted).fill(1), count: 1 };
}

const { fround } = Math;

/** a b + c rounded once to float32, as the processor's fused instruction does it: the product is exact in a double. */
const fma = (a: number, b: number, c: number): number => fround(a * b + c);

/** torch's antialiased kernels: Pillow's weights, in float32. */
function widenedTaps(
  inSize: number,
  outSize: number,
  kernel: keyof typeof FILTERS,
  start: number,
  wanted: number,
): Taps {
  const filter = FILTERS[kernel];
  const weightOf = kernel === 'bicubic' ? widenedBicubic : (x: number): number => fround(filter.weight(x));
  const scale = fround(inSize / outSize);
  const support = scale >= 1 ? fround(filter.support * scale) : filter.support;
  const inverse = scale >= 1 ? fround(1 / scale) : 1;
  const count = Math.ceil(support) * 2 + 1;
  const index = new Int32Array(wanted * count);
  const weight = new Float32Array(wanted * count);
  for (let out = 0; out < wanted; out++) {
    const center = fround(scale * (start + out + 0.5));
    const first = Math.max(0, Math.trunc(fround(fround(center - support) + 0.5)));
    const size = Math.min(inSize, Math.trunc(fround(fround(center + support) + 0.5))) - first;
    let sum = 0;
    for (let i = 0; i < size; i++) {
      const w = weightOf(fround((fround(i + first - center) + 0.5) * inverse));
      index[out * count + i] = first + i;
      weight[out * count + i] = w;
      sum = fround(sum + w);
    }
    for (let i = size; i < count; i++) index[out * count + i] = first;
    if (sum !== 0) for (let i = 0; i < size; i++) weight[out * count + i] /= sum;
  }
  return { index, weight, count };
}

const TORCH_BICUBIC_A = -0.75;
const PILLOW_BICUBIC_A = -0.5;

function widenedBicubic(signed: number): number {
  const x = Math.abs(signed);
  if (x < 1) return near(x, PILLOW_BICUBIC_A);
  return x < 2 ? far(x, PILLOW_BICUBIC_A) : 0;
}

/** torch's cubic convolution of |x| < 1 and of 1 <= |x| < 2, step by step in float32. */
const near = (x: number, a: number): number => fma(fround(fma(a + 2, x, -(a + 3)) * x), x, 1);
const far = (x: number, a: number): number => fma(fma(fma(a, x, -5 * a), x, 8 * a), x, -4 * a);

/** Weights of the taps at -1, 0, 1 and 2 around a place `t` after tap 0 (torch, get_cubic_upsample_coefficients). */
function bicubicWeights(t: number): number[] {
  const a = TORCH_BICUBIC_A;
  const rest = fround(1 - t);
  return [far(fround(t + 1), a), near(t, a), near(rest, a), far(fround(rest + 1), a)];
}

const bilinearWeights = (t: number): number[] => [1 - t, t];

function plainTaps(inSize: number, outSize: number, kernel: keyof typeof FILTERS, start: number, wanted: number): Taps {
  if (kernel === 'lanczos3') throw new RangeError('lanczos is not defined without antialiasing');
  const scale = fround(inSize / outSize);
  const [weightsAt, before] = kernel === 'bicubic' ? [bicubicWeights, 1] : [bilinearWeights, 0];
  const count = weightsAt(0).length;
  const index = new Int32Array(wanted * count);
  const weight = new Float32Array(wanted * count);
  for (let out = 0; out < wanted; out++) {
    const exact = fma(scale, start + out + 0.5, -0.5);
    const place = kernel === 'bilinear' ? Math.max(0, exact) : exact;
    const first = Math.floor(place);
    for (const [i, w] of weightsAt(fround(place - first)).entries()) {
      index[out * count + i] = Math.min(inSize - 1, Math.max(0, first - before + i));
      weight[out * count + i] = w;
    }
  }
  return { index, weight, count };
}

/** 8-bit values as torchvision's ToTensor makes floats of them. */
const UNIT = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** 8-bit values as they are. */
const BYTES = Float32Array.from({ length: 256 }, (_, value) => value);

/** A picture of 8 bits in another size as torchvision resizes a tensor of 8 bits: on floats, then rounded, halves to even. */
export function resizeRounded(pixels: Pixels, options: ResizeOptions, window?: Window): Pixels {
  const { width, height, data } = resizeFloats(pixels, options, window, BYTES);
  return { width, height, data: Uint8Array.from(data, (value) => roundEven(Math.min(255, Math.max(0, value)))) };
}

/** The horizontal pass over rows `first` to `last`. */
function resizeRows(
  { width, data }: Pixels,
  { index, weight, count }: Taps,
  wanted: number,
  [first, last]: readonly [number, number],
  levels: Float32Array,
): Float32Array {
  const out = new Float32Array(3 * wanted * (last - first + 1));
  let to = 0;
  for (let row = first; row <= last; row++) {
    for (let column = 0; column < wanted; column++) {
      let [red, green, blue] = [0, 0, 0];
      for (let i = column * count; i < (column + 1) * count; i++) {
        const from = 3 * (row * width + index[i]);
        red = fma(weight[i], levels[data[from]], red);
        green = fma(weight[i], levels[data[from + 1]], green);
        blue = fma(weight[i], levels[data[from + 2]], blue);
      }
      out[to++] = red;
      out[to++] = green;
      out[to++] = blue;
    }
  }
  return out;
}

function resizeColumns(
  data: Float32Array,
  { index, weight, count }: Taps,
  { width, height, firstRow }: { width: number; height: number; firstRow: number },
): FloatPixels {
  const rowLength = 3 * width;
  const out = new Float32Array(rowLength * height);
  const sums = new Float32Array(rowLength);
  for (let row = 0; row < height; row++) {
    sums.fill(0);
    for (let i = row * count; i < (row + 1) * count; i++) {
      const from = (index[i] - firstRow) * rowLength;
      for (let x = 0; x < rowLength; x++) sums[x] = fma(weight[i], data[from + x], sums[x]);
    }
    out.set(sums, row * rowLength);
  }
  return { width, height, data: out };
}
