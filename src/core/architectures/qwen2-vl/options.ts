import { isJsonObject, type JsonObject } from '../../bytes/json.js';
import type { TensorInfos } from '../architecture.js';
import { ACTIVATION_NAMES, type ActivationName } from '../blocks/activations.js';
import { type DecoderStackOptions, qwenWindows } from '../decoder.js';
import type { OptionReader, PublishedShape } from '../option-reader.js';
import type { PictureContract } from '../picture.js';
import { axisOf, modulesOf } from '../readings.js';

// Sizes of Qwen2-VL, transformers 4.57, configuration_qwen2_vl.py. Its reward models hand the decoder embeddings and no ids.

/** Before the names of the tensors of both towers. */
export interface Layout {
  readonly words: string;
  readonly vision: string;
}

/** transformers up to 4.51, as it is published, and since. */
const LAYOUTS: readonly Layout[] = [
  { words: 'model.', vision: 'visual.' },
  { words: 'model.language_model.', vision: 'model.visual.' },
];

export const patchKey = ({ vision }: Layout): string => `${vision}patch_embed.proj.weight`;
export const wordsKey = ({ words }: Layout): string => `${words}embed_tokens.weight`;

export const layoutOf = (tensors: TensorInfos): Layout | undefined =>
  LAYOUTS.find((layout) => tensors.has(patchKey(layout)) && tensors.has(wordsKey(layout)));

interface VisionOptions {
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly inner: number;
  readonly activation: ActivationName;
  readonly channels: number;
  readonly patch: NonNullable<PictureContract['patch']>;
}

/** Both towers and what joins them. */
export interface BackboneOptions {
  readonly layout: Layout;
  readonly vision: VisionOptions;
  readonly decoder: DecoderStackOptions;
  readonly hidden: number;
  readonly vocab: number;
  readonly maxTokens: number;
  readonly pad: number;
  /** Id of the token that stands for a square of merged patches. */
  readonly mediaToken: number;
}

/** What configurations of Qwen2-VL say of the published sizes, by the names they are read under. */
export const PUBLISHED_OPTIONS = {
  'the activation': 'silu',
  'the epsilon of the norms': 1e-6,
  'the base of positions': 1_000_000,
  'the number of positions': 32_768,
  'whether attention slides': false,
  'the heads of the vision tower': 16,
  'the activation of the vision tower': 'quick_gelu',
  'the merge of patches': 2,
  'the padding id': 151_643,
};

/** A configuration with the fields of the decoder at its top, where releases up to 4.51 have them. */
export function flatConfig(config: JsonObject): JsonObject {
  const text = config['text_config'];
  return isJsonObject(text) ? ({ ...config, ...text, model_type: config['model_type'] ?? null } as JsonObject) : config;
}

/** @param media - the token of pictures or clips: what it is called, its key, and what it is where a configuration says nothing */
export function backboneOptions(
  reader: OptionReader,
  published: readonly PublishedShape[],
  media: { readonly name: string; readonly key: string; readonly otherwise: number },
): BackboneOptions {
  const { tensors } = reader;
  const layout = layoutOf(tensors)!;
  reader.assertModelType('Qwen2-VL', ['qwen2_vl']);
  const hidden = reader.size('the hidden size', {
    tensor: axisOf(tensors, wordsKey(layout), 1),
    keys: ['hidden_size'],
  });
  const depth = reader.size('the number of layers', {
    tensor: modulesOf(tensors, `${layout.words}layers.`),
    keys: ['num_hidden_layers'],
  });
  const width = reader.size('the width of the vision tower', {
    tensor: axisOf(tensors, patchKey(layout), 0),
    keys: ['vision_config.embed_dim'],
  });
  reader.lookUp(published);
  return {
    layout,
    hidden,
    // The tensor counts: the vocabulary was cut to the tokens there are, those of rewards the last.
    vocab: axisOf(tensors, wordsKey(layout), 0)?.value ?? 1,
    vision: visionOptions(reader, layout, { width, hidden }),
    decoder: decoderOptions(reader, layout, { hidden, depth }),
    maxTokens: reader.size('the number of positions', { keys: ['max_position_embeddings'], otherwise: 32_768 }),
    pad: reader.size('the padding id', { keys: ['pad_token_id', 'bos_token_id'], otherwise: 151_643 }, 0),
    mediaToken: reader.size(media.name, { keys: [media.key], otherwise: media.otherwise }, 0),
  };
}

function decoderOptions(
  reader: OptionReader,
  layout: Layout,
  { hidden, depth }: { hidden: number; depth: number },
): DecoderStackOptions {
  const { tensors } = reader;
  const first = `${layout.words}layers.0.`;
  const heads = reader.size('the number of heads', { keys: ['num_attention_heads'], otherwise: 64 });
  const kvHeads = reader.size('the number of key heads', { keys: ['num_key_value_heads'], otherwise: 8 });
  reader.assertDivides('the number of heads', 'the hidden size');
  if (heads % kvHeads > 0) reader.refuse(`${kvHeads} key heads do not divide ${heads} heads`);
  const scaling = reader.raw('rope_parameters.rope_type', 'rope_scaling.rope_type', 'rope_scaling.type');
  // `mrope` has three axes of positions; the package gives the model embeddings and no ids, and all three then count tokens.
  if (scaling !== undefined && scaling !== null && scaling !== 'mrope' && scaling !== 'default')
    reader.refuse(`rotary positions of the kind ${JSON.stringify(scaling)} are not read: mrope and default are`);
  const headDim = Math.floor(hidden / heads);
  return {
    prefix: layout.words,
    depth,
    heads,
    kvHeads,
    headDim,
    inner: reader.size('the width of the feed-forward', {
      tensor: axisOf(tensors, `${first}mlp.up_proj.weight`, 0),
      keys: ['intermediate_size'],
    }),
    activation: reader.choice('the activation', ACTIVATION_NAMES, { keys: ['hidden_act'], otherwise: 'silu' }),
    norm: {
      kind: 'rms',
      epsilon: reader.number('the epsilon of the norms', { keys: ['rms_norm_eps'], otherwise: 1e-5 }, 0),
    },
    theta: reader.number(
      'the base of positions',
      { keys: ['rope_parameters.rope_theta', 'rope_theta'], otherwise: 1_000_000 },
      1,
    ),
    scaling: { kind: 'default' },
    windows: qwenWindows(reader, depth),
    scale: 1 / Math.sqrt(headDim),
    softCap: undefined,
    biases: { q: true, o: false, feedForward: false },
    headNorm: false,
  };
}

function visionOptions(
  reader: OptionReader,
  layout: Layout,
  { width, hidden }: { width: number; hidden: number },
): VisionOptions {
  const { tensors } = reader;
  const key = patchKey(layout);
  const { vision } = layout;
  const merged = axisOf(tensors, `${vision}merger.mlp.2.weight`, 0);
  if (merged && merged.value !== hidden) reader.refuse(`${merged.from} gives no tokens of width ${hidden}`);
  const options = {
    width,
    depth: reader.size('the layers of the vision tower', {
      tensor: modulesOf(tensors, `${vision}blocks.`),
      keys: ['vision_config.depth'],
      otherwise: 32,
    }),
    heads: reader.size('the heads of the vision tower', { keys: ['vision_config.num_heads'], otherwise: 16 }),
    inner: reader.size('the inner width of the vision tower', {
      tensor: axisOf(tensors, `${vision}blocks.0.mlp.fc1.weight`, 0),
    }),
    activation: reader.choice('the activation of the vision tower', ACTIVATION_NAMES, {
      keys: ['vision_config.hidden_act'],
      otherwise: 'quick_gelu',
    }),
    channels: reader.size('the channels of pictures', { tensor: axisOf(tensors, key, 1) }),
    patch: {
      size: reader.size('the size of patches', {
        tensor: axisOf(tensors, key, 3),
        keys: ['vision_config.patch_size'],
        otherwise: 14,
      }),
      merge: reader.size('the merge of patches', { keys: ['vision_config.spatial_merge_size'], otherwise: 2 }),
      frames: reader.size('the frames of patches', {
        tensor: axisOf(tensors, key, 2),
        keys: ['vision_config.temporal_patch_size'],
        otherwise: 2,
      }),
    },
  };
  reader.assertDivides('the heads of the vision tower', 'the width of the vision tower');
  if (options.channels !== 3) reader.refuse(`${key} reads ${options.channels} channels, pictures have 3`);
  return options;
}
