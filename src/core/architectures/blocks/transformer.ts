import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import { ACTIVATIONS, type ActivationName } from './activations.js';
import { type AttentionOptions, attention, type Reads } from './attention.js';
import { type Norm, normalize } from './norms.js';

/** Sizes of a stack of blocks and what its layers have in common. */
export interface Tower {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
  readonly activation: ActivationName;
  readonly norm: Norm;
}

/** A plain feed-forward, down(act(up x)), or a gated one, down(act(gate x) * up x). */
export interface FeedForwardOptions {
  readonly names: { readonly up: string; readonly down: string; readonly gate?: string };
  readonly activation: ActivationName;
  /** Width between, and whether the layers have biases; without it the parameters are taken as they are, unchecked. */
  readonly inner?: number;
  readonly bias?: boolean;
}

/** State-dict keys of a block's norms. */
export interface NormNames {
  readonly attention: string;
  readonly feedForward: string;
  /** Norms of what attention and feed-forward give, before it is added (Gemma 2). */
  readonly attentionOutput?: string;
  readonly feedForwardOutput?: string;
}

export interface BlockOptions {
  /** `pre`: x + f(norm x); `post`: norm(x + f(x)). */
  readonly place: 'pre' | 'post';
  readonly norm: Norm;
  readonly norms: NormNames;
  readonly attention: AttentionOptions;
  /** A second attention between the first and the feed-forward, with its norm (a decoder's or BLIP's cross-attention). */
  readonly cross?: { readonly attention: AttentionOptions; readonly norm: string };
  readonly feedForward: FeedForwardOptions;
  /** The tokens that are asked for: only these go through what follows the attention. All by default. */
  readonly reads?: Reads;
  /** Names that nodes of the parts get in the graph. */
  readonly scopes?: {
    readonly attention?: string;
    readonly cross?: string;
    readonly up?: string;
    readonly down?: string;
  };
}

const within = <T>(graph: GraphBuilder, scope: string | undefined, body: () => T): T =>
  scope === undefined ? body() : graph.scope(scope, body);

/**
 * One transformer block: attention, then feed-forward, each with its norm and its skip connection.
 * @param x - [batch, tokens, width]
 * @param prefix - state-dict prefix of the block, its dot included
 * @returns as x, or the tokens that `reads` picks
 */
export function transformerBlock(graph: GraphBuilder, x: Value, prefix: string, options: BlockOptions): Value {
  const { norm, norms, cross, reads, scopes = {} } = options;
  const attended = withSkip(graph, x, prefix, options, {
    scope: scopes.attention ?? 'attn',
    norm: norms.attention,
    outputNorm: norms.attentionOutput,
    reads,
    compute: (from) => attention(graph, from, prefix, { ...options.attention, reads }),
  });
  const crossed = cross
    ? withSkip(graph, attended, prefix, options, {
        scope: scopes.cross ?? 'cross',
        norm: cross.norm,
        compute: (from) => attention(graph, from, prefix, cross.attention),
      })
    : attended;
  const pre = options.place === 'pre';
  const from = pre ? normalize(graph, crossed, prefix + norms.feedForward, norm) : crossed;
  const wide = within(graph, scopes.up, () => widen(graph, from, prefix, options.feedForward));
  const width = x.shape[2] as number;
  const down = (): Value => narrow(graph, wide, prefix, options, width);
  return pre
    ? graph.add(crossed, within(graph, scopes.down, down))
    : within(graph, scopes.down, () => normalize(graph, graph.add(down(), crossed), prefix + norms.feedForward, norm));
}

interface Sublayer {
  readonly scope: string;
  readonly norm: string;
  readonly outputNorm?: string;
  readonly reads?: Reads;
  compute(x: Value): Value;
}

function withSkip(graph: GraphBuilder, x: Value, prefix: string, { place, norm }: BlockOptions, part: Sublayer): Value {
  const { reads = (all) => all } = part;
  if (place === 'post') {
    return graph.scope(part.scope, () =>
      normalize(graph, graph.add(part.compute(x), reads(x)), prefix + part.norm, norm),
    );
  }
  const computed = graph.scope(part.scope, () => {
    const value = part.compute(normalize(graph, x, prefix + part.norm, norm));
    return part.outputNorm === undefined ? value : normalize(graph, value, prefix + part.outputNorm, norm);
  });
  return graph.add(reads(x), computed);
}

function widen(
  graph: GraphBuilder,
  x: Value,
  prefix: string,
  { names, activation, inner, bias = true }: FeedForwardOptions,
): Value {
  const act = ACTIVATIONS[activation];
  const expected = inner === undefined ? undefined : { outputs: inner, bias };
  const linear = (name: string): Value => graph.linear(x, prefix + name, expected);
  return names.gate === undefined
    ? act(graph, linear(names.up))
    : graph.mul(act(graph, linear(names.gate)), linear(names.up));
}

function narrow(
  graph: GraphBuilder,
  wide: Value,
  prefix: string,
  { feedForward, norms, norm }: BlockOptions,
  width: number,
): Value {
  const { names, inner, bias = true } = feedForward;
  const expected = inner === undefined ? undefined : { outputs: width, bias };
  const value = graph.linear(wide, prefix + names.down, expected);
  return norms.feedForwardOutput === undefined
    ? value
    : normalize(graph, value, prefix + norms.feedForwardOutput, norm);
}

/** A feed-forward by itself, without norm and skip connection: x [..., width] -> [..., width]. */
export function feedForward(graph: GraphBuilder, x: Value, prefix: string, options: FeedForwardOptions): Value {
  const wide = widen(graph, x, prefix, options);
  const { names, inner, bias = true } = options;
  const outputs = x.shape[x.shape.length - 1] as number;
  return graph.linear(wide, prefix + names.down, inner === undefined ? undefined : { outputs, bias });
}

export interface StackOptions {
  readonly count: number;
  readonly scope: string;
  /** The tokens that are read of the last block; all by default. */
  readonly reads?: Reads;
}

/** Blocks one after another, each in a scope of its number; the last one is given what is read of it. */
export function stack(
  graph: GraphBuilder,
  x: Value,
  { count, scope, reads }: StackOptions,
  layer: (x: Value, index: number, reads: Reads | undefined) => Value,
): Value {
  let tokens = x;
  for (let i = 0; i < count; i++) {
    const last = i === count - 1;
    tokens = graph.scope(`${scope}.${i}`, () => layer(tokens, i, last ? reads : undefined));
  }
  return tokens;
}
