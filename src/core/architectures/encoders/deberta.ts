import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import { ACTIVATION_NAMES, ACTIVATIONS, type ActivationName } from '../blocks/activations.js';
import { splitHeads } from '../blocks/attention.js';
import { column, linearSteps } from '../blocks/heads.js';
import { keyMask } from '../blocks/masks.js';
import { type Norm, normalize } from '../blocks/norms.js';
import { firstToken, readAt } from '../blocks/pooling.js';
import { learntPositions, relativeTable } from '../blocks/positions.js';
import { stack, transformerBlock } from '../blocks/transformer.js';
import { architectureOf } from '../family.js';
import { labelIndex, textScore } from '../labels.js';
import type { OptionReader } from '../option-reader.js';
import { axisOf, modulesOf } from '../readings.js';
import { type EncoderText, encoderInputs } from './text-inputs.js';

// DeBERTa-v2 and v3 with a classifier: transformers 4.57, modeling_deberta_v2.py; He et al., "DeBERTaV3" (2021).

const PREFIX = 'deberta.';
const EMBEDDINGS = `${PREFIX}embeddings.`;
const ENCODER = `${PREFIX}encoder.`;
const BLOCK = `${ENCODER}layer.0.`;
const QUERY = 'attention.self.query_proj';
const KEY = 'attention.self.key_proj';
const LABEL = 'DeBERTa-v2 or v3 with a classifier';

/** Attention to relative places, beside that to content. */
interface RelativeOptions {
  /** Content to place, place to content. */
  readonly c2p: boolean;
  readonly p2c: boolean;
  /** Places on either side; the table has twice as many rows. */
  readonly span: number;
  /** Distances beyond half of them share places by their logarithm; 0 for none. */
  readonly buckets: number;
  /** Largest distance that is told apart. */
  readonly farthest: number;
  /** Whether places are projected by the layer's own keys and queries, or by weights of their own. */
  readonly shared: boolean;
  readonly normed: boolean;
}

interface DebertaOptions extends EncoderText {
  readonly depth: number;
  readonly hidden: number;
  readonly heads: number;
  readonly inner: number;
  readonly activation: ActivationName;
  readonly epsilon: number;
  readonly embedding: number;
  readonly positions: number;
  /** Whether absolute positions are added to the embeddings. */
  readonly absolute: boolean;
  readonly typeRows: number;
  readonly relative: RelativeOptions | null;
  /** A convolution over tokens beside the first layer; 0 for none. */
  readonly kernel: number;
  readonly kernelGroups: number;
  readonly kernelActivation: ActivationName;
  readonly poolerActivation: ActivationName;
  readonly labels: number;
  readonly label: number;
}

function readRelative(reader: OptionReader, positions: number): RelativeOptions | null {
  if (!reader.flag('relative attention', { keys: ['relative_attention'], otherwise: false })) return null;
  const given = reader.raw('pos_att_type') ?? [];
  const kinds = (typeof given === 'string' ? given.toLowerCase().split('|') : Array.isArray(given) ? given : []).map(
    (kind) => String(kind).trim(),
  );
  for (const kind of kinds)
    if (kind !== 'c2p' && kind !== 'p2c') reader.refuse(`pos_att_type ${kind} is not read: c2p and p2c are`);
  const farthest = reader.number('the largest relative position', { keys: ['max_relative_positions'], otherwise: -1 });
  const buckets = reader.number('the number of position buckets', { keys: ['position_buckets'], otherwise: -1 });
  const reach = farthest < 1 ? positions : farthest;
  const span = buckets > 0 ? buckets : reach;
  const rows = axisOf(reader.tensors, `${ENCODER}rel_embeddings.weight`, 0);
  if (rows && rows.value !== 2 * span)
    reader.refuse(`the relative embeddings have ${rows.value} rows (${rows.from}), not ${2 * span}`);
  return {
    c2p: kinds.includes('c2p'),
    p2c: kinds.includes('p2c'),
    span,
    buckets: Math.max(0, buckets),
    farthest: reach,
    shared: reader.flag('whether places share the keys', { keys: ['share_att_key'], otherwise: false }),
    normed: String(reader.raw('norm_rel_ebd') ?? 'none').includes('layer_norm'),
  };
}

/** Row of the table for the distance from a key to a query: bucket(i - j), moved to begin at 0. */
export function placeOf(distance: number, { span, buckets, farthest }: RelativeOptions): number {
  const middle = Math.floor(buckets / 2);
  const far = Math.abs(distance);
  const bucket =
    buckets === 0 || far <= middle
      ? distance
      : Math.sign(distance) *
        (Math.ceil((Math.log(far / middle) / Math.log((farthest - 1) / middle)) * (middle - 1)) + middle);
  return Math.min(Math.max(span + bucket, 0), 2 * span - 1);
}

/** The parts of attention that places have in it, as one bias of the scores of a layer. */
function relativeBias(
  graph: GraphBuilder,
  prefix: string,
  { table, places, scale }: { readonly table: Value; readonly places: Value; readonly scale: number },
  { hidden, heads, relative }: DebertaOptions,
): (q: Value, k: Value) => Value {
  const { c2p, p2c, shared } = relative!;
  const project = (own: string, other: string): Value => {
    const key = `${prefix}attention.self.${shared ? own : other}`;
    return splitHeads(graph, graph.linear(table, key, { outputs: hidden, bias: true }), heads, true);
  };
  return (q, k) =>
    graph.scope('places', () => {
      const parts: Value[] = [];
      if (c2p) parts.push(graph.gatherAlong(graph.matmul(q, project('key_proj', 'pos_key_proj')), places, 3));
      if (p2c) {
        // Of each key to each place, then read by query: the distance is from the key to the query in both.
        const keys = graph.transpose(k, [0, 1, 3, 2]);
        const turned = graph.transpose(places, [1, 0]);
        const scores = graph.gatherAlong(graph.matmul(keys, project('query_proj', 'pos_query_proj')), turned, 3);
        parts.push(graph.transpose(scores, [0, 1, 3, 2]));
      }
      const sum = parts.length === 2 ? graph.add(parts[0], parts[1]) : parts[0];
      return graph.mul(graph.cast(sum, 'F32'), graph.scalar(scale, 'F32'));
    });
}

/** DeBERTa-v2 and v3 (the OpenAssistant reward models among them). */
export const deberta = architectureOf<DebertaOptions>({
  id: 'deberta-v2',
  label: LABEL,
  exportOptions: { outputLabel: null },
  parityTolerance: 1e-4,

  recognise: (tensors) =>
    tensors.has(`${EMBEDDINGS}word_embeddings.weight`) &&
    tensors.has(`${BLOCK}${QUERY}.weight`) &&
    tensors.has('classifier.weight'),

  modalities: () => ['text'],

  options(reader, _checkpoint, request) {
    const { tensors } = reader;
    reader.assertModelType(LABEL, ['deberta-v2', 'deberta-v3']);
    const hidden = reader.size('the hidden size', {
      tensor: axisOf(tensors, `${BLOCK}${QUERY}.weight`, 1),
      keys: ['hidden_size'],
    });
    const heads = reader.size('the number of heads', { keys: ['num_attention_heads'], otherwise: 24 });
    reader.assertDivides('the number of heads', 'the hidden size');
    const absolute = reader.flag('whether positions are added to the embeddings', {
      keys: ['position_biased_input'],
      otherwise: true,
    });
    const positions = reader.size('the number of positions', {
      tensor: axisOf(tensors, `${EMBEDDINGS}position_embeddings.weight`, 0),
      keys: ['max_position_embeddings'],
      otherwise: 512,
    });
    const typeRows = axisOf(tensors, `${EMBEDDINGS}token_type_embeddings.weight`, 0)?.value ?? 0;
    const labels = axisOf(tensors, 'classifier.weight', 0)?.value ?? 1;
    const kernel = axisOf(tensors, `${ENCODER}conv.conv.weight`, 2);
    if (kernel && kernel.value % 2 === 0)
      reader.refuse(`a convolution over ${kernel.value} tokens (${kernel.from}) has no middle`);
    const activation = (name: string, key: string, otherwise: ActivationName): ActivationName =>
      reader.choice(name, ACTIVATION_NAMES, { keys: [key], otherwise });
    return {
      hidden,
      heads,
      absolute,
      positions,
      maxTokens: positions,
      pad: reader.size('the padding id', { keys: ['pad_token_id'], otherwise: 0 }, 0),
      // The tensor counts: DeBERTa-v3's has more rows than its tokenizer has tokens.
      vocab: axisOf(tensors, `${EMBEDDINGS}word_embeddings.weight`, 0)?.value ?? 1,
      embedding: axisOf(tensors, `${EMBEDDINGS}word_embeddings.weight`, 1)?.value ?? hidden,
      depth: reader.size('the number of layers', {
        tensor: modulesOf(tensors, `${ENCODER}layer.`),
        keys: ['num_hidden_layers'],
      }),
      inner: reader.size('the width of the feed-forward', {
        tensor: axisOf(tensors, `${BLOCK}intermediate.dense.weight`, 0),
        keys: ['intermediate_size'],
      }),
      activation: activation('the activation', 'hidden_act', 'gelu'),
      epsilon: reader.number('the epsilon of the norms', { keys: ['layer_norm_eps'], otherwise: 1e-7 }, 0),
      typeRows,
      types: typeRows > 0,
      relative: readRelative(reader, positions),
      kernel: reader.size(
        'the size of the convolution',
        {
          tensor: kernel,
          keys: ['conv_kernel_size'],
          otherwise: 0,
        },
        0,
      ),
      kernelGroups: reader.size('the groups of the convolution', { keys: ['conv_groups'], otherwise: 1 }),
      kernelActivation: activation('the activation of the convolution', 'conv_act', 'tanh'),
      poolerActivation: activation('the activation of the pooler', 'pooler_hidden_act', 'gelu'),
      labels,
      label: labelIndex(reader, labels, request.options.outputLabel),
    };
  },

  inputs: ({ options }) => encoderInputs(options),

  encode(graph, { input_ids: ids, attention_mask: mask, token_type_ids: types }, { options, dtype }) {
    const { hidden, heads, inner, activation, epsilon, embedding, relative } = options;
    const norm: Norm = { kind: 'layer', epsilon };
    const table = (name: string, rows: number): Value =>
      graph.parameter(`${EMBEDDINGS}${name}.weight`, dtype, 'identity', [rows, embedding]);
    const seen = graph.unsqueeze(graph.cast(mask, dtype), [2]);
    const embedded = graph.scope('embeddings', () => {
      let sum = graph.gather(table('word_embeddings', options.vocab), ids);
      if (options.absolute)
        sum = graph.add(sum, learntPositions(graph, table('position_embeddings', options.positions), ids));
      if (options.types) sum = graph.add(sum, graph.gather(table('token_type_embeddings', options.typeRows), types));
      if (embedding !== hidden) sum = graph.linear(sum, `${EMBEDDINGS}embed_proj`, { outputs: hidden, bias: false });
      // Padding is hidden from attention in any case; a convolution would see it.
      return graph.mul(normalize(graph, sum, `${EMBEDDINGS}LayerNorm`, norm), seen);
    });
    const bias = keyMask(graph, mask);
    const parts = 1 + Number(relative?.c2p ?? false) + Number(relative?.p2c ?? false);
    const scale = 1 / Math.sqrt((hidden / heads) * parts);
    const places = relative && parts > 1 ? placesIn(graph, ids, options, norm, dtype) : null;
    // A convolution beside the only layer would need all its tokens.
    const reads = options.kernel > 0 && options.depth === 1 ? undefined : readAt(graph, (x) => firstToken(graph, x));
    const tokens = stack(graph, embedded, { count: options.depth, scope: 'layer', reads }, (x, i, read) => {
      const prefix = `${ENCODER}layer.${i}.`;
      const out = transformerBlock(graph, x, prefix, {
        place: 'post',
        norm,
        norms: { attention: 'attention.output.LayerNorm', feedForward: 'output.LayerNorm' },
        attention: {
          names: { q: QUERY, k: KEY, v: 'attention.self.value_proj', out: 'attention.output.dense' },
          heads,
          scale,
          bias,
          biases: { qkv: true, out: true },
          ...(places ? { biasOf: relativeBias(graph, prefix, { ...places, scale }, options) } : {}),
        },
        feedForward: { names: { up: 'intermediate.dense', down: 'output.dense' }, activation, inner, bias: true },
        reads: read,
      });
      return i === 0 && options.kernel > 0 ? convolved(graph, x, out, seen, options, norm) : out;
    });
    return { embedding: firstToken(graph, tokens) };
  },

  embeddingWidth: ({ options }) => options.hidden,

  score(graph, embedding, { options }) {
    const { hidden, labels, label, poolerActivation } = options;
    const scores = graph.scope('head', () =>
      linearSteps(graph, embedding, [
        { key: 'pooler.dense', outputs: hidden, bias: true, activation: poolerActivation },
        { key: 'classifier', outputs: labels, bias: true },
      ]),
    );
    return textScore(column(graph, scores, label));
  },

  ignored: () => [
    { names: /(^|\.)position_ids$/, reason: 'a buffer that counts positions' },
    { names: /^(lm_predictions|mask_predictions|cls)\./, reason: 'the head of the pretraining' },
  ],
});

/** The embeddings of places [1, 2 span, hidden], and the place of each query and key [tokens, tokens]. */
function placesIn(
  graph: GraphBuilder,
  ids: Value,
  { hidden, positions, relative }: DebertaOptions,
  norm: Norm,
  dtype: 'F32' | 'F16',
): { table: Value; places: Value } {
  return graph.scope('places', () => {
    const rows = graph.parameter(`${ENCODER}rel_embeddings.weight`, dtype, 'identity', [2 * relative!.span, hidden]);
    const table = relative!.normed ? normalize(graph, rows, `${ENCODER}LayerNorm`, norm) : rows;
    const places = relativeTable(graph, ids, positions, (distance) => placeOf(distance, relative!));
    return { table: graph.unsqueeze(table, [0]), places };
  });
}

/** LayerNorm(out + act(convolution of x over tokens)), padding kept at 0 (ConvLayer). */
function convolved(
  graph: GraphBuilder,
  x: Value,
  out: Value,
  seen: Value,
  { kernel, kernelGroups, kernelActivation, hidden }: DebertaOptions,
  norm: Norm,
): Value {
  return graph.scope('conv', () => {
    const margin = Math.floor((kernel - 1) / 2);
    const convolution = graph.convolution(graph.transpose(x, [0, 2, 1]), `${ENCODER}conv.conv`, {
      strides: [1],
      pads: [margin],
      shape: [hidden, hidden / kernelGroups, kernel],
      bias: true,
      groups: kernelGroups,
    });
    const kept = graph.mul(graph.transpose(convolution, [0, 2, 1]), seen);
    const added = graph.add(out, ACTIVATIONS[kernelActivation](graph, kept));
    return graph.mul(normalize(graph, added, `${ENCODER}conv.LayerNorm`, norm), seen);
  });
}
