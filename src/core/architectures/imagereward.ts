import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/graph-core.js';
import { TOKENIZER_KEY } from '../onnx/manifest-names.js';
import type { TensorInfos } from './architecture.js';
import { ACTIVATION_NAMES, type ActivationName } from './blocks/activations.js';
import type { AttentionOptions } from './blocks/attention.js';
import { column, type LinearStep, linearSteps } from './blocks/heads.js';
import { keyMask } from './blocks/masks.js';
import type { Norm } from './blocks/norms.js';
import { patchEmbedding, patchesOf, prependToken } from './blocks/patches.js';
import { firstToken, readAt } from './blocks/pooling.js';
import { learntPositions } from './blocks/positions.js';
import { stack, transformerBlock } from './blocks/transformer.js';
import { architectureOf, type FamilyContext } from './family.js';
import type { PublishedShape } from './option-reader.js';
import { centreCropped } from './picture.js';
import { axisOf, modulesOf } from './readings.js';

// ImageReward (THUDM): BLIP's vision transformer, BERT with cross-attention to its tokens, and a chain of linear layers.

interface Tower {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
}

interface ImageRewardOptions {
  readonly vision: Tower & { readonly imageSize: number; readonly patchSize: number };
  readonly text: Tower & {
    readonly vocabSize: number;
    readonly positions: number;
    readonly pad: number;
    readonly activation: ActivationName;
    readonly norm: Norm;
  };
  readonly head: readonly LinearStep[];
}

const VISION = 'blip.visual_encoder.';
const TEXT = 'blip.text_encoder.';
const WORDS = `${TEXT}embeddings.word_embeddings.weight`;
const LAYERS = `${TEXT}encoder.layer.`;
const HEAD = 'mlp.layers.';
/** timm's VisionTransformer. */
const VISION_NORM: Norm = { kind: 'layer', epsilon: 1e-6 };
/** The package cuts and fills texts to it. */
const MAX_TOKENS = 35;
/** Mean and standard deviation of the raw reward, constants of the package (ImageReward.py). */
const MEAN = 0.16717362830052426;
const SPREAD = 1.0333394966054072;

/** The published model: nothing in its files tells the heads of its vision transformer. */
const PUBLISHED: readonly PublishedShape[] = [
  {
    name: 'ImageReward-v1.0',
    sizes: { 'vision width': 1024, 'vision layers': 24, 'text width': 768, 'text layers': 12 },
    options: { 'vision heads': 16, 'image size': 224, 'text heads': 12, 'padding id': 0 },
  },
];

export const imageReward = architectureOf<ImageRewardOptions>({
  id: 'imagereward',
  label: 'ImageReward (BLIP with a reward head)',
  recognise: (tensors) =>
    tensors.has(`${VISION}cls_token`) &&
    tensors.has(`${LAYERS}0.crossattention.self.query.weight`) &&
    tensors.has(`${HEAD}0.weight`),
  modalities: () => ['image-text'],

  configs({ beside, configs }) {
    const med = beside.json('med_config.json');
    return [...(med ? [{ config: med, origin: 'med_config.json' }] : []), ...configs];
  },
  options(reader) {
    const { tensors } = reader;
    const size = (name: string, key: string, axis: number, keys: string[]): number =>
      reader.size(name, { tensor: axisOf(tensors, key, axis), keys });
    const vision = {
      width: size('vision width', `${VISION}cls_token`, 2, ['vit.width']),
      layers: reader.size('vision layers', { tensor: modulesOf(tensors, `${VISION}blocks.`), keys: ['vit.depth'] }),
      inner: size('vision inner width', `${VISION}blocks.0.mlp.fc1.weight`, 0, []),
      patchSize: size('patch size', `${VISION}patch_embed.proj.weight`, 2, ['vit.patch_size']),
    };
    const text = {
      width: size('text width', WORDS, 1, ['hidden_size']),
      layers: reader.size('text layers', { tensor: modulesOf(tensors, LAYERS), keys: ['num_hidden_layers'] }),
      inner: size('text inner width', `${LAYERS}0.intermediate.dense.weight`, 0, ['intermediate_size']),
      vocabSize: size('vocabulary', WORDS, 0, ['vocab_size']),
      positions: size('text positions', `${TEXT}embeddings.position_embeddings.weight`, 0, ['max_position_embeddings']),
    };
    reader.lookUp(PUBLISHED);
    const imageSize = reader.size('image size', { keys: ['vit.image_size'] });
    const rows = axisOf(tensors, `${VISION}pos_embed`, 1);
    const places = patchesOf(imageSize, vision.patchSize) ** 2 + 1;
    if (rows && places !== rows.value) {
      const { from, value } = rows;
      reader.refuse(`pictures of ${imageSize} make ${places} tokens, but ${from} has places for ${value}`);
    }
    const options = {
      vision: { ...vision, imageSize, heads: reader.size('vision heads', { keys: ['vit.heads'] }) },
      text: {
        ...text,
        heads: reader.size('text heads', { keys: ['num_attention_heads'], otherwise: 12 }),
        pad: reader.size('padding id', { keys: ['pad_token_id'], otherwise: 0 }, 0),
        activation: reader.hasConfig
          ? reader.choice('text activation', ACTIVATION_NAMES, { keys: ['hidden_act'], otherwise: 'gelu' })
          : 'gelu',
        norm: {
          kind: 'layer' as const,
          epsilon: reader.hasConfig
            ? reader.number('layer_norm_eps', { keys: ['layer_norm_eps'], otherwise: 1e-12 }, 0)
            : 1e-12,
        },
      },
      head: headLayers(tensors),
    };
    reader.assertDivides('vision heads', 'vision width');
    reader.assertDivides('text heads', 'text width');
    return options;
  },

  inputs: ({ options: { vision, text } }) => [
    {
      name: 'pixel_values',
      dtype: 'F32',
      shape: ['batch', 3, vision.imageSize, vision.imageSize],
      preprocess: centreCropped(vision.imageSize),
    },
    {
      name: 'input_ids',
      dtype: 'I64',
      shape: ['batch', 'tokens'],
      preprocess: {
        kind: 'text',
        maxTokens: Math.min(MAX_TOKENS, text.positions),
        tokenizer: TOKENIZER_KEY,
        vocabSize: text.vocabSize,
        pad: text.pad,
        specialTokens: true,
      },
    },
    { name: 'attention_mask', dtype: 'I64', shape: ['batch', 'tokens'], preprocess: { kind: 'text-mask' } },
  ],

  encode(graph, { pixel_values, input_ids, attention_mask }, context) {
    const image = pictureTokens(graph, pixel_values, context);
    const text = textTokens(graph, input_ids, keyMask(graph, attention_mask), image, context);
    return { embedding: graph.cast(firstToken(graph, text), 'F32') };
  },

  embeddingWidth: ({ options: { text } }) => text.width,

  score(graph, embedding, { options: { head } }) {
    return graph.scope('head', () => {
      const raw = column(graph, linearSteps(graph, embedding, head), 0);
      const reward = graph.div(graph.sub(raw, graph.scalar(MEAN, 'F32')), graph.scalar(SPREAD, 'F32'));
      return [
        { name: 'utility_logit', value: reward, meaning: 'The reward, of mean 0 and spread 1 over the training data.' },
        { name: 'reward_raw', value: raw, meaning: 'The reward as the last layer gives it.' },
      ];
    });
  },

  ignored: () => [
    { names: /(^|\.)position_ids$/, reason: 'a buffer of numbers in order' },
    { names: /^blip\.(vision|text)_proj\./, reason: "a projection of BLIP's contrastive loss" },
  ],
  parityTolerance: 1e-4,
});

function pictureTokens(
  graph: GraphBuilder,
  pixels: Value,
  { options: { vision }, dtype }: FamilyContext<ImageRewardOptions>,
): Value {
  const { width, heads, inner, imageSize, patchSize } = vision;
  return graph.scope('vision', () => {
    const key = `${VISION}patch_embed.proj`;
    const patches = patchEmbedding(graph, graph.cast(pixels, dtype), { key, width, patchSize, bias: true });
    const places = patchesOf(imageSize, patchSize) ** 2 + 1;
    const classToken = graph.parameter(`${VISION}cls_token`, dtype, 'identity', [1, 1, width]);
    const positions = graph.parameter(`${VISION}pos_embed`, dtype, 'identity', [1, places, width]);
    const placed = graph.add(prependToken(graph, patches, classToken), positions);
    const seen = stack(graph, placed, { count: vision.layers, scope: 'blocks' }, (tokens, i) =>
      transformerBlock(graph, tokens, `${VISION}blocks.${i}.`, {
        place: 'pre',
        norm: VISION_NORM,
        norms: { attention: 'norm1', feedForward: 'norm2' },
        attention: {
          names: { qkv: 'attn.qkv', out: 'attn.proj' },
          heads,
          biases: { qkv: true, out: true },
          bias: null,
        },
        feedForward: { names: { up: 'mlp.fc1', down: 'mlp.fc2' }, activation: 'gelu', inner },
      }),
    );
    return graph.layerNorm(seen, `${VISION}norm`, VISION_NORM.epsilon);
  });
}

/** BERT whose layers read the picture's tokens between their own and the feed-forward; of the last, the first token alone. */
function textTokens(
  graph: GraphBuilder,
  ids: Value,
  mask: Value,
  image: Value,
  { options: { text }, dtype }: FamilyContext<ImageRewardOptions>,
): Value {
  const { width, heads, inner, activation, norm } = text;
  return graph.scope('text', () => {
    const table = (name: string, rows: number): Value =>
      graph.parameter(`${TEXT}embeddings.${name}.weight`, dtype, 'identity', [rows, width]);
    const words = graph.gather(table('word_embeddings', text.vocabSize), ids);
    const placed = graph.add(words, learntPositions(graph, table('position_embeddings', text.positions), ids));
    const embedded = graph.layerNorm(placed, `${TEXT}embeddings.LayerNorm`, norm.epsilon);
    const attention = (part: string, bias: Value | null, source?: Value): AttentionOptions => ({
      names: { q: `${part}.self.query`, k: `${part}.self.key`, v: `${part}.self.value`, out: `${part}.output.dense` },
      heads,
      biases: { qkv: true, out: true },
      bias,
      source,
    });
    const reads = readAt(graph, (x) => firstToken(graph, x));
    return stack(graph, embedded, { count: text.layers, scope: 'layer', reads }, (tokens, i, read) =>
      transformerBlock(graph, tokens, `${LAYERS}${i}.`, {
        place: 'post',
        norm,
        norms: { attention: 'attention.output.LayerNorm', feedForward: 'output.LayerNorm' },
        attention: attention('attention', mask),
        cross: { attention: attention('crossattention', null, image), norm: 'crossattention.output.LayerNorm' },
        feedForward: { names: { up: 'intermediate.dense', down: 'output.dense' }, activation, inner },
        scopes: { attention: 'attention', cross: 'crossattention', up: 'intermediate', down: 'output' },
        reads: read,
      }),
    );
  });
}

/** The linear layers of the head in their order; between them stand dropouts and no activations. */
function headLayers(tensors: TensorInfos): LinearStep[] {
  const indices = [...tensors.keys()].flatMap((name) => {
    const index = name.startsWith(HEAD) ? /^(\d{1,3})\.weight$/.exec(name.slice(HEAD.length))?.[1] : undefined;
    return index === undefined ? [] : [Number(index)];
  });
  return indices
    .sort((a, b) => a - b)
    .map((index) => ({
      key: HEAD + index,
      outputs: tensors.get(`${HEAD}${index}.weight`)?.shape[0] ?? 1,
      bias: true,
    }));
}
