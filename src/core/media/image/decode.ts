import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import type { OutputInfo, default as Sharp } from 'sharp';
import { collectGarbage } from '../../bytes/garbage.js';
import { LIMITS } from '../../limits.js';
import { invalidMedia } from '../refusal.js';
import { Turnstile } from '../turnstile.js';
import { readBmp } from './bmp.js';
import { sniffImage } from './format.js';
import { OPAQUE, overWhite, type Pixels } from './pixels.js';

export interface DecodeOptions {
  /** Take the colour of what is transparent as it is stored, and alpha beside it. */
  readonly dropAlpha?: boolean;
}

/**
 * Decodes JPEG, PNG, WebP and BMP to 8-bit RGB, as Pillow's `exif_transpose(image).convert("RGB")` does, except for alpha:
 * - the EXIF orientation is applied; an embedded ICC profile is not;
 * - 16-bit samples keep their high byte; grey is repeated in three channels; CMYK is (255 - c)(255 - k) / 255;
 * - what is transparent lies over white, unless the colour that its author hid is asked for, which Pillow shows;
 * - of an animation the first frame counts.
 *
 * @param name - what errors call the picture
 * @throws HpsError MEDIA_INVALID for another format, a damaged or cut file, or more pixels than the limit
 */
export const decodeImage = (bytes: Uint8Array, name: string, options: DecodeOptions = {}): Promise<Pixels> =>
  decodeFor((pixels) => pixels, bytes, name, options);

/**
 * What `use` makes of a picture that is decoded as `decodeImage` does it. It must not hold on to the pixels: in a thread of its own,
 * those of a large picture are freed before the next one is decoded.
 */
export const withImage = <T>(
  bytes: Uint8Array,
  name: string,
  options: DecodeOptions,
  use: (pixels: Pixels) => T,
): Promise<T> => decodeFor(use, bytes, name, options, isMainThread ? undefined : collectGarbage);

/** @param letGo - called when a large picture was used */
async function decodeFor<T>(
  use: (pixels: Pixels) => T,
  bytes: Uint8Array,
  name: string,
  { dropAlpha = false }: DecodeOptions,
  letGo: () => void = () => undefined,
): Promise<T> {
  const format = sniffImage(bytes);
  if (format === null) {
    throw invalidMedia(name, 'is not a JPEG, PNG, WebP or BMP picture', 'Convert it to one of these.');
  }
  if (format === 'bmp') return use(readBmp(bytes, name, dropAlpha));
  const { area, decode } = await openWithVips(bytes, name, dropAlpha);
  const isIndexed = format === 'png' && isIndexedPng(bytes);
  const decoded = async (): Promise<T> => {
    const pixels = await decode();
    return use(isIndexed ? { ...pixels, isIndexed } : pixels);
  };
  return area < LARGE_PIXELS ? decoded() : large.run(() => decoded().finally(letGo));
}

/** Colour type 3 (a palette), or single bits: what Pillow opens in its modes P and 1. */
const isIndexedPng = (bytes: Uint8Array): boolean => bytes[25] === 3 || (bytes[25] === 0 && bytes[24] === 1);

interface Opened {
  /** In pixels. */
  readonly area: number;
  readonly decode: () => Promise<Pixels>;
}

async function openWithVips(bytes: Uint8Array, name: string, dropAlpha: boolean): Promise<Opened> {
  const open = await loadSharp();
  const refuse = (cause: unknown): never => {
    const rule = `cannot be decoded: ${vipsRule(cause)}`;
    throw invalidMedia(name, rule, 'Open it in an image program and save it again.', cause);
  };
  try {
    const image = open(bytes, {
      failOn: 'error', // cut and damaged files; what libjpeg only warns of passes, as in Pillow
      limitInputPixels: LIMITS.imagePixels,
      autoOrient: true,
      ignoreIcc: true,
      sequentialRead: true, // no second copy of all pixels within libvips
    });
    const { space: stored, width, height } = await image.metadata();
    const isCmyk = stored === 'cmyk';
    const space = isCmyk ? 'cmyk' : 'srgb'; // left to itself, libvips would use a profile of its own
    if (isCmyk) image.pipelineColourspace(space);
    const raw = () => image.toColourspace(space).raw().toBuffer({ resolveWithObject: true });
    const decode = async (): Promise<Pixels> => {
      const { data, info } = await raw().catch(refuse);
      return isCmyk ? cmykToRgb(data, info) : toRgb(data, info, dropAlpha);
    };
    return { area: width * height, decode };
  } catch (cause) {
    return refuse(cause);
  }
}

/** Pictures of so many pixels are decoded one after the other in a thread: several at once would be what takes the most memory. */
const LARGE_PIXELS = 4_000_000;
const large = new Turnstile(1);

let loading: Promise<typeof Sharp> | undefined;

/** Set once the loaders of libvips are chosen; threads that are started later inherit it. */
const CHOSEN = 'hpsv3.image-loaders';

/**
 * sharp, allowed to open the three formats only: its other loaders (SVG, GIF, TIFF, PDF, …) follow links or are rarely tested.
 * Call it before threads that decode are started: the choice is the whole process's, and making it again would get in the
 * way of what other threads are decoding.
 */
export function loadSharp(): Promise<typeof Sharp> {
  loading ??= import('sharp').then(({ default: open }) => {
    open.cache(false); // pictures are decoded once
    open.concurrency(1); // pictures are decoded beside each other; more threads in one only wait for each other
    if (getEnvironmentData(CHOSEN) === true) return open;
    open.block({ operation: ['VipsForeignLoad'] });
    open.unblock({
      operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer'],
    });
    setEnvironmentData(CHOSEN, true);
    return open;
  });
  return loading;
}

/** The first line of what libvips says, without its class names. */
const vipsRule = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n')[0].trim();

function cmykToRgb(data: Uint8Array, { width, height }: OutputInfo): Pixels {
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < out.length; from += 4, to += 3) {
    const light = 255 - data[from + 3];
    for (let c = 0; c < 3; c++) out[to + c] = light - Math.round((data[from + c] * light) / 255);
  }
  return { width, height, data: out };
}

/** Raw samples of 1 (grey), 2 (grey, alpha), 3 or 4 (RGB, alpha) channels as RGB, what is transparent over white. */
function toRgb(data: Uint8Array, { width, height, channels }: OutputInfo, dropAlpha: boolean): Pixels {
  if (channels === 3) return { width, height, data };
  const out = new Uint8Array(width * height * 3);
  const colours = channels > 2 ? 3 : 1;
  const hasAlpha = !dropAlpha && (channels === 2 || channels === 4);
  for (let from = 0, to = 0; to < out.length; from += channels, to += 3) {
    const alpha = hasAlpha ? data[from + colours] : OPAQUE;
    for (let c = 0; c < 3; c++) out[to + c] = overWhite(data[from + (c % colours)], alpha);
  }
  if (!dropAlpha || channels === 1) return { width, height, data: out };
  const alpha = new Uint8Array(width * height).map((_, i) => data[i * channels + colours]);
  return { width, height, data: out, ...(alpha.every((value) => value === OPAQUE) ? {} : { alpha }) };
}
