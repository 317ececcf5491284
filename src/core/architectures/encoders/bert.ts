import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { Architecture, TensorInfos } from '../architecture.js';
import { ACTIVATION_NAMES, type ActivationName } from '../blocks/activations.js';
import { column, type LinearStep, linearSteps } from '../blocks/heads.js';
import { keyMask } from '../blocks/masks.js';
import { type Norm, normalize } from '../blocks/norms.js';
import { firstToken } from '../blocks/pooling.js';
import { learntPositions, positionsAfterPadding } from '../blocks/positions.js';
import { stack, transformerBlock } from '../blocks/transformer.js';
import { architectureOf, type Family, type IgnoredRule } from '../family.js';
import { labelIndex, textScore } from '../labels.js';
import { axisOf, modulesOf } from '../readings.js';
import { type EncoderText, encoderInputs } from './text-inputs.js';

// BERT and the encoders that differ from it in names, positions and the head of their classifier: transformers 4.57,
// modeling_bert.py, modeling_roberta.py, modeling_distilbert.py, modeling_electra.py (…ForSequenceClassification).

/** A layer between the first token and the classifier. */
interface PoolStep {
  readonly key: string;
  readonly activation: ActivationName;
}

/** How an encoder names its parts, in state dicts and in configurations. */
interface Layout {
  readonly id: string;
  readonly label: string;
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

const LAYOUTS: readonly Layout[] = [
  {
    id: 'bert',
    label: 'BERT with a classifier',
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
    label: 'RoBERTa or XLM-RoBERTa with a classifier',
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
    label: 'DistilBERT with a classifier',
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
    label: 'ELECTRA with a classifier',
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
  readonly labels: number;
  readonly label: number;
}

/** Where a norm has the names of TensorFlow (`gamma`) instead of torch's: very old files of BERT. */
const weightOf = (tensors: TensorInfos, key: string): string =>
  tensors.has(`${key}.gamma`) ? `${key}.gamma` : `${key}.weight`;

function family(layout: Layout): Family<EncoderOptions> {
  const { prefix, keys } = layout;
  const embeddings = `${prefix}embeddings.`;
  const words = `${embeddings}word_embeddings.weight`;
  const classifier = `${layout.classifier}.weight`;
  const firstBlock = `${prefix}${layout.layers}0.`;
  return {
    id: layout.id,
    label: layout.label,
    exportOptions: { outputLabel: null },
    parityTolerance: 1e-4,

    recognise: (tensors) =>
      tensors.has(words) && tensors.has(`${firstBlock}${layout.block.q}.weight`) && tensors.has(classifier),

    modalities: () => ['text'],

    options(reader, _checkpoint, request) {
      const { tensors } = reader;
      reader.assertModelType(layout.label, layout.modelTypes);
      const hidden = reader.size('the hidden size', {
        tensor: axisOf(tensors, weightOf(tensors, `${firstBlock}${layout.block.attentionNorm}`), 0),
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
      const labels = axisOf(tensors, classifier, 0)?.value ?? 1;
      return {
        hidden,
        heads,
        pad,
        positions,
        maxTokens: Math.max(1, maxTokens),
        // The tensor counts: a table may have more rows than the tokenizer has tokens, or fewer than the configuration says.
        vocab: axisOf(tensors, words, 0)?.value ?? 1,
        depth: reader.size('the number of layers', {
          tensor: modulesOf(tensors, `${prefix}${layout.layers}`),
          keys: [keys.depth],
        }),
        inner: reader.size('the width of the feed-forward', {
          tensor: axisOf(tensors, `${firstBlock}${layout.block.up}.weight`, 0),
          keys: [keys.inner],
        }),
        activation: reader.choice('the activation', ACTIVATION_NAMES, { keys: [keys.activation], otherwise: 'gelu' }),
        // DistilBERT's configuration has no such field: its layers are built with 1e-12.
        epsilon: reader.number('the epsilon of the norms', { keys: ['layer_norm_eps'], otherwise: 1e-12 }, 0),
        typeRows: types?.value ?? 0,
        types: (types?.value ?? 0) > 1,
        embedding: axisOf(tensors, words, 1)?.value ?? hidden,
        labels,
        label: labelIndex(reader, labels, request.options.outputLabel),
      };
    },

    inputs: ({ options }) => encoderInputs(options),

    encode(graph, { input_ids: ids, attention_mask: mask, token_type_ids: types }, { options, dtype }) {
      const { hidden, heads, inner, activation, epsilon, embedding } = options;
      const norm: Norm = { kind: 'layer', epsilon };
      const table = (name: string, rows: number): Value =>
        graph.parameter(`${embeddings}${name}.weight`, dtype, 'identity', [rows, embedding]);
      const embedded = graph.scope('embeddings', () => {
        let sum = graph.gather(table('word_embeddings', options.vocab), ids);
        if (options.typeRows > 0) {
          const rows = table('token_type_embeddings', options.typeRows);
          sum = graph.add(sum, options.types ? graph.gather(rows, types) : graph.row(rows, 0));
        }
        sum = graph.add(
          sum,
          placesOf(graph, layout, table('position_embeddings', options.positions), ids, options.pad),
        );
        const normed = normalize(graph, sum, `${embeddings}LayerNorm`, norm);
        return embedding === hidden && !graph.has(`${prefix}embeddings_project.weight`)
          ? normed
          : graph.linear(normed, `${prefix}embeddings_project`, { outputs: hidden, bias: true });
      });
      const bias = keyMask(graph, mask);
      const { q, k, v, out, up, down, attentionNorm, feedForwardNorm } = layout.block;
      const tokens = stack(graph, embedded, { count: options.depth, scope: 'layer' }, (x, i) =>
        transformerBlock(graph, x, `${prefix}${layout.layers}${i}.`, {
          place: 'post',
          norm,
          norms: { attention: attentionNorm, feedForward: feedForwardNorm },
          attention: { names: { q, k, v, out }, heads, bias, biases: { qkv: true, out: true } },
          feedForward: { names: { up, down }, activation, inner, bias: true },
        }),
      );
      return { embedding: firstToken(graph, tokens) };
    },

    embeddingWidth: ({ options }) => options.hidden,

    score(graph, embedding, { options }) {
      const { hidden, labels, label } = options;
      const { key, activation } = layout.pool;
      const steps: LinearStep[] = [
        { key, outputs: hidden, bias: true, activation },
        { key: layout.classifier, outputs: labels, bias: true },
      ];
      const scores = graph.scope('head', () => column(graph, linearSteps(graph, embedding, steps), label));
      return textScore(scores);
    },

    ignored: () => IGNORED,
  };
}

const IGNORED: readonly IgnoredRule[] = [
  { names: /(^|\.)position_ids$/, reason: 'a buffer that counts positions' },
  {
    names: /^(cls|lm_head|vocab_transform|vocab_layer_norm|vocab_projector|discriminator_predictions|generator_)/,
    reason: 'the head of the pretraining',
  },
  { names: /^(roberta|electra)\.pooler\./, reason: 'a pooler that the classifier does not use' },
];

function placesOf(graph: GraphBuilder, layout: Layout, table: Value, ids: Value, pad: number): Value {
  return layout.positions === 'padding'
    ? graph.gather(table, positionsAfterPadding(graph, ids, pad))
    : learntPositions(graph, table, ids);
}

export const ENCODERS: readonly Architecture[] = LAYOUTS.map((layout) => architectureOf(family(layout)));
