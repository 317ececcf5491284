import { basename } from 'node:path';
import { isJsonObject, type JsonObject, type JsonValue } from '../bytes/json.js';
import type { Checkpoint, CheckpointConfig } from '../checkpoint/checkpoint.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/graph-core.js';
import type { ContractInput, Modality } from '../onnx/manifest.js';
import { TOKENIZER_KEY } from '../onnx/manifest-names.js';
import { numel } from '../tensor/shape.js';
import { parseOptions, type TensorInfos } from './architecture.js';
import { ACTIVATION_NAMES, type ActivationName } from './blocks/activations.js';
import type { Reads } from './blocks/attention.js';
import { innerProduct, TORCH_NORM_FLOOR, unitLength } from './blocks/heads.js';
import { causalMask } from './blocks/masks.js';
import type { Norm } from './blocks/norms.js';
import { patchEmbedding, patchesOf, prependToken } from './blocks/patches.js';
import { atFirstOf, atHighestId, firstToken, readAt } from './blocks/pooling.js';
import { learntPositions } from './blocks/positions.js';
import { type BlockOptions, stack, type Tower, transformerBlock } from './blocks/transformer.js';
import { architectureOf, type FamilyContext, type IgnoredRule } from './family.js';
import type { OptionReader, PublishedShape } from './option-reader.js';
import { centreCropped, type PictureContract, pictureOf, squeezed } from './picture.js';
import { axisOf, modulesOf } from './readings.js';

/** Names of the state dict: those of transformers' CLIPModel, or of open_clip, which OpenAI's own code has too. */
interface Names {
  readonly text: TowerNames & { readonly words: string; readonly pooledNorm: string };
  readonly vision: TowerNames & {
    readonly classToken: string;
    readonly patches: string;
    readonly firstNorm: string;
    readonly pooledNorm: string;
  };
  readonly block: Pick<BlockOptions, 'norms'> & {
    readonly attention: BlockOptions['attention']['names'];
    readonly feedForward: BlockOptions['feedForward']['names'];
    /** The narrow end of the feed-forward that shows its inner width. */
    readonly inner: string;
  };
}

interface TowerNames {
  readonly layers: string;
  readonly positions: string;
  readonly projection: string;
}

const TRANSFORMERS: Names = {
  text: {
    layers: 'text_model.encoder.layers.',
    words: 'text_model.embeddings.token_embedding.weight',
    positions: 'text_model.embeddings.position_embedding.weight',
    pooledNorm: 'text_model.final_layer_norm',
    projection: 'text_projection.weight',
  },
  vision: {
    layers: 'vision_model.encoder.layers.',
    classToken: 'vision_model.embeddings.class_embedding',
    patches: 'vision_model.embeddings.patch_embedding',
    positions: 'vision_model.embeddings.position_embedding.weight',
    firstNorm: 'vision_model.pre_layrnorm',
    pooledNorm: 'vision_model.post_layernorm',
    projection: 'visual_projection.weight',
  },
  block: {
    norms: { attention: 'layer_norm1', feedForward: 'layer_norm2' },
    attention: {
      q: 'self_attn.q_proj',
      k: 'self_attn.k_proj',
      v: 'self_attn.v_proj',
      out: 'self_attn.out_proj',
    },
    feedForward: { up: 'mlp.fc1', down: 'mlp.fc2' },
    inner: 'mlp.fc1.weight',
  },
};

const OPEN_CLIP: Names = {
  text: {
    layers: 'transformer.resblocks.',
    words: 'token_embedding.weight',
    positions: 'positional_embedding',
    pooledNorm: 'ln_final',
    projection: 'text_projection',
  },
  vision: {
    layers: 'visual.transformer.resblocks.',
    classToken: 'visual.class_embedding',
    patches: 'visual.conv1',
    positions: 'visual.positional_embedding',
    firstNorm: 'visual.ln_pre',
    pooledNorm: 'visual.ln_post',
    projection: 'visual.proj',
  },
  block: {
    norms: { attention: 'ln_1', feedForward: 'ln_2' },
    attention: { qkv: 'attn.in_proj', out: 'attn.out_proj' },
    feedForward: { up: 'mlp.c_fc', down: 'mlp.c_proj' },
    inner: 'mlp.c_fc.weight',
  },
};

interface ClipOptions {
  readonly layout: 'transformers' | 'open_clip';
  readonly names: Names;
  readonly embeddingWidth: number;
  readonly text: Tower & { readonly vocabSize: number; readonly positions: number };
  readonly vision: Tower & { readonly imageSize: number; readonly patchSize: number };
  /** Id of the token a text is read at, its first occurrence; null for the highest id of the row. */
  readonly endOfText: number | null;
  readonly scaleShape: readonly number[];
  readonly picture: PictureContract;
}

const layoutOf = (tensors: TensorInfos): ClipOptions['layout'] | null => {
  if (tensors.has('vision_model.pre_layrnorm.weight') && tensors.has('visual_projection.weight')) return 'transformers';
  return tensors.has('visual.conv1.weight') && tensors.has('visual.proj') && tensors.has('visual.ln_pre.weight')
    ? 'open_clip'
    : null;
};

const hasText = (tensors: TensorInfos): boolean =>
  tensors.has(TRANSFORMERS.text.words) || tensors.has(OPEN_CLIP.text.words);

const RECIPES = ['transformers', 'open-clip', 'hpsv2', 'hpsv2-no-antialias'] as const;
/** `preprocess`: how pictures are prepared, where it is not as the files say. */
const OPTIONS = { preprocess: RECIPES };

/** CLIP's joint score of a picture and its text: PickScore, HPSv2, CLIP score, and all that is trained as they are. */
export const clip = architectureOf<ClipOptions>({
  id: 'clip',
  label: 'CLIP in the layout of transformers or open_clip (PickScore, HPSv2, CLIP score)',
  recognise: (tensors) => layoutOf(tensors) !== null,
  modalities: (tensors) => (hasText(tensors) ? ['image-text', 'image', 'text'] : ['image']),
  exportOptions: OPTIONS,

  configs: (checkpoint) =>
    layoutOf(checkpoint.tensors) === 'open_clip' ? openClipConfigs(checkpoint) : checkpoint.configs,
  normalizeConfig: (config) => withOldSections(modelSection(config)),
  options: (reader, checkpoint, request) =>
    readOptions(reader, checkpoint, parseOptions('clip', OPTIONS, request.options).preprocess),

  inputs: ({ options: { text, vision, picture, endOfText }, modality }) => {
    const { imageSize } = vision;
    const inputs: ContractInput[] = [];
    if (modality !== 'text')
      inputs.push({
        name: 'pixel_values',
        dtype: 'F32',
        shape: ['batch', 3, imageSize, imageSize],
        preprocess: picture,
      });
    if (modality !== 'image') {
      const end = endOfText ?? text.vocabSize - 1;
      const hasEnd = end < text.vocabSize;
      inputs.push({
        name: 'input_ids',
        dtype: 'I64',
        shape: ['batch', 'tokens'],
        preprocess: {
          kind: 'text',
          maxTokens: text.positions,
          tokenizer: TOKENIZER_KEY,
          vocabSize: text.vocabSize,
          pad: hasEnd ? end : 0, // causal, and read before the padding: any id will do that does not end a text earlier
          specialTokens: true,
          ...(hasEnd ? { end } : {}),
          addedTokens: [],
        },
      });
    }
    return inputs;
  },

  encode(graph, inputs, context) {
    const { modality } = context;
    const image = modality === 'text' ? null : imageEmbedding(graph, inputs.pixel_values, context);
    const text = modality === 'image' ? null : textEmbedding(graph, inputs.input_ids, context);
    if (!image || !text) return { embedding: (image ?? text) as Value };
    const floor = context.options.layout === 'open_clip' ? TORCH_NORM_FLOOR : 0;
    return {
      embedding: graph.concat([unitLength(graph, image, floor), unitLength(graph, text, floor)], 1),
      outputs: [
        { name: 'image_embedding', value: image, meaning: 'Projection of the picture, of any length.' },
        { name: 'text_embedding', value: text, meaning: 'Projection of the text, of any length.' },
      ],
    };
  },

  embeddingWidth: ({ options: { embeddingWidth }, modality }) =>
    modality === 'image-text' ? 2 * embeddingWidth : embeddingWidth,

  score(graph, embedding, { options, modality }) {
    if (modality !== 'image-text') return null;
    const [image, text] = graph.split(embedding, 1, 2);
    const cosine = innerProduct(graph, image, text);
    const isScaled = options.layout === 'transformers';
    const scale = isScaled ? graph.exp(graph.parameter('logit_scale', 'F32', 'identity', options.scaleShape)) : null;
    return [
      {
        name: 'utility_logit',
        value: scale ? graph.mul(cosine, scale) : cosine,
        meaning: isScaled ? 'The cosine times exp(logit_scale).' : 'The cosine of picture and text.',
      },
      { name: 'cosine', value: cosine, meaning: 'The cosine of picture and text.', range: [-1, 1] },
    ];
  },

  ignored: ignoredRules,
  warnings: ({ options: { endOfText, text }, modality }) =>
    modality === 'image' || endOfText === null || endOfText < text.vocabSize
      ? []
      : [`No text has the token ${endOfText} that ends one: each is read at its first token, as the package does too.`],
  parityTolerance: 1e-4,
});

function imageEmbedding(graph: GraphBuilder, pixels: Value, { options, dtype }: FamilyContext<ClipOptions>): Value {
  const { names, vision, embeddingWidth } = options;
  const { width, imageSize, patchSize, norm } = vision;
  return graph.scope('vision', () => {
    const places = patchesOf(imageSize, patchSize) ** 2 + 1;
    const patches = patchEmbedding(graph, graph.cast(pixels, dtype), {
      key: names.vision.patches,
      width,
      patchSize,
      bias: false,
    });
    const classToken = graph.parameter(names.vision.classToken, dtype, 'identity', [width]);
    const positions = graph.parameter(names.vision.positions, dtype, 'identity', [places, width]);
    const placed = graph.add(prependToken(graph, patches, classToken), positions);
    const tokens = graph.layerNorm(placed, names.vision.firstNorm, norm.epsilon);
    const reads = readAt(graph, (x) => firstToken(graph, x));
    const seen = blocks(graph, tokens, names.vision.layers, names, vision, { bias: null, reads });
    const pooled = graph.layerNorm(firstToken(graph, seen), names.vision.pooledNorm, norm.epsilon);
    return projected(graph, pooled, names.vision.projection, embeddingWidth);
  });
}

function textEmbedding(graph: GraphBuilder, ids: Value, { options, dtype }: FamilyContext<ClipOptions>): Value {
  const { names, text, embeddingWidth, endOfText } = options;
  const { width, norm } = text;
  return graph.scope('text', () => {
    const words = graph.gather(graph.parameter(names.text.words, dtype, 'identity', [text.vocabSize, width]), ids);
    const table = graph.parameter(names.text.positions, dtype, 'identity', [text.positions, width]);
    const tokens = graph.add(words, learntPositions(graph, table, ids));
    const reads = readAt(graph, (x) =>
      endOfText === null ? atHighestId(graph, x, ids) : atFirstOf(graph, x, ids, endOfText),
    );
    const bias = causalMask(graph, ids);
    const read = blocks(graph, tokens, names.text.layers, names, text, { bias, reads });
    const pooled = graph.layerNorm(firstToken(graph, read), names.text.pooledNorm, norm.epsilon);
    return projected(graph, pooled, names.text.projection, embeddingWidth);
  });
}

function blocks(
  graph: GraphBuilder,
  x: Value,
  layers: string,
  { block }: Names,
  { layers: count, heads, inner, activation, norm }: Tower,
  { bias, reads }: { readonly bias: Value | null; readonly reads: Reads },
): Value {
  return stack(graph, x, { count, scope: 'layers', reads }, (tokens, i, read) =>
    transformerBlock(graph, tokens, `${layers}${i}.`, {
      place: 'pre',
      norm,
      norms: block.norms,
      attention: { names: block.attention, heads, biases: { qkv: true, out: true }, bias },
      feedForward: { names: block.feedForward, activation, inner, bias: true },
      reads: read,
    }),
  );
}

/** transformers stores a projection [outputs, inputs], as a linear layer; open_clip its transpose. */
const projected = (graph: GraphBuilder, x: Value, key: string, outputs: number): Value =>
  key.endsWith('.weight')
    ? graph.linear(x, key.slice(0, -'.weight'.length), { outputs, bias: false })
    : graph.project(x, key, outputs);

/** open_clip_config.json beside the checkpoint, then what else there is. */
function openClipConfigs({ beside, configs }: Checkpoint): CheckpointConfig[] {
  const own = beside.json('open_clip_config.json');
  return [...(own ? [{ config: own, origin: 'open_clip_config.json' }] : []), ...configs.filter(isOfOpenClip)];
}

/** A config.json beside weights in open_clip's layout may be that of the same model in transformers' layout: it does not count. */
const isOfOpenClip = ({ config }: CheckpointConfig): boolean => 'model_cfg' in config || 'vision_cfg' in config;

const modelSection = (config: JsonObject): JsonObject => (isJsonObject(config.model_cfg) ? config.model_cfg : config);

/** Old files say a tower twice; `text_config_dict` then counts, the class's defaults for what it leaves out included. */
function withOldSections(config: JsonObject): JsonObject {
  const section = (name: string): JsonValue | undefined => {
    const old = config[`${name}_dict`];
    return isJsonObject(old) ? old : config[name];
  };
  const sections = ['text_config', 'vision_config'].map((name) => [name, section(name)] as const);
  return { ...config, ...Object.fromEntries(sections.filter(([, value]) => value !== undefined)) } as JsonObject;
}

/** Published models without a configuration of their own. Heads and activations stand in no tensor. */
const PUBLISHED: readonly PublishedShape[] = [
  {
    name: 'ViT-H-14 (HPSv2, HPSv2.1, LAION CLIP H/14)',
    sizes: { 'vision width': 1280, 'vision layers': 32, 'text width': 1024, 'text layers': 24 },
    options: { 'vision head width': 80, 'text heads': 16, 'image size': 224, 'quick gelu': false },
  },
  {
    name: 'ViT-g-14 (LAION CLIP g/14)',
    sizes: { 'vision width': 1408, 'vision layers': 40, 'text width': 1024, 'text layers': 24 },
    options: { 'vision head width': 88, 'text heads': 16, 'image size': 224, 'quick gelu': false },
  },
  {
    name: 'ViT-bigG-14 (LAION CLIP bigG/14)',
    sizes: { 'vision width': 1664, 'vision layers': 48, 'text width': 1280, 'text layers': 32 },
    options: { 'vision head width': 104, 'text heads': 20, 'image size': 224, 'quick gelu': false },
  },
];

function readOptions(
  reader: OptionReader,
  checkpoint: Checkpoint,
  recipe: (typeof RECIPES)[number] | undefined,
): ClipOptions {
  const { tensors } = reader;
  const layout = layoutOf(tensors) ?? 'transformers';
  const isOpen = layout === 'open_clip';
  const names = isOpen ? OPEN_CLIP : TRANSFORMERS;
  const [textKeys, visionKeys] = isOpen ? ['text_cfg', 'vision_cfg'] : ['text_config', 'vision_config'];
  if (!isOpen) reader.assertModelType('CLIP', ['clip', 'clip_vision_model']);
  const text = hasText(tensors);

  const visionWidth = reader.size('vision width', {
    tensor: axisOf(tensors, names.vision.classToken, 0),
    keys: [`${visionKeys}.${isOpen ? 'width' : 'hidden_size'}`],
  });
  const visionLayers = reader.size('vision layers', {
    tensor: modulesOf(tensors, names.vision.layers),
    keys: [`${visionKeys}.${isOpen ? 'layers' : 'num_hidden_layers'}`],
  });
  const textWidth = text
    ? reader.size('text width', {
        tensor: axisOf(tensors, names.text.words, 1),
        keys: [`${textKeys}.${isOpen ? 'width' : 'hidden_size'}`],
      })
    : 1;
  const textLayers = text
    ? reader.size('text layers', {
        tensor: modulesOf(tensors, names.text.layers),
        keys: [`${textKeys}.${isOpen ? 'layers' : 'num_hidden_layers'}`],
      })
    : 1;
  reader.lookUp(PUBLISHED);

  const embeddingWidth = reader.size('embedding width', {
    tensor: axisOf(tensors, names.vision.projection, isOpen ? 1 : 0),
    keys: [isOpen ? 'embed_dim' : 'projection_dim'],
    otherwise: isOpen ? undefined : 512,
  });
  const visionHeads = isOpen
    ? visionWidth / reader.size('vision head width', { keys: ['vision_cfg.head_width'], otherwise: 64 })
    : reader.size('vision heads', { keys: ['vision_config.num_attention_heads'], otherwise: 12 });
  if (isOpen) reader.assertDivides('vision head width', 'vision width');
  else reader.assertDivides('vision heads', 'vision width');
  const patchSize = reader.size('patch size', {
    tensor: axisOf(tensors, `${names.vision.patches}.weight`, 2),
    keys: [`${visionKeys}.patch_size`],
    otherwise: 32,
  });
  const imageSize = reader.size('image size', { keys: [`${visionKeys}.image_size`], otherwise: 224 });
  const rows = axisOf(tensors, names.vision.positions, 0);
  const places = patchesOf(imageSize, patchSize) ** 2 + 1;
  if (rows && places !== rows.value)
    reader.refuse(
      `pictures of ${imageSize} make ${places} tokens of patches of ${patchSize}, but ${rows.from} has places for ${rows.value}`,
    );

  const [visionActivation, textActivation] = isOpen ? quickOrNot(reader) : bothActivations(reader, text);
  const epsilon = (tower: string): Norm => ({
    kind: 'layer',
    epsilon: isOpen
      ? 1e-5
      : reader.number(`${tower} layer_norm_eps`, { keys: [`${tower}.layer_norm_eps`], otherwise: 1e-5 }, 0),
  });
  const inner = (tower: 'text' | 'vision', width: number): number =>
    reader.size(`${tower} inner width`, {
      tensor: axisOf(tensors, `${names[tower].layers}0.${names.block.inner}`, 0),
      keys: isOpen ? [] : [`${tower}_config.intermediate_size`],
      otherwise: 4 * width,
    });
  const vision = {
    width: visionWidth,
    layers: visionLayers,
    heads: visionHeads,
    inner: inner('vision', visionWidth),
    activation: visionActivation,
    norm: epsilon('vision_config'),
    imageSize,
    patchSize,
  };
  const words = text
    ? {
        heads: reader.size('text heads', {
          keys: isOpen ? ['text_cfg.heads'] : ['text_config.num_attention_heads'],
          otherwise: 8,
        }),
        inner: inner('text', textWidth),
        vocabSize: reader.size('vocabulary', {
          tensor: axisOf(tensors, names.text.words, 0),
          keys: [`${textKeys}.vocab_size`],
        }),
        positions: reader.size('text positions', {
          tensor: axisOf(tensors, names.text.positions, 0),
          keys: [`${textKeys}.${isOpen ? 'context_length' : 'max_position_embeddings'}`],
        }),
        norm: epsilon('text_config'),
      }
    : { heads: 1, inner: 1, vocabSize: 1, positions: 1, norm: vision.norm };
  reader.assertDivides('text heads', 'text width');
  const end = isOpen ? 2 : reader.size('end of text', { keys: ['text_config.eos_token_id'], otherwise: 49_407 }, 0);
  const logitScale = tensors.get('logit_scale')?.shape ?? [];
  return {
    layout,
    names,
    embeddingWidth,
    vision,
    text: { width: textWidth, layers: textLayers, activation: textActivation, ...words },
    endOfText: end === OLD_RULE ? null : end,
    scaleShape: numel(logitScale) === 1 ? logitScale : [],
    picture: pictureContract(checkpoint, layout, imageSize, reader, recipe),
  };
}

/** What early configurations give for the end of text: it stands for the rule before there was one, the highest id of the row. */
const OLD_RULE = 2;

function bothActivations(reader: OptionReader, text: boolean): [ActivationName, ActivationName] {
  const activation = (tower: string): ActivationName =>
    reader.choice(`${tower} activation`, ACTIVATION_NAMES, { keys: [`${tower}.hidden_act`], otherwise: 'quick_gelu' });
  const vision = activation('vision_config');
  return [vision, text ? activation('text_config') : vision];
}

function quickOrNot(reader: OptionReader): [ActivationName, ActivationName] {
  const activation = reader.flag('quick gelu', { keys: ['quick_gelu'], otherwise: false }) ? 'quick_gelu' : 'gelu';
  return [activation, activation];
}

/** The file that HPSv2 is published as: its package prepares pictures otherwise than open_clip, and nothing in it says so. */
const HPSV2_FILE = /^HPS_v\d/i;

function pictureContract(
  { beside, files }: Checkpoint,
  layout: ClipOptions['layout'],
  size: number,
  reader: OptionReader,
  recipe = layout === 'transformers'
    ? 'transformers'
    : HPSV2_FILE.test(basename(files[0] ?? ''))
      ? 'hpsv2'
      : 'open-clip',
): PictureContract {
  if (recipe === 'transformers') {
    const processor = beside.json('preprocessor_config.json');
    const picture = pictureOf(processor ?? {}, centreCropped(size));
    const made = picture.crop ?? picture.resize.exact;
    if (made?.some((side) => side !== size))
      reader.refuse(`image_size is ${size}, but preprocessor_config.json makes pictures of ${made.join(' x ')}`);
    return picture;
  }
  if (recipe === 'open-clip') return openClipPicture(size, reader, beside.json('open_clip_config.json'));
  const { palette: _, ...usual } = centreCropped(size);
  const antialias = recipe === 'hpsv2';
  return { ...usual, resize: { longestSide: size, kernel: 'bicubic', antialias, arithmetic: 'float' } };
}

function openClipPicture(size: number, reader: OptionReader, config: JsonObject | null): PictureContract {
  const section = isJsonObject(config?.preprocess_cfg) ? config.preprocess_cfg : {};
  const { mean, std } = pictureOf(
    { image_mean: section.mean ?? null, image_std: section.std ?? null },
    centreCropped(size),
  );
  const kernel = section.interpolation === 'bilinear' ? 'bilinear' : 'bicubic';
  const usual = centreCropped(size, { mean, std });
  switch (section.resize_mode ?? 'shortest') {
    case 'shortest':
      return { ...usual, resize: { ...usual.resize, kernel } };
    case 'squash':
      return {
        ...squeezed(size, { mean, std }),
        resize: { exact: [size, size], kernel, antialias: true, passes: 'cheaper-first' },
      };
    case 'longest':
      return { ...usual, resize: { longestSide: size, kernel, antialias: true, passes: 'cheaper-first' } };
    default:
      reader.refuse(`resize_mode ${JSON.stringify(section.resize_mode)} is not one of shortest, longest, squash`);
      return usual;
  }
}

function ignoredRules({ options: { layout }, modality }: FamilyContext<ClipOptions>): IgnoredRule[] {
  const isOpen = layout === 'open_clip';
  const text = isOpen
    ? /^(transformer\.|token_embedding\.|positional_embedding$|ln_final\.|text_projection$)/
    : /^text_/;
  const vision = isOpen ? /^visual\./ : /^(vision|visual)_/;
  const elsewhere = (names: RegExp, part: Modality): IgnoredRule => ({
    names,
    reason: `modality ${part} is not exported`,
  });
  return [
    { names: /(^|\.)position_ids$/, reason: 'a buffer of numbers in order' },
    { names: /^attn_mask$/, reason: 'a buffer: the causal mask' },
    { names: /^logit_scale$/, reason: 'the score of this layout is the plain cosine' },
    { names: /^logit_bias$/, reason: 'a constant of the training loss' },
    ...(modality === 'image' ? [elsewhere(text, 'text')] : []),
    ...(modality === 'text' ? [elsewhere(vision, 'image')] : []),
  ];
}
