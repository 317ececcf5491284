import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { TensorInfos } from '../architecture.js';
import { ACTIVATION_NAMES, type ActivationName } from '../blocks/activations.js';
import type { Reads } from '../blocks/attention.js';
import { keyMask } from '../blocks/masks.js';
import { type Norm, normalize } from '../blocks/norms.js';
import { learntPositions, positionsAfterPadding, relativeBuckets, relativeTable } from '../blocks/positions.js';
import { stack, transformerBlock } from '../blocks/transformer.js';
import type { IgnoredRule } from '../family.js';
import type { OptionReader } from '../option-reader.js';
import { axisOf, modulesOf } from '../readings.js';
import type { EncoderText } from './text-inputs.js';

// BERT and the encoders that differ from it in names, positions and the head of their classifier: transformers 4.57,
// modeling_bert.py, modeling_roberta.py, modeling_distilbert.py, modeling_electra.py, modeling_mpnet.py.

/** A layer between the first token and the classifier. */
export interface PoolStep {
  readonly key: string;
  readonly activation: ActivationName;
}

/** How an encoder names its parts, in state dicts and in configurations. */
export interface Layout {
  readonly id: string;
  /** The encoder by its own name. */
  readonly name: string;
  readonly modelTypes: readonly string[];
  readonly prefix: string;
  /** Prefix of the blocks, their number aside. */
  readonly layers: string;
  readonly block: {
    readonly q: string;
    readonly k: string;
    readonly v: string;
    readonly out: string;
    readonly attentionNorm: string;
    readonly up: string;
    readonly down: string;
    readonly feedForwardNorm: string;
  };
  readonly keys: {
    readonly hidden: string;
    readonly heads: string;
    readonly depth: string;
    readonly inner: string;
    readonly activation: string;
  };
  /** `padding`: counted from the padding id, over tokens that are not padding. */
  readonly positions: 'absolute' | 'padding';
  /** Table of biases by the distance of two tokens, its prefix aside: T5's places, beside the positions. */
  readonly distances?: string;
  readonly padDefault: number;
  readonly pool: PoolStep;
  readonly classifier: string;
}

const BERT_BLOCK = {
  q: 'attention.self.query',
  k: 'attention.self.key',
  v: 'attention.self.value',
  out: 'attention.output.dense',
  attentionNorm: 'attention.output.LayerNorm',
  up: 'intermediate.dense',
  down: 'output.dense',
  feedForwardNorm: 'output.LayerNorm',
} as const;

const BERT_KEYS = {
  hidden: 'hidden_size',
  heads: 'num_attention_heads',
  depth: 'num_hidden_layers',
  inner: 'intermediate_size',
  activation: 'hidden_act',
} as const;

export const LAYOUTS: readonly Layout[] = [
  {
    id: 'bert',
    name: 'BERT',
    modelTypes: ['bert'],
    prefix: 'bert.',
    layers: 'encoder.layer.',
    block: BERT_BLOCK,
    keys: BERT_KEYS,
    positions: 'absolute',
    padDefault: 0,
    pool: { key: 'bert.pooler.dense', activation: 'tanh' },
    classifier: 'classifier',
  },
  {
    id: 'roberta',
    name: 'RoBERTa or XLM-RoBERTa',
    modelTypes: ['roberta', 'xlm-roberta', 'xlm-roberta-xl', 'camembert'],
    prefix: 'roberta.',
    layers: 'encoder.layer.',
    block: BERT_BLOCK,
    keys: BERT_KEYS,
    positions: 'padding',
    padDefault: 1,
    pool: { key: 'classifier.dense', activation: 'tanh' },
    classifier: 'classifier.out_proj',
  },
  {
    id: 'distilbert',
    name: 'DistilBERT',
    modelTypes: ['distilbert'],
    prefix: 'distilbert.',
    layers: 'transformer.layer.',
    block: {
      q: 'attention.q_lin',
      k: 'attention.k_lin',
      v: 'attention.v_lin',
      out: 'attention.out_lin',
      attentionNorm: 'sa_layer_norm',
      up: 'ffn.lin1',
      down: 'ffn.lin2',
      feedForwardNorm: 'output_layer_norm',
    },
    keys: { hidden: 'dim', heads: 'n_heads', depth: 'n_layers', inner: 'hidden_dim', activation: 'activation' },
    positions: 'absolute',
    padDefault: 0,
    pool: { key: 'pre_classifier', activation: 'relu' },
    classifier: 'classifier',
  },
  {
    id: 'electra',
    name: 'ELECTRA',
    modelTypes: ['electra'],
    prefix: 'electra.',
    layers: 'encoder.layer.',
    block: BERT_BLOCK,
    keys: BERT_KEYS,
    positions: 'absolute',
    padDefault: 0,
    pool: { key: 'classifier.dense', activation: 'gelu' },
    classifier: 'classifier.out_proj',
  },
  {
    id: 'mpnet',
    name: 'MPNet',
    modelTypes: ['mpnet'],
    prefix: 'mpnet.',
    layers: 'encoder.layer.',
    block: {
      ...BERT_BLOCK,
      q: 'attention.attn.q',
      k: 'attention.attn.k',
      v: 'attention.attn.v',
      out: 'attention.attn.o',
      attentionNorm: 'attention.LayerNorm',
    },
    keys: BERT_KEYS,
    positions: 'padding',
    padDefault: 1,
    distances: 'encoder.relative_attention_bias.weight',
    pool: { key: 'classifier.dense', activation: 'tanh' },
    classifier: 'classifier.out_proj',
  },
];

/** What an encoder is built by. */
export interface EncoderOptions extends EncoderText {
  readonly depth: number;
  readonly hidden: number;
  readonly heads: number;
  readonly inner: number;
  readonly activation: ActivationName;
  readonly epsilon: number;
  /** Rows of the tables of positions and of token types; no types: 0. */
  readonly positions: number;
  readonly typeRows: number;
  /** Width of the embeddings, where they are projected to `hidden`. */
  readonly embedding: number;
}

/** What lies beside an encoder and no model uses. */
export const UNUSED: readonly IgnoredRule[] = [
  { names: /(^|\.)position_ids$/, reason: 'a buffer that counts positions' },
  {
    names: /^(cls|lm_head|vocab_transform|vocab_layer_norm|vocab_projector|discriminator_predictions|generator_)/,
    reason: 'the head of the pretraining',
  },
];

/** Where the tensors of an encoder lie, its prefix (which a model without a head does not have) included. */
export const placesOf = (layout: Layout, prefix: string) => ({
  words: `${prefix}embeddings.word_embeddings.weight`,
  layers: `${prefix}${layout.layers}`,
});

/** Whether the tensors are those of the encoder, by its words and the first block. */
export const holdsEncoder = (tensors: TensorInfos, layout: Layout, prefix: string): boolean => {
  const { words, layers } = placesOf(layout, prefix);
  return tensors.has(words) && tensors.has(`${layers}0.${layout.block.q}.weight`);
};

/** Where a norm has the names of TensorFlow (`gamma`) instead of torch's: very old files of BERT. */
const weightOf = (tensors: TensorInfos, key: string): string =>
  tensors.has(`${key}.gamma`) ? `${key}.gamma` : `${key}.weight`;

/** Options of an encoder, by its tensors and its configuration. */
export function readEncoder(reader: OptionReader, layout: Layout, prefix: string): EncoderOptions {
  const { tensors } = reader;
  const { keys } = layout;
  const embeddings = `${prefix}embeddings.`;
  const { words, layers } = placesOf(layout, prefix);
  const hidden = reader.size('the hidden size', {
    tensor: axisOf(tensors, weightOf(tensors, `${layers}0.${layout.block.attentionNorm}`), 0),
    keys: [keys.hidden],
  });
  const heads = reader.size('the number of heads', { keys: [keys.heads], otherwise: 12 });
  reader.assertDivides('the number of heads', 'the hidden size');
  const pad = reader.size('the padding id', { keys: ['pad_token_id'], otherwise: layout.padDefault }, 0);
  const positions = reader.size('the number of positions', {
    tensor: axisOf(tensors, `${embeddings}position_embeddings.weight`, 0),
    keys: ['max_position_embeddings'],
  });
  const kind = reader.choice('the kind of positions', ['absolute', 'relative_key', 'relative_key_query'], {
    keys: ['position_embedding_type'],
    otherwise: 'absolute',
  });
  if (kind !== 'absolute') reader.refuse(`positions of the kind ${kind} are not read: only absolute ones`);
  const types = axisOf(tensors, `${embeddings}token_type_embeddings.weight`, 0);
  const maxTokens = layout.positions === 'padding' ? positions - pad - 1 : positions;
  return {
    hidden,
    heads,
    pad,
    positions,
    maxTokens: Math.max(1, maxTokens),
    // The tensor counts: a table may have more rows than the tokenizer has tokens, or fewer than the configuration says.
    vocab: axisOf(tensors, words, 0)?.value ?? 1,
    depth: reader.size('the number of layers', { tensor: modulesOf(tensors, layers), keys: [keys.depth] }),
    inner: reader.size('the width of the feed-forward', {
      tensor: axisOf(tensors, `${layers}0.${layout.block.up}.weight`, 0),
      keys: [keys.inner],
    }),
    activation: reader.choice('the activation', ACTIVATION_NAMES, { keys: [keys.activation], otherwise: 'gelu' }),
    // DistilBERT's configuration has no such field: its layers are built with 1e-12.
    epsilon: reader.number('the epsilon of the norms', { keys: ['layer_norm_eps'], otherwise: 1e-12 }, 0),
    typeRows: types?.value ?? 0,
    types: (types?.value ?? 0) > 1,
    embedding: axisOf(tensors, words, 1)?.value ?? hidden,
  };
}

/** States of the tokens that are read, all by default: [batch, read, hidden], from the inputs by their names. */
export function encoderTokens(
  graph: GraphBuilder,
  { input_ids: ids, attention_mask: mask, token_type_ids: types }: Readonly<Record<string, Value>>,
  {
    layout,
    prefix,
    options,
    dtype,
    reads,
  }: {
    readonly layout: Layout;
    readonly prefix: string;
    readonly options: EncoderOptions;
    readonly dtype: 'F32' | 'F16';
    readonly reads?: Reads;
  },
): Value {
  const { hidden, heads, inner, activation, epsilon, embedding } = options;
  const embeddings = `${prefix}embeddings.`;
  const norm: Norm = { kind: 'layer', epsilon };
  const table = (name: string, rows: number): Value =>
    graph.parameter(`${embeddings}${name}.weight`, dtype, 'identity', [rows, embedding]);
  const embedded = graph.scope('embeddings', () => {
    let sum = graph.gather(table('word_embeddings', options.vocab), ids);
    if (options.typeRows > 0) {
      const rows = table('token_type_embeddings', options.typeRows);
      sum = graph.add(sum, options.types ? graph.gather(rows, types) : graph.row(rows, 0));
    }
    const places = table('position_embeddings', options.positions);
    sum = graph.add(
      sum,
      layout.positions === 'padding'
        ? graph.gather(places, positionsAfterPadding(graph, ids, options.pad))
        : learntPositions(graph, places, ids),
    );
    const normed = normalize(graph, sum, `${embeddings}LayerNorm`, norm);
    const projection = `${prefix}embeddings_project`;
    return embedding === hidden && !graph.has(`${projection}.weight`)
      ? normed
      : graph.linear(normed, projection, { outputs: hidden, bias: true });
  });
  const hides = keyMask(graph, mask);
  const bias = layout.distances
    ? graph.add(hides, distanceBias(graph, ids, prefix + layout.distances, options))
    : hides;
  const { q, k, v, out, up, down, attentionNorm, feedForwardNorm } = layout.block;
  return stack(graph, embedded, { count: options.depth, scope: 'layer', reads }, (x, i, read) =>
    transformerBlock(graph, x, `${prefix}${layout.layers}${i}.`, {
      place: 'post',
      norm,
      norms: { attention: attentionNorm, feedForward: feedForwardNorm },
      attention: { names: { q, k, v, out }, heads, bias, biases: { qkv: true, out: true } },
      feedForward: { names: { up, down }, activation, inner, bias: true },
      reads: read,
    }),
  );
}

/** Places by distance, whatever the configuration says: transformers asks for as many (MPNetEncoder.compute_position_bias). */
const PLACES = 32;

/** Biases [1, heads, tokens, tokens] of the distances of tokens, the same in all blocks. */
function distanceBias(graph: GraphBuilder, ids: Value, key: string, { heads, positions }: EncoderOptions): Value {
  return graph.scope('distances', () => {
    const rows = graph.parameter(key, 'F32', 'identity', [PLACES, heads]);
    const places = relativeTable(graph, ids, positions, (distance) => relativeBuckets(distance, PLACES));
    return graph.unsqueeze(graph.transpose(graph.gather(rows, places), [2, 0, 1]), [0]);
  });
}
