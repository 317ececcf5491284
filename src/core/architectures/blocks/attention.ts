import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import { type Norm, normalize } from './norms.js';
import { type Rotary, rotate } from './positions.js';

/** State-dict keys of the projections, within the block: one stacked `qkv` (q, k, v by rows), or three. */
export type AttentionNames = { readonly out: string } & (
  | { readonly qkv: string }
  | { readonly q: string; readonly k: string; readonly v: string }
);

export interface AttentionOptions {
  readonly names: AttentionNames;
  readonly heads: number;
  /** Heads of the keys and values, each shared by heads / kvHeads neighbouring heads; as many as `heads` by default. */
  readonly kvHeads?: number;
  /** Width of a head; width / heads by default. */
  readonly headDim?: number;
  /** Factor of q k; 1 / sqrt(headDim) by default. */
  readonly scale?: number;
  /** Whether q, k and v have biases (one answer, or one each), and the output. Without it they are taken as they are, unchecked. */
  readonly biases?: { readonly qkv: boolean; readonly out: boolean };
  /** Added to the scores: a mask [batch or 1, heads or 1, queries or 1, keys], relative positions, or both; null where all keys count. */
  readonly bias: Value | null;
  /** A further bias that q [batch, heads, queries, headDim] and k [batch, heads, headDim, keys] give (DeBERTa's places). */
  readonly biasOf?: (q: Value, k: Value) => Value;
  /** cap tanh(scores / cap), before the bias. */
  readonly softCap?: number;
  /** Norm of each head of q and k, by the keys of their weights [headDim]. */
  readonly headNorm?: { readonly norm: Norm; readonly q: string; readonly k: string };
  readonly rotary?: Rotary;
  /** What keys and values are made of: other tokens, for cross-attention; the queries' own by default. */
  readonly source?: Value;
  /** The tokens that the result is asked for; all by default. */
  readonly reads?: Reads;
}

/** Picks tokens: [batch, tokens, width] -> [batch, fewer, width]. */
export type Reads = (x: Value) => Value;

/**
 * Multi-head attention with its output projection: x [batch, queries, width] -> [batch, queries, width].
 * @param prefix - state-dict prefix of the block, its dot included
 */
export function attention(graph: GraphBuilder, x: Value, prefix: string, options: AttentionOptions): Value {
  const width = x.shape[2] as number;
  const { names, heads, kvHeads = heads, headDim = width / heads, biases, headNorm, rotary, source = x } = options;
  const project = (from: Value, name: string, outputs: number): Value =>
    graph.linear(from, prefix + name, biases && { outputs, bias: biases.qkv });
  let [q, k, v]: Value[] =
    'qkv' in names
      ? graph.split(project(x, names.qkv, 3 * heads * headDim), 2, 3)
      : [
          project(x, names.q, heads * headDim),
          project(source, names.k, kvHeads * headDim),
          project(source, names.v, kvHeads * headDim),
        ];
  const groups = { heads, kvHeads };
  if (headNorm || rotary) {
    const prepare = (value: Value, key: string | undefined): Value => {
      const normed = headNorm && key !== undefined ? normalize(graph, value, prefix + key, headNorm.norm) : value;
      return rotary ? rotate(graph, normed, rotary) : normed;
    };
    // Norm and rotation work on [..., tokens, headDim]; keys are turned over after them.
    q = prepare(splitQueries(graph, q, groups), headNorm?.q);
    k = prepare(splitKeys(graph, k, groups, false), headNorm?.k);
    k = graph.transpose(k, swapLast(k.shape.length));
  } else {
    q = splitQueries(graph, q, groups);
    k = splitKeys(graph, k, groups, true);
  }
  v = splitKeys(graph, v, groups, false);
  const extra = options.biasOf?.(q, k);
  const bias = extra && options.bias ? graph.add(extra, options.bias) : (extra ?? options.bias);
  const attended = attend(graph, q, k, v, { ...options, bias });
  const joined = options.reads ? options.reads(attended) : attended;
  return graph.linear(joined, prefix + names.out, biases && { outputs: width, bias: biases.out });
}

/** [batch, tokens, width] -> [batch, heads, tokens, width / heads]; `transposed` puts the tokens last, as keys are used. */
export function splitHeads(graph: GraphBuilder, x: Value, heads: number, transposed = false): Value {
  const width = x.shape[2] as number;
  const parts = graph.reshape(x, [0, 0, heads, width / heads]);
  return graph.transpose(parts, transposed ? [0, 2, 3, 1] : [0, 2, 1, 3]);
}

interface Groups {
  readonly heads: number;
  readonly kvHeads: number;
}

/** Where heads share keys: [batch, kvHeads, heads / kvHeads, tokens, headDim], so that head h reads kv head floor(h / group). */
function splitQueries(graph: GraphBuilder, x: Value, { heads, kvHeads }: Groups): Value {
  if (kvHeads === heads) return splitHeads(graph, x, heads);
  const parts = graph.reshape(x, [0, 0, kvHeads, heads / kvHeads, (x.shape[2] as number) / heads]);
  return graph.transpose(parts, [0, 2, 3, 1, 4]);
}

function splitKeys(graph: GraphBuilder, x: Value, { heads, kvHeads }: Groups, transposed: boolean): Value {
  const split = splitHeads(graph, x, kvHeads, transposed);
  return kvHeads === heads ? split : graph.unsqueeze(split, [2]);
}

const swapLast = (rank: number): number[] => [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2];

/**
 * softmax(q k scale + bias) v, heads joined again: [batch, queries, heads * headDim]. The softmax is in float32.
 * @param q - [batch, heads, queries, d] (a batch of 1 is broadcast), or with an axis more where heads share keys
 * @param k - [batch, heads, d, tokens]
 * @param v - [batch, heads, tokens, d]
 */
export function attend(
  graph: GraphBuilder,
  q: Value,
  k: Value,
  v: Value,
  { bias, scale, softCap }: Pick<AttentionOptions, 'bias' | 'scale' | 'softCap'>,
): Value {
  return graph.scope('attend', () => {
    const rank = q.shape.length;
    const width = q.shape[rank - 1] as number;
    const product = graph.matmul(q, k);
    const scaled =
      scale === undefined
        ? graph.div(product, graph.scalar(Math.sqrt(width), q.dtype))
        : graph.mul(product, graph.scalar(scale, q.dtype));
    let scores = graph.cast(scaled, 'F32');
    if (softCap !== undefined) {
      const cap = graph.scalar(softCap, 'F32');
      scores = graph.mul(graph.tanh(graph.div(scores, cap)), cap);
    }
    if (bias) scores = graph.add(scores, rank > bias.shape.length ? graph.unsqueeze(bias, [2]) : bias);
    const weights = graph.cast(graph.softmax(scores), q.dtype === 'F16' ? 'F16' : 'F32');
    const read = graph.matmul(weights, v);
    const joined = graph.transpose(read, rank === 4 ? [0, 2, 1, 3] : [0, 3, 1, 2, 4]);
    return graph.reshape(joined, [
      0,
      0,
      q.shape.slice(1, rank - 2).reduce<number>((n, size) => n * (size as number), width),
    ]);
  });
}
