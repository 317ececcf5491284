import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/graph-core.js';
import type { ContractInput } from '../onnx/manifest.js';
import { TOKENIZER_KEY } from '../onnx/manifest-names.js';
import type { TensorInfos } from './architecture.js';
import { ACTIVATION_NAMES } from './blocks/activations.js';
import type { Reads } from './blocks/attention.js';
import { innerProduct, unitLength } from './blocks/heads.js';
import { patchEmbedding, patchesOf } from './blocks/patches.js';
import { lastToken, probePooling, readAt } from './blocks/pooling.js';
import { learntPositions } from './blocks/positions.js';
import { feedForward, stack, type Tower, transformerBlock } from './blocks/transformer.js';
import { architectureOf, type FamilyContext } from './family.js';
import type { OptionReader } from './option-reader.js';
import { type PictureContract, pictureOf, squeezed } from './picture.js';
import { axisOf, modulesOf } from './readings.js';

interface SiglipOptions {
  readonly vision: Tower & { readonly imageSize: number; readonly patchSize: number };
  /** Null for a file with the vision tower alone. */
  readonly text: (Tower & { readonly vocabSize: number; readonly positions: number; readonly pad: number }) | null;
  readonly picture: PictureContract;
}

const WORDS = 'text_model.embeddings.token_embedding.weight';
const PATCHES = 'vision_model.embeddings.patch_embedding';
const PROBE = 'vision_model.head.probe';
const STATISTICS = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } satisfies Pick<PictureContract, 'mean' | 'std'>;

const hasText = (tensors: TensorInfos): boolean => tensors.has(WORDS);

/** SigLIP: its joint score of a picture and a text, or its embeddings for a head of another file (aesthetic-predictor-v2.5). */
export const siglip = architectureOf<SiglipOptions>({
  id: 'siglip',
  label: 'SigLIP in the layout of transformers',
  recognise: (tensors) => tensors.has(PROBE) && tensors.has(`${PATCHES}.bias`),
  modalities: (tensors) => (hasText(tensors) ? ['image-text', 'image', 'text'] : ['image']),

  options(reader, { beside }) {
    reader.assertModelType('SigLIP', ['siglip', 'siglip_vision_model']);
    const vision = tower(reader, 'vision', `${PATCHES}.weight`, 0);
    const patchSize = reader.size('patch size', {
      tensor: axisOf(reader.tensors, `${PATCHES}.weight`, 2),
      keys: ['vision_config.patch_size'],
      otherwise: 16,
    });
    const imageSize = reader.size('image size', { keys: ['vision_config.image_size'], otherwise: 224 });
    const picture = pictureOf(beside.json('preprocessor_config.json') ?? {}, squeezed(imageSize, STATISTICS));
    const made = picture.crop ?? picture.resize.exact;
    if (made?.some((side) => side !== imageSize))
      reader.refuse(`image_size is ${imageSize}, but preprocessor_config.json makes pictures of ${made.join(' x ')}`);
    return { vision: { ...vision, imageSize, patchSize }, text: textOptions(reader), picture };
  },

  inputs({ options: { vision, text, picture }, modality }) {
    const shape = ['batch', 3, vision.imageSize, vision.imageSize];
    const inputs: ContractInput[] =
      modality === 'text' ? [] : [{ name: 'pixel_values', dtype: 'F32', shape, preprocess: picture }];
    if (modality === 'image' || !text) return inputs;
    return [
      ...inputs,
      {
        name: 'input_ids',
        dtype: 'I64',
        shape: ['batch', text.positions], // read at the last place, and no mask hides the padding: always full
        preprocess: {
          kind: 'text',
          maxTokens: text.positions,
          length: text.positions,
          tokenizer: TOKENIZER_KEY,
          vocabSize: text.vocabSize,
          pad: text.pad,
          specialTokens: true,
        },
      },
    ];
  },

  encode(graph, inputs, context) {
    const image = context.modality === 'text' ? null : pictureEmbedding(graph, inputs.pixel_values, context);
    const text = context.modality === 'image' ? null : textEmbedding(graph, inputs.input_ids, context);
    if (!image || !text) return { embedding: (image ?? text) as Value };
    return {
      embedding: graph.concat([unitLength(graph, image, 0), unitLength(graph, text, 0)], 1),
      outputs: [
        { name: 'image_embedding', value: image, meaning: 'Pooled picture, of any length.' },
        { name: 'text_embedding', value: text, meaning: 'Projection of the text, of any length.' },
      ],
    };
  },

  embeddingWidth: ({ options: { vision }, modality }) => (modality === 'image-text' ? 2 : 1) * vision.width,

  score(graph, embedding, { modality }) {
    if (modality !== 'image-text') return null;
    const [image, text] = graph.split(embedding, 1, 2);
    const cosine = innerProduct(graph, image, text);
    const constant = (name: string): Value => graph.parameter(name, 'F32', 'identity', [1]);
    const logit = graph.add(graph.mul(cosine, graph.exp(constant('logit_scale'))), constant('logit_bias'));
    return [
      { name: 'utility_logit', value: logit, meaning: 'The cosine times exp(logit_scale), plus logit_bias.' },
      { name: 'cosine', value: cosine, meaning: 'The cosine of picture and text.', range: [-1, 1] },
    ];
  },

  ignored: ({ modality }) => [
    { names: /(^|\.)position_ids$/, reason: 'a buffer of numbers in order' },
    ...(modality === 'image'
      ? [{ names: /^(text_model\.|logit_(scale|bias)$)/, reason: 'modality text is not exported' }]
      : []),
    ...(modality === 'text'
      ? [{ names: /^(vision_model\.|logit_(scale|bias)$)/, reason: 'modality image is not exported' }]
      : []),
  ],
  parityTolerance: 1e-4,
});

function pictureEmbedding(
  graph: GraphBuilder,
  pixels: Value,
  { options: { vision }, dtype }: FamilyContext<SiglipOptions>,
) {
  const { width, imageSize, patchSize, norm, heads, inner, activation } = vision;
  return graph.scope('vision', () => {
    const patches = patchEmbedding(graph, graph.cast(pixels, dtype), { key: PATCHES, width, patchSize, bias: true });
    const key = 'vision_model.embeddings.position_embedding.weight';
    const positions = graph.parameter(key, dtype, 'identity', [patchesOf(imageSize, patchSize) ** 2, width]);
    const seen = blocks(graph, graph.add(patches, positions), 'vision', vision);
    const normed = graph.layerNorm(seen, 'vision_model.post_layernorm', norm.epsilon);
    const pooled = probePooling(graph, normed, PROBE, 'vision_model.head.attention', heads);
    const deeper = feedForward(
      graph,
      graph.layerNorm(pooled, 'vision_model.head.layernorm', norm.epsilon),
      'vision_model.head.',
      {
        names: { up: 'mlp.fc1', down: 'mlp.fc2' },
        activation,
        inner,
      },
    );
    return graph.add(pooled, deeper);
  });
}

function textEmbedding(
  graph: GraphBuilder,
  ids: Value,
  { options: { text, vision }, dtype }: FamilyContext<SiglipOptions>,
) {
  if (!text) throw new RangeError('a file without a text tower has no text modality');
  return graph.scope('text', () => {
    const words = graph.gather(graph.parameter(WORDS, dtype, 'identity', [text.vocabSize, text.width]), ids);
    const key = 'text_model.embeddings.position_embedding.weight';
    const table = graph.parameter(key, dtype, 'identity', [text.positions, text.width]);
    const reads = readAt(graph, (x) => lastToken(graph, x));
    const read = blocks(graph, graph.add(words, learntPositions(graph, table, ids)), 'text', text, reads);
    const last = graph.layerNorm(lastToken(graph, read), 'text_model.final_layer_norm', text.norm.epsilon);
    return graph.linear(last, 'text_model.head', { outputs: vision.width, bias: true });
  });
}

function blocks(graph: GraphBuilder, x: Value, name: 'text' | 'vision', tower: Tower, reads?: Reads): Value {
  return stack(graph, x, { count: tower.layers, scope: 'layers', reads }, (tokens, i, read) =>
    transformerBlock(graph, tokens, `${name}_model.encoder.layers.${i}.`, {
      place: 'pre',
      norm: tower.norm,
      norms: { attention: 'layer_norm1', feedForward: 'layer_norm2' },
      attention: {
        names: { q: 'self_attn.q_proj', k: 'self_attn.k_proj', v: 'self_attn.v_proj', out: 'self_attn.out_proj' },
        heads: tower.heads,
        biases: { qkv: true, out: true },
        bias: null,
      },
      feedForward: { names: { up: 'mlp.fc1', down: 'mlp.fc2' }, activation: tower.activation, inner: tower.inner },
      reads: read,
    }),
  );
}

/** A tower's sizes; what a configuration leaves out is as in SiglipVisionConfig and SiglipTextConfig. */
function tower(reader: OptionReader, name: 'text' | 'vision', widthKey: string, widthAxis: number): Tower {
  const { tensors } = reader;
  const keys = (key: string): string[] => [`${name}_config.${key}`];
  const layers = `${name}_model.encoder.layers.`;
  const options = {
    width: reader.size(`${name} width`, {
      tensor: axisOf(tensors, widthKey, widthAxis),
      keys: keys('hidden_size'),
      otherwise: 768,
    }),
    layers: reader.size(`${name} layers`, {
      tensor: modulesOf(tensors, layers),
      keys: keys('num_hidden_layers'),
      otherwise: 12,
    }),
    heads: reader.size(`${name} heads`, { keys: keys('num_attention_heads'), otherwise: 12 }),
    inner: reader.size(`${name} inner width`, {
      tensor: axisOf(tensors, `${layers}0.mlp.fc1.weight`, 0),
      keys: keys('intermediate_size'),
      otherwise: 3072,
    }),
    activation: reader.choice(`${name} activation`, ACTIVATION_NAMES, {
      keys: keys('hidden_act'),
      otherwise: 'gelu_pytorch_tanh',
    }),
    norm: {
      kind: 'layer' as const,
      epsilon: reader.number(`${name} layer_norm_eps`, { keys: keys('layer_norm_eps'), otherwise: 1e-6 }, 0),
    },
  };
  reader.assertDivides(`${name} heads`, `${name} width`);
  return options;
}

function textOptions(reader: OptionReader): SiglipOptions['text'] {
  if (!hasText(reader.tensors)) return null;
  return {
    ...tower(reader, 'text', WORDS, 1),
    vocabSize: reader.size('vocabulary', {
      tensor: axisOf(reader.tensors, WORDS, 0),
      keys: ['text_config.vocab_size'],
      otherwise: 32_000,
    }),
    positions: reader.size('text positions', {
      tensor: axisOf(reader.tensors, 'text_model.embeddings.position_embedding.weight', 0),
      keys: ['text_config.max_position_embeddings'],
      otherwise: 64,
    }),
    pad: reader.size('padding id', { keys: ['text_config.pad_token_id'], otherwise: 1 }, 0),
  };
}
