import type { JsonObject, JsonValue } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import type { Preprocess } from '../onnx/manifest.js';
import { valueAt } from './option-reader.js';

/** What a contract says of a picture. */
export type PictureContract = Extract<Preprocess, { kind: 'image' }>;
type Kernel = PictureContract['resize']['kernel'];
type Triple = [number, number, number];

/** OpenAI's statistics of the pictures CLIP was trained on. */
export const CLIP_STATISTICS: { readonly mean: Triple; readonly std: Triple } = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};

/** Pillow's numbers of its kernels, by which preprocessor_config.json names them. */
const PILLOW_KERNELS: Readonly<Record<number, Kernel>> = { 0: 'nearest', 1: 'lanczos3', 2: 'bilinear', 3: 'bicubic' };

/** The shorter side to `size`, a square of the middle, as torchvision prepares pictures for CLIP. */
export const centreCropped = (size: number, statistics = CLIP_STATISTICS): PictureContract => ({
  kind: 'image',
  color: 'RGB',
  transparency: 'drop',
  palette: 'nearest', // it resizes before it converts
  resize: { shorterSide: size, kernel: 'bicubic', antialias: true, passes: 'cheaper-first' },
  crop: [size, size],
  scale: 1 / 255,
  ...statistics,
  layout: 'NCHW',
});

/** `size` x `size`, whatever the picture's aspect. */
export const squeezed = (
  size: number,
  statistics: { readonly mean: Triple; readonly std: Triple },
): PictureContract => ({
  ...centreCropped(size, statistics),
  resize: { exact: [size, size], kernel: 'bicubic', antialias: true, passes: 'cheaper-first' },
  crop: null,
});

const NAME = 'preprocessor_config.json';

/**
 * What a preprocessor_config.json says, in the words of a contract; what it leaves out is as in `usual`.
 * @throws HpsError CONFIG_INVALID for what is not understood
 */
export function pictureOf(config: JsonObject, usual: PictureContract): PictureContract {
  const flag = (key: string): boolean => config[key] !== false;
  const crop = flag('do_center_crop') && usual.crop ? sides(config.crop_size ?? null, 'crop_size') : null;
  const { palette: _, ...converted } = usual; // transformers converts before it resizes
  return {
    ...converted,
    resize: flag('do_resize') ? resizeOf(config, usual) : { kernel: usual.resize.kernel, antialias: true },
    crop: crop ?? (flag('do_center_crop') ? usual.crop : null),
    cropRule: 'floor',
    scale: flag('do_rescale') ? number(config.rescale_factor ?? usual.scale, 'rescale_factor') : 1,
    mean: flag('do_normalize') ? triple(config.image_mean ?? usual.mean, 'image_mean') : [0, 0, 0],
    std: flag('do_normalize') ? triple(config.image_std ?? usual.std, 'image_std') : [1, 1, 1],
  };
}

function resizeOf(config: JsonObject, { resize }: PictureContract): PictureContract['resize'] {
  const code = config.resample ?? null;
  const kernel = code === null ? resize.kernel : PILLOW_KERNELS[code as number];
  if (kernel === undefined) throw invalid(`resample ${JSON.stringify(code)} is not one of 0, 1, 2, 3`);
  const pillow = { kernel, antialias: true, passes: 'cheaper-first' as const };
  const { size = null } = config;
  if (size === null) return { ...resize, kernel };
  const shortest = typeof size === 'number' && resize.exact === undefined ? size : valueAt(size, 'shortest_edge');
  if (typeof shortest === 'number') return { ...pillow, shorterSide: positive(shortest, 'size.shortest_edge') };
  return { ...pillow, exact: sides(size, 'size') ?? undefined };
}

/** [height, width] of 224, {height, width} or {shortest_edge}; null for nothing. */
function sides(value: JsonValue, key: string): [number, number] | null {
  if (value === null) return null;
  if (typeof value === 'number') return [positive(value, key), positive(value, key)];
  const [height, width] = [valueAt(value, 'height'), valueAt(value, 'width')];
  return [positive(height, `${key}.height`), positive(width, `${key}.width`)];
}

function positive(value: JsonValue | undefined, key: string): number {
  if (Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= MAX_SIDE) return value as number;
  throw invalid(`${key} must be a positive integer of at most ${MAX_SIDE}, not ${JSON.stringify(value)}`);
}

/** Far beyond the pictures any model takes. */
const MAX_SIDE = 65_536;

function number(value: JsonValue, key: string): number {
  if (typeof value === 'number') return value;
  throw invalid(`${key} must be a number, not ${JSON.stringify(value)}`);
}

function triple(value: JsonValue, key: string): Triple {
  if (Array.isArray(value) && value.length === 3) return value.map((each) => number(each, key)) as Triple;
  throw invalid(`${key} must be a list of three numbers, not ${JSON.stringify(value)}`);
}

const invalid = (rule: string): HpsError =>
  new HpsError('CONFIG_INVALID', `${NAME}: ${rule}`, {
    hint: 'Correct the file beside the checkpoint, or move the checkpoint away from it.',
    details: { file: NAME },
  });
