import type { Random } from '../../bytes/random.js';
import type { Pixels } from '../../media/image/pixels.js';
import { resize } from '../../media/image/resample.js';
import { type Colour, toByte } from './canvas.js';

/** @param sigma - standard deviation of the Gaussian, in pixels */
export function gaussianBlur(pixels: Pixels, sigma: number): Pixels {
  const { width, height } = pixels;
  const kernel = gaussianKernel(sigma);
  const rows = Float32Array.from(pixels.data);
  const between = new Float32Array(rows.length);
  for (let row = 0; row < height; row++)
    blurLine(rows, between, { kernel, length: width, start: 3 * row * width, step: 3 });
  for (let column = 0; column < width; column++) {
    blurLine(between, rows, { kernel, length: height, start: 3 * column, step: 3 * width });
  }
  return { width, height, data: Uint8Array.from(rows, toByte) };
}

/** Half of a symmetric kernel that sums to 1: `kernel[i]` is the weight at distance i. */
function gaussianKernel(sigma: number): Float64Array {
  const radius = Math.ceil(3 * sigma); // beyond it lie 0.3 % of the weight
  const weights = Float64Array.from({ length: radius + 1 }, (_, i) => Math.exp(-(i ** 2) / (2 * sigma ** 2)));
  const sum = 2 * weights.reduce((total, weight) => total + weight, 0) - weights[0];
  return weights.map((weight) => weight / sum);
}

interface Line {
  readonly kernel: Float64Array;
  readonly length: number;
  /** Index of its first pixel, and the distance to the next. */
  readonly start: number;
  readonly step: number;
}

/** The pixels at the ends go on beyond them. */
function blurLine(from: Float32Array, to: Float32Array, { kernel, length, start, step }: Line): void {
  const last = length - 1;
  for (let i = 0; i < length; i++) {
    for (let channel = 0; channel < 3; channel++) {
      const base = start + channel;
      let sum = kernel[0] * from[base + i * step];
      for (let k = 1; k < kernel.length; k++) {
        const before = from[base + Math.max(0, i - k) * step];
        sum += kernel[k] * (before + from[base + Math.min(last, i + k) * step]);
      }
      to[base + i * step] = sum;
    }
  }
}

/** @param deviation - standard deviation of each sample's noise, of 255 */
export function addNoise({ width, height, data }: Pixels, deviation: number, random: Random): Pixels {
  return { width, height, data: data.map((value) => toByte(value + deviation * random.normal())) };
}

/** Each pixel replaced by what `shift` makes of it. */
export function mapColours({ width, height, data }: Pixels, shift: (colour: Colour) => Colour): Pixels {
  const out = new Uint8Array(data.length);
  for (let at = 0; at < data.length; at += 3) out.set(shift([data[at], data[at + 1], data[at + 2]]).map(toByte), at);
  return { width, height, data: out };
}

/** The picture made smaller by a factor and shown in its old size, as an enlarged thumbnail is. */
export function throughThumbnail(pixels: Pixels, factor: number): Pixels {
  const { width, height } = pixels;
  const small = resize(pixels, {
    width: Math.max(1, Math.round(width / factor)),
    height: Math.max(1, Math.round(height / factor)),
    kernel: 'bicubic',
    antialias: true,
  });
  return resize(small, { width, height, kernel: 'bilinear', antialias: true });
}

/** How steep the brightness is at each pixel, in 0 … 1: the Sobel operator. */
export function edgeStrength({ width, height, data }: Pixels): Float32Array {
  const grey = (row: number, column: number): number => {
    const at = 3 * (Math.min(height - 1, Math.max(0, row)) * width + Math.min(width - 1, Math.max(0, column)));
    return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
  };
  const edges = new Float32Array(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const across =
        grey(y - 1, x + 1) +
        2 * grey(y, x + 1) +
        grey(y + 1, x + 1) -
        grey(y - 1, x - 1) -
        2 * grey(y, x - 1) -
        grey(y + 1, x - 1);
      const down =
        grey(y + 1, x - 1) +
        2 * grey(y + 1, x) +
        grey(y + 1, x + 1) -
        grey(y - 1, x - 1) -
        2 * grey(y - 1, x) -
        grey(y - 1, x + 1);
      edges[at] = Math.min(1, Math.hypot(across, down) / (4 * 255));
    }
  }
  return edges;
}
