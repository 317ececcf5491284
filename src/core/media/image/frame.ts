import type { Preprocess } from '../../onnx/manifest.js';
import type { Pixels } from './pixels.js';
import { resize } from './resample.js';

/** What the contract says of a picture or of the frames of a clip. */
export type FrameContract = Extract<Preprocess, { kind: 'image' | 'video' }>;

/** Resizes and crops, in this order, as torchvision's `Resize` and `CenterCrop` do with a PIL image. */
export function fitFrame(pixels: Pixels, { resize: target, crop }: FrameContract): Pixels {
  const [height, width] = target.exact ?? shorterSideTo(pixels, target.shorterSide);
  const resized = resize(pixels, { width, height, kernel: target.kernel, antialias: target.antialias });
  return crop ? centerCrop(resized, crop) : resized;
}

/** [height, width] of equal aspect; the longer side is rounded down, as torchvision does. */
function shorterSideTo({ width, height }: Pixels, side: number | undefined): readonly [number, number] {
  if (side === undefined) return [height, width];
  return width <= height ? [Math.trunc((side * height) / width), side] : [side, Math.trunc((side * width) / height)];
}

/** Where the picture is smaller than the crop, black fills up, the odd pixel to the right and below. */
function centerCrop({ width, height, data }: Pixels, [cropHeight, cropWidth]: readonly [number, number]): Pixels {
  if (width === cropWidth && height === cropHeight) return { width, height, data };
  const top = cropStart(height, cropHeight);
  const left = cropStart(width, cropWidth);
  const firstColumn = Math.max(0, left);
  const lastColumn = Math.min(width, left + cropWidth);
  const out = new Uint8Array(cropWidth * cropHeight * 3);
  for (let row = Math.max(0, top); row < Math.min(height, top + cropHeight); row++) {
    const from = data.subarray(3 * (row * width + firstColumn), 3 * (row * width + lastColumn));
    out.set(from, 3 * ((row - top) * cropWidth + firstColumn - left));
  }
  return { width: cropWidth, height: cropHeight, data: out };
}

/** First row or column of the crop; negative where it is larger than the picture. Halves go to the even number, as in Python. */
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
