import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';

/** Learnt positions 0, 1, 2 … of the tokens of `like` (its axis 1): the first rows of a table [positions, width]. */
export const learntPositions = (graph: GraphBuilder, table: Value, like: Value): Value =>
  graph.rowsLike(table, like, 1);

/**
 * RoBERTa's positions int64 [batch, tokens]: `pad` + 1, + 2 … counted over tokens whose id is not `pad`; padding stays at `pad`.
 */
export function positionsAfterPadding(graph: GraphBuilder, ids: Value, pad: number): Value {
  return graph.scope('positions', () => {
    const filler = graph.scalar(pad, 'I64');
    const isText = graph.cast(graph.not(graph.equal(ids, filler)), 'I64');
    return graph.add(graph.mul(graph.cumSum(isText, 1), isText), filler);
  });
}

/**
 * What `place` says of the distance i - j from each key j to each query i of `like` (its axis 1): int64 [tokens, tokens], from a
 * table of the distances that rows of `positions` tokens have.
 */
export function relativeTable(
  graph: GraphBuilder,
  like: Value,
  positions: number,
  place: (distance: number) => number,
): Value {
  const values = Array.from({ length: 2 * positions - 1 }, (_, i) => place(i - (positions - 1)));
  const places = graph.positionsOf(like, 1);
  const distance = graph.sub(graph.unsqueeze(places, [1]), graph.unsqueeze(places, [0]));
  return graph.gather(graph.ints(values), graph.add(distance, graph.scalar(positions - 1, 'I64')));
}

/** Distances further than it share one place. */
const FARTHEST = 128;

/**
 * T5's place of the distance i - j from a key to a query, of `count` places: half for keys before the query and half for those after
 * it; in each, one a distance as far as half of them go, then by the logarithm. Every step in float32, as torch takes it.
 * @see Raffel et al. (2020); transformers, MPNetEncoder.relative_position_bucket
 */
export function relativeBuckets(distance: number, count: number): number {
  const { fround } = Math;
  const half = Math.floor(count / 2);
  const exact = Math.floor(half / 2);
  const [after, far] = [distance < 0 ? half : 0, Math.abs(distance)];
  if (far < exact) return after + far;
  const share = fround(fround(Math.log(fround(far / exact))) / fround(Math.log(FARTHEST / exact)));
  return after + Math.min(exact + Math.trunc(fround(share * (half - exact))), half - 1);
}

/** How the frequencies of rotary positions are stretched, as configurations name it. */
export type RotaryScaling =
  | { readonly kind: 'default' }
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalPositions: number;
    };

export interface RotaryOptions {
  readonly theta: number;
  /** Even: the pairs are the two halves of a head. */
  readonly headDim: number;
  readonly scaling?: RotaryScaling;
}

/** Cosines and sines of the angles of each token, [tokens, headDim] each. */
export interface Rotary {
  readonly cos: Value;
  readonly sin: Value;
}

/**
 * Frequencies [headDim / 2] in radians a token, every step in float32 as torch takes it: in double the cosine would differ by
 * 1e-3 at 16,384 tokens.
 */
export function rotaryFrequencies({ theta, headDim, scaling = { kind: 'default' } }: RotaryOptions): Float32Array {
  const { fround } = Math;
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = fround(1 / fround(theta ** fround((2 * i) / headDim)));
    if (scaling.kind === 'default') return frequency;
    if (scaling.kind === 'linear') return fround(frequency / fround(scaling.factor));
    return llama3Frequency(frequency, scaling);
  });
}

/** Long waves are stretched by the factor, short ones are kept, those between are blended (transformers, modeling_rope_utils.py). */
function llama3Frequency(frequency: number, scaling: Extract<RotaryScaling, { kind: 'llama3' }>): number {
  const { fround } = Math;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling;
  const wavelength = fround(fround(2 * Math.PI) / frequency);
  if (wavelength < originalPositions / high) return frequency;
  if (wavelength > originalPositions / low) return fround(frequency / fround(factor));
  const smooth = fround(fround(fround(originalPositions / wavelength) - low) / fround(high - low));
  return fround(fround(fround(fround(1 - smooth) * frequency) / fround(factor)) + fround(smooth * frequency));
}

/**
 * Rotary positions 0, 1, 2 … of the tokens of `like` (its axis 1), in float32.
 * @see Su et al., "RoFormer" (2021); the half-split form of Llama
 */
export function rotaryPositions(graph: GraphBuilder, like: Value, options: RotaryOptions): Rotary {
  return graph.scope('rotary', () => {
    const frequencies = rotaryFrequencies(options);
    const place = graph.unsqueeze(graph.cast(graph.positionsOf(like, 1), 'F32'), [1]);
    const half = graph.mul(place, graph.constant('F32', [1, frequencies.length], frequencies));
    const angle = graph.concat([half, half], 1);
    return { cos: graph.cos(angle), sin: graph.sin(angle) };
  });
}

/** x cos + [-x2, x1] sin with x1, x2 the halves of the last axis; x [..., tokens, headDim]. */
export function rotate(graph: GraphBuilder, x: Value, { cos, sin }: Rotary): Value {
  return graph.scope('rotate', () => {
    const wide = graph.cast(x, 'F32');
    const [first, second] = graph.split(wide, x.shape.length - 1, 2);
    const turned = graph.concat([graph.neg(second), first], x.shape.length - 1);
    const rotated = graph.add(graph.mul(wide, cos), graph.mul(turned, sin));
    return graph.cast(rotated, x.dtype === 'F16' ? 'F16' : 'F32');
  });
}
