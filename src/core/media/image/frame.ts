import type { Preprocess } from '../../onnx/manifest.js';
import type { Pixels } from './pixels.js';
import { resize, type Window } from './resample.js';

/** What the contract says of a picture or of the frames of a clip. */
export type FrameContract = Extract<Preprocess, { kind: 'image' | 'video' }>;

/** Resizes and crops, in this order, as torchvision's `Resize` and `CenterCrop` do with a PIL image. */
export function fitFrame(pixels: Pixels, { resize: target, crop }: FrameContract): Pixels {
  const [height, width] = target.exact ?? shorterSideTo(pixels, target.shorterSide);
  const options = { width, height, kernel: target.kernel, antialias: target.antialias };
  if (crop === null) return resize(pixels, options);
  const [cropHeight, cropWidth] = crop;
  const top = cropStart(height, cropHeight);
  const left = cropStart(width, cropWidth);
  const window = {
    top: Math.max(0, top),
    left: Math.max(0, left),
    height: Math.min(height, cropHeight),
    width: Math.min(width, cropWidth),
  };
  const inside = resize(pixels, options, window);
  return pad(inside, { width: cropWidth, height: cropHeight, top: window.top - top, left: window.left - left });
}

/** [height, width] of equal aspect; the longer side is rounded down, as torchvision does. */
function shorterSideTo({ width, height }: Pixels, side: number | undefined): readonly [number, number] {
  if (side === undefined) return [height, width];
  return width <= height ? [Math.trunc((side * height) / width), side] : [side, Math.trunc((side * width) / height)];
}

/** Puts a picture at a place in a larger one that is black elsewhere. */
function pad(pixels: Pixels, { width, height, top, left }: Window): Pixels {
  if (width === pixels.width && height === pixels.height) return pixels;
  const out = new Uint8Array(width * height * 3);
  const rowBytes = 3 * pixels.width;
  for (let row = 0; row < pixels.height; row++) {
    out.set(pixels.data.subarray(row * rowBytes, (row + 1) * rowBytes), 3 * ((top + row) * width + left));
  }
  return { width, height, data: out };
}

/** First row or column of the crop; where it is larger than the picture, negative, the odd pixel to the right and below. Halves go to the even number, as in Python. */
function cropStart(size: number, crop: number): number {
  const half = (size - crop) / 2;
  if (half < 0) return Math.ceil(half);
  return Math.abs(half % 1) === 0.5 ? 2 * Math.round(half / 2) : half;
}

/**
 * Writes (value * scale - mean) / std of each channel as planes.
 * @param out - [3, …]: the planes of channel c start at `c * channelStride + offset`
 */
export function normalizeInto(
  out: Float32Array,
  { data }: Pixels,
  { scale, mean, std }: FrameContract,
  { channelStride, offset }: { channelStride: number; offset: number },
): void {
  for (let channel = 0; channel < 3; channel++) {
    const table = Float32Array.from({ length: 256 }, (_, value) => (value * scale - mean[channel]) / std[channel]);
    let to = channel * channelStride + offset;
    for (let from = channel; from < data.length; from += 3) out[to++] = table[data[from]];
  }
}
