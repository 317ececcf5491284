import type { Preprocess } from '../../onnx/manifest.js';
import { roundEven } from '../round-even.js';
import { type Pixels, premultiplied, unpremultiplied } from './pixels.js';
import { type ResizeOptions, resize, type Window } from './resample.js';
import { resizeFloats, resizeRounded } from './resample-floats.js';

/** What the contract says of a picture or of the frames of a clip. */
export type FrameContract = Extract<Preprocess, { kind: 'image' | 'video' }>;

/** A frame in the size that the model takes: values of 8 bits, or floats that are 1 where they are 255. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3]. */
  readonly data: Uint8Array | Float32Array;
}

/** Resizes and crops, in this order, as torchvision's `Resize` and `CenterCrop` do with a PIL image, or with a tensor. */
export function fitFrame(pixels: Pixels, contract: FrameContract): Frame {
  // What is resized before it is converted has alpha while its neighbours are mixed, unless it is resized by its indices.
  const [height, width] = sizeFor(pixels, contract.resize);
  const isResized = height !== pixels.height || width !== pixels.width;
  return pixels.alpha && isResized && contract.palette === 'nearest' && !pixels.isIndexed
    ? fitTransparent(pixels, pixels.alpha, contract)
    : fitOpaque(pixels, contract);
}

/** As Pillow resizes mode RGBA: colours times alpha, alpha beside them, then the colours alone again. */
function fitTransparent(pixels: Pixels, alpha: Uint8Array, contract: FrameContract): Frame {
  const { width, height } = pixels;
  const fitted = (data: Uint8Array): Frame => fitOpaque({ width, height, data }, contract);
  const colours = fitted(premultiplied(pixels.data, alpha));
  const covers = fitted(pixels.data.map((_, i) => alpha[Math.trunc(i / 3)]));
  const cover = covers.data.filter((_, i) => i % 3 === 0) as Uint8Array;
  return { ...colours, data: unpremultiplied(colours.data as Uint8Array, cover) };
}

function fitOpaque(pixels: Pixels, contract: FrameContract): Frame {
  const { resize: target, crop, pad: border } = contract;
  const [height, width] = sizeFor(pixels, target);
  const kernel = pixels.isIndexed && contract.palette === 'nearest' ? 'nearest' : target.kernel;
  const options = { width, height, kernel, antialias: target.antialias };
  const scaled = (window?: Window): Frame => {
    if (target.arithmetic === 'float') return resizeFloats(pixels, options, window);
    if (target.arithmetic === 'rounded') return resizeRounded(pixels, options, window);
    const columnsFirst =
      target.passes === 'cheaper-first' && kernel !== 'nearest' && isCheaperByColumns(pixels, options);
    return columnsFirst ? resizeColumnsFirst(pixels, options, window) : resize(pixels, options, window);
  };
  if (crop === null && !border) return scaled();
  const [outHeight, outWidth] = crop ?? border!.size;
  const top = cropStart(height, outHeight, contract.cropRule);
  const left = cropStart(width, outWidth, contract.cropRule);
  const window = {
    top: Math.max(0, top),
    left: Math.max(0, left),
    height: Math.min(height, outHeight),
    width: Math.min(width, outWidth),
  };
  return pad(scaled(window), { width: outWidth, height: outHeight, top: window.top - top, left: window.left - left });
}

/** @see Pillow 13, src/libImaging/Resample.c, ImagingResampleInner */
const isCheaperByColumns = (from: Pixels, to: ResizeOptions): boolean =>
  from.height > to.height && from.height - to.height > 2 * (from.width - to.width);

function resizeColumnsFirst(
  pixels: Pixels,
  options: ResizeOptions,
  { left, top, width, height }: Window = { left: 0, top: 0, width: options.width, height: options.height },
): Frame {
  const low = resize(pixels, { ...options, width: pixels.width }, { left: 0, top, width: pixels.width, height });
  return resize(low, { ...options, height }, { left, top: 0, width, height });
}

/** [height, width] that a picture is resized to. */
function sizeFor({ width, height }: Pixels, target: FrameContract['resize']): readonly [number, number] {
  if (target.exact) return target.exact;
  if (target.longestSide !== undefined) {
    const scale = target.longestSide / Math.max(height, width);
    return [Math.max(1, roundEven(height * scale)), Math.max(1, roundEven(width * scale))];
  }
  if (target.pixels) return withinBudget(height, width, target.pixels);
  const side = target.shorterSide;
  if (side === undefined) return [height, width];
  // The longer side is rounded down, as torchvision does.
  return width <= height ? [Math.trunc((side * height) / width), side] : [side, Math.trunc((side * width) / height)];
}

/** Multiples of `factor` whose product is between `min` and `max`, of about equal aspect (Qwen2-VL, smart_resize). */
function withinBudget(
  height: number,
  width: number,
  { factor, min, max }: NonNullable<FrameContract['resize']['pixels']>,
): [number, number] {
  const near = [height, width].map((side) => Math.max(factor, roundEven(side / factor) * factor));
  if (near[0] * near[1] > max) {
    const shrink = Math.sqrt((height * width) / max);
    return sidesBy([height, width], (side) => Math.floor(side / shrink / factor) * factor, factor);
  }
  if (near[0] * near[1] < min) {
    const grow = Math.sqrt(min / (height * width));
    return sidesBy([height, width], (side) => Math.ceil((side * grow) / factor) * factor, factor);
  }
  return [near[0], near[1]];
}

const sidesBy = (sides: readonly [number, number], size: (side: number) => number, least: number): [number, number] => [
  Math.max(least, size(sides[0])),
  Math.max(least, size(sides[1])),
];

/** Puts a picture at a place in a larger one that is black elsewhere. */
function pad(pixels: Frame, { width, height, top, left }: Window): Frame {
  if (width === pixels.width && height === pixels.height) return pixels;
  const out =
    pixels.data instanceof Float32Array ? new Float32Array(width * height * 3) : new Uint8Array(width * height * 3);
  const rowBytes = 3 * pixels.width;
  for (let row = 0; row < pixels.height; row++) {
    out.set(pixels.data.subarray(row * rowBytes, (row + 1) * rowBytes), 3 * ((top + row) * width + left));
  }
  return { width, height, data: out };
}

/**
 * First row or column of the crop; where it is larger than the picture, negative. torchvision rounds half the margin to even, and
 * puts an odd pixel to the right and below; transformers takes the floor (of what is missing too: the odd pixel goes left and above).
 */
function cropStart(size: number, crop: number, rule: FrameContract['cropRule']): number {
  const half = (size - crop) / 2;
  if (rule === 'floor') return Math.floor(half);
  return half < 0 ? Math.ceil(half) : roundEven(half);
}

/**
 * Writes (value * scale - mean) / std of each channel as planes.
 * @param out - [3, …]: the planes of channel c start at `c * channelStride + offset`
 */
export function normalizeInto(
  out: Float32Array,
  { data }: Frame,
  { scale, mean, std }: FrameContract,
  { channelStride, offset }: { channelStride: number; offset: number },
): void {
  for (let channel = 0; channel < 3; channel++) {
    if (data instanceof Float32Array) {
      const [centre, spread, unit] = [mean[channel], std[channel], 255 * scale].map(Math.fround);
      let at = channel * channelStride + offset;
      for (let from = channel; from < data.length; from += 3)
        out[at++] = Math.fround(Math.fround(data[from] * unit) - centre) / spread;
      continue;
    }
    const table = Float32Array.from({ length: 256 }, (_, value) => (value * scale - mean[channel]) / std[channel]);
    let to = channel * channelStride + offset;
    for (let from = channel; from < data.length; from += 3) out[to++] = table[data[from]];
  }
}
