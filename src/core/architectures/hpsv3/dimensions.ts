import type { JsonValue } from '../../bytes/json.js';
import { didYouMean } from '../../bytes/suggest.js';
import { HpsError } from '../../errors.js';
import type { TensorInfos } from '../architecture.js';
import { type Reading as AnyReading, axisOf, countModules, describeTensor, modulesOf } from '../readings.js';

/** The towers a checkpoint may have, in the order of the fusion's modality embedding. */
export const TOWERS = ['image', 'text', 'audio', 'video'] as const;
export type Tower = (typeof TOWERS)[number];

/** State-dict prefix of each tower. */
export const TOWER_PREFIX: Readonly<Record<Tower, string>> = {
  image: 'visual.',
  text: 'text.',
  audio: 'audio.',
  video: 'video.',
};

/** Sizes of the model, under the names of the PyTorch configuration, so that a config.json of either side is read as it is. */
export interface Dimensions {
  readonly hidden_dim: number;
  readonly image_size: number;
  readonly resnet_layers: readonly number[];
  readonly resnet_planes: number;
  readonly visual_blocks: number;
  readonly visual_heads: number;
  readonly vocab_size: number;
  readonly text_layers: number;
  readonly text_hidden: number;
  readonly text_heads: number;
  readonly text_intermediate: number;
  readonly text_positions: number;
  readonly n_fft: number;
  readonly hop: number;
  readonly n_mels: number;
  readonly audio_channels: readonly number[];
  readonly audio_blocks: number;
  readonly audio_heads: number;
  readonly video_frames: number;
  readonly video_size: number;
  readonly video_channels: readonly number[];
  readonly video_blocks: number;
  readonly video_heads: number;
  readonly fusion_latents: number;
  readonly fusion_layers: number;
  readonly fusion_heads: number;
  /** Width of the product of two modalities that is added to their embedding; 0, or not given, for none. */
  readonly fusion_match?: number;
  readonly quality_classes: number;
}

export type DimensionName = keyof Dimensions;

/** Which sizes each part of the model needs. */
const NEEDED: Readonly<Record<Tower | 'fusion' | 'head', readonly DimensionName[]>> = {
  image: ['image_size', 'resnet_layers', 'resnet_planes', 'visual_blocks', 'visual_heads'],
  text: ['vocab_size', 'text_layers', 'text_hidden', 'text_heads', 'text_intermediate', 'text_positions'],
  audio: ['n_fft', 'hop', 'n_mels', 'audio_channels', 'audio_blocks', 'audio_heads'],
  video: ['video_frames', 'video_size', 'video_channels', 'video_blocks', 'video_heads'],
  fusion: ['fusion_latents', 'fusion_layers', 'fusion_heads', 'fusion_match'],
  head: ['quality_classes'],
};

export const dimensionsOf = (part: Tower | 'fusion' | 'head'): readonly DimensionName[] => NEEDED[part];

/** Sizes that no tensor shows: how many heads share an attention's width, and the hop of the spectrogram. */
const UNTOLD: ReadonlySet<DimensionName> = new Set([
  'visual_heads',
  'text_heads',
  'audio_heads',
  'video_heads',
  'fusion_heads',
  'hop',
]);

/** Sizes of parts that a model may lack: 0 where nothing tells them. */
const OPTIONAL: ReadonlySet<DimensionName> = new Set(['fusion_match']);

/** No size of a real model comes near it; it keeps products of sizes exact. */
const MAX_SIZE = 100_000_000;

type Tensors = TensorInfos;

/** How each size is read off the tensors: the value, and the tensor that shows it. Undefined where that tensor is absent. */
type Reading = AnyReading<number | readonly number[]> | undefined;

/** First axis of `name(0)`, `name(1)`, … as long as they exist. */
function widths(tensors: Tensors, name: (index: number) => string, first: readonly string[] = []): Reading {
  const found: number[] = [];
  const names = [...first];
  for (let i = 0; tensors.has(name(i)); i++) names.push(name(i));
  for (const each of names) {
    const tensor = tensors.get(each);
    if (!tensor || tensor.shape.length === 0) return undefined;
    found.push(tensor.shape[0]);
  }
  return found.length > 0 ? { value: found, from: `the first axes of ${names.join(', ')}` } : undefined;
}

/** Side of a square grid of positions [1, side * side, D], in units of `pixelsPerSide`. */
function gridSide(tensors: Tensors, name: string, pixelsPerSide: number): Reading {
  const tensor = tensors.get(name);
  const side = Math.sqrt(tensor?.shape[1] ?? Number.NaN);
  return tensor && Number.isInteger(side) ? { value: side * pixelsPerSide, from: describeTensor(tensor) } : undefined;
}

const READINGS: Readonly<Partial<Record<DimensionName, (tensors: Tensors) => Reading>>> = {
  hidden_dim: (t) => axisOf(t, 'fusion.norm.weight', 0) ?? axisOf(t, 'head.abs1.weight', 1),
  image_size: (t) => gridSide(t, 'visual.pos', 32),
  resnet_layers: (t) => ({
    value: [1, 2, 3, 4].map((stage) => countModules(t, `visual.trunk.layer${stage}.`)),
    from: 'the modules visual.trunk.layer1.* to layer4.*',
  }),
  resnet_planes: (t) => axisOf(t, 'visual.trunk.conv1.weight', 0),
  visual_blocks: (t) => modulesOf(t, 'visual.blocks.'),
  vocab_size: (t) => axisOf(t, 'text.bert.embeddings.word_embeddings.weight', 0),
  text_hidden: (t) => axisOf(t, 'text.bert.embeddings.word_embeddings.weight', 1),
  text_positions: (t) => axisOf(t, 'text.bert.embeddings.position_embeddings.weight', 0),
  text_layers: (t) => modulesOf(t, 'text.bert.encoder.layer.'),
  text_intermediate: (t) => axisOf(t, 'text.bert.encoder.layer.0.intermediate.dense.weight', 0),
  n_fft: (t) => axisOf(t, 'audio.dft_cos', 2),
  n_mels: (t) => axisOf(t, 'audio.mel', 0),
  audio_channels: (t) => widths(t, (i) => `audio.convs.${i}.weight`),
  audio_blocks: (t) => modulesOf(t, 'audio.blocks.'),
  video_channels: (t) => widths(t, (i) => `video.stages.${i}.weight`, ['video.stem.weight']),
  video_size: (t) => gridSide(t, 'video.space_pos', 2 ** (1 + countModules(t, 'video.stages.'))),
  video_frames: (t) => {
    const rows = axisOf(t, 'video.time_pos', 1);
    return rows && { value: 2 * (rows.value as number), from: rows.from };
  },
  video_blocks: (t) => modulesOf(t, 'video.space.'),
  fusion_latents: (t) => axisOf(t, 'fusion.latents', 1),
  fusion_layers: (t) => modulesOf(t, 'fusion.layers.'),
  fusion_match: (t) => axisOf(t, 'fusion.match.left.weight', 0),
  quality_classes: (t) => axisOf(t, 'head.quality.weight', 0),
};

const sameSize = (a: JsonValue | undefined, b: number | readonly number[]): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

/** Stands for a size whose tensor is missing: it fits every shape, and the missing tensor is reported by name. */
export const UNKNOWN_SIZE = Number.NaN;

const LISTS: ReadonlySet<DimensionName> = new Set(['resnet_layers', 'audio_channels', 'video_channels']);

/** Width that an attention divides among its heads. */
const HEAD_WIDTH: Readonly<Partial<Record<DimensionName, DimensionName>>> = {
  visual_heads: 'hidden_dim',
  text_heads: 'text_hidden',
  audio_heads: 'hidden_dim',
  video_heads: 'hidden_dim',
  fusion_heads: 'hidden_dim',
};

/** Depths that may be 0: a tower then has its convolutions or embeddings alone. */
const DEPTHS: ReadonlySet<DimensionName> = new Set(['visual_blocks', 'text_layers', 'audio_blocks', 'video_blocks']);

const mayBeZero = (name: DimensionName): boolean => DEPTHS.has(name) || OPTIONAL.has(name);

const isCount = (value: unknown, least = 1): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= MAX_SIZE;

/** What is wrong with a size read from a configuration or tensor, or null. */
function sizeProblem(
  name: DimensionName,
  sizes: Partial<Record<DimensionName, number | readonly number[]>>,
): string | null {
  const value = sizes[name];
  if (LISTS.has(name)) {
    return Array.isArray(value) && value.every((size) => isCount(size))
      ? null
      : `${name} must be a list of positive integers, not ${JSON.stringify(value)}`;
  }
  if (!isCount(value, mayBeZero(name) ? 0 : 1))
    return `${name} must be a positive integer, not ${JSON.stringify(value)}`;
  const width = HEAD_WIDTH[name] && sizes[HEAD_WIDTH[name]];
  if (typeof width === 'number' && width % (value as number) > 0)
    return `${name} ${value} does not divide ${HEAD_WIDTH[name]} ${width}`;
  return null;
}

export interface ConfigSource {
  readonly config: Readonly<Record<string, JsonValue>> | null;
  readonly origin: string | null;
}

/**
 * The sizes the given parts need: from the tensors where they show them, else from the first configuration that has them.
 * @throws HpsError CONFIG_INVALID where a configuration contradicts the tensors or two configurations each other (all
 *   contradictions at once, both sides named), or where a size no tensor shows is in no configuration
 */
export function readDimensions(
  tensors: Tensors,
  parts: readonly (Tower | 'fusion' | 'head')[],
  sources: readonly ConfigSource[],
): Dimensions {
  const result: Partial<Record<DimensionName, number | readonly number[]>> = {};
  const contradictions: string[] = [];
  const missing: DimensionName[] = [];

  for (const name of ['hidden_dim' as const, ...parts.flatMap((part) => NEEDED[part])]) {
    const claims: { value: number | readonly number[]; from: string }[] = [];
    const reading = READINGS[name]?.(tensors);
    if (reading) claims.push(reading);
    for (const { config, origin } of sources) {
      const value = config?.[name];
      if (value === undefined || value === null) continue;
      claims.push({ value: value as number | readonly number[], from: origin ?? 'the configuration' });
    }
    const [first] = claims;
    if (!first) {
      if (UNTOLD.has(name)) missing.push(name);
      result[name] = LISTS.has(name) ? [] : OPTIONAL.has(name) ? 0 : UNKNOWN_SIZE;
      continue;
    }
    for (const other of claims.slice(1)) {
      if (!sameSize(other.value as JsonValue, first.value)) {
        contradictions.push(
          `${name} is ${JSON.stringify(first.value)} by ${first.from} but ${JSON.stringify(other.value)} by ${other.from}`,
        );
      }
    }
    result[name] = first.value;
    const problem = sizeProblem(name, result);
    if (problem) contradictions.push(`${problem} (${first.from})`);
  }

  if (contradictions.length > 0) {
    throw new HpsError('CONFIG_INVALID', `the configuration contradicts the checkpoint: ${contradictions.join('; ')}`, {
      hint: 'Give the configuration the checkpoint was trained with by `config`.',
      details: { contradictions },
    });
  }
  if (missing.length > 0) {
    throw new HpsError('CONFIG_INVALID', `the tensors do not tell ${missing.join(', ')}, and no configuration does`, {
      hint: `Put a config.json beside the checkpoint or give \`config\` FILE with: ${missing.join(', ')}.`,
      details: { missing },
    });
  }
  return result as unknown as Dimensions;
}

/** Keys of the PyTorch configuration: the sizes, and those that no tensor has. */
export const CONFIG_KEYS: readonly string[] = [
  'name',
  'modalities',
  'dropout',
  'hidden_dim',
  ...Object.values(NEEDED).flat(),
];

/** Unknown keys that are named. */
const MAX_UNKNOWN = 10;

/**
 * All sizes of a model that does not exist yet, for the towers its configuration lists (all four by default).
 * @throws HpsError CONFIG_INVALID naming every missing, unknown and impossible key at once
 */
export function parseDimensions(config: Readonly<Record<string, JsonValue>>): {
  dimensions: Dimensions;
  towers: Tower[];
} {
  const listed = config.modalities ?? [...TOWERS];
  const towers = TOWERS.filter((tower) => Array.isArray(listed) && listed.includes(tower));
  const parts = [...towers, 'fusion', 'head'] as const;
  const names: DimensionName[] = ['hidden_dim', ...parts.flatMap((part) => NEEDED[part])];
  const sizes = config as Partial<Record<DimensionName, number | readonly number[]>>;
  const unknown = Object.keys(config).filter((key) => !CONFIG_KEYS.includes(key));
  const problems = [
    ...(Array.isArray(listed) && towers.length === listed.length && towers.length > 0
      ? []
      : [`modalities must be a list of ${TOWERS.join(', ')}, not ${JSON.stringify(listed)}`]),
    ...names.flatMap((name) =>
      sizes[name] !== undefined
        ? (sizeProblem(name, sizes) ?? gridProblem(name, sizes) ?? [])
        : OPTIONAL.has(name)
          ? []
          : [`${name} is missing`],
    ),
    ...unknown.slice(0, MAX_UNKNOWN).map((key) => `${key} is not known (${didYouMean(key, CONFIG_KEYS)})`),
    ...(unknown.length > MAX_UNKNOWN ? [`${unknown.length - MAX_UNKNOWN} more keys are not known`] : []),
  ];
  if (problems.length > 0) {
    throw new HpsError('CONFIG_INVALID', `the model section is not usable: ${problems.join('; ')}`, {
      hint: 'Start from configs/hpsv3_nano.yaml or configs/hpsv3_base.yaml.',
      details: { problems },
    });
  }
  return { dimensions: config as unknown as Dimensions, towers };
}

/** Sizes that strides must divide, so that a table of positions covers what the convolutions leave. */
function gridProblem(
  name: DimensionName,
  sizes: Partial<Record<DimensionName, number | readonly number[]>>,
): string | null {
  const channels = sizes.video_channels;
  const divisor = {
    image_size: 32,
    video_frames: 2,
    video_size: Array.isArray(channels) ? 2 ** channels.length : 1,
    hidden_dim: 2,
  }[name as string];
  const value = sizes[name] as number;
  if (name === 'resnet_layers' && (sizes[name] as readonly number[]).length !== 4)
    return 'resnet_layers must have four stages';
  return divisor && value % divisor > 0 ? `${name} ${value} is not a multiple of ${divisor}` : null;
}
