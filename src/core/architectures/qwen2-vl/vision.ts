import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import { ACTIVATIONS } from '../blocks/activations.js';
import { keyMask } from '../blocks/masks.js';
import { type Norm, normalize } from '../blocks/norms.js';
import { type Rotary, rotaryFrequencies } from '../blocks/positions.js';
import { stack, transformerBlock } from '../blocks/transformer.js';
import { type BackboneOptions, patchKey } from './options.js';

const NORM: Norm = { kind: 'layer', epsilon: 1e-6 }; // of the vision tower; stated in the code alone
const VISION_THETA = 10_000;

/** Rows and columns of patches of each picture, or of each group of frames of a clip: int64 [pictures]. */
export interface Grids {
  readonly rows: Value;
  readonly columns: Value;
  /** Where those of each item begin, int64 [batch]; null where an item is one picture. */
  readonly starts: Value | null;
}

/** Of a grid int64 [batch, 3] whose items are a picture each. */
export const picturesOf = (graph: GraphBuilder, grid: Value): Grids => ({
  rows: graph.at(grid, 1, 1),
  columns: graph.at(grid, 1, 2),
  starts: null,
});

/** Of a grid int64 [batch, 3] whose items are clips: attention stays within a group of frames, which is as a picture of its own. */
export function framesOf(graph: GraphBuilder, grid: Value): Grids {
  return graph.scope('frames', () => {
    const counts = graph.at(grid, 1, 0);
    const ends = graph.cumSum(counts, 0);
    const frame = graph.countTo(graph.reduceMax(ends, 0, false), 'frames');
    const isOfLater = graph.not(graph.less(graph.unsqueeze(frame, [1]), graph.unsqueeze(ends, [0])));
    const item = graph.reduceSum(graph.cast(isOfLater, 'I64'), 1, false);
    const each = (axis: number): Value => graph.gather(graph.at(grid, 1, axis), item);
    return { rows: each(1), columns: each(2), starts: graph.sub(ends, counts) };
  });
}

/**
 * Tokens of each picture [pictures, places, hidden]: patches [patches, …] of all pictures in a row -> one row a picture, filled up to
 * the largest, each patch seeing those of its own picture.
 */
export function pictureTokens(
  graph: GraphBuilder,
  patches: Value,
  { rows, columns }: Grids,
  { layout, vision, hidden }: BackboneOptions,
  dtype: 'F32' | 'F16',
): Value {
  const { width, heads, inner, activation, depth, patch, channels } = vision;
  const whole = (value: number): Value => graph.scalar(value, 'I64');
  const shape = [width, channels, patch.frames, patch.size, patch.size];
  const kernel = graph.reshape(graph.parameter(patchKey(layout), dtype, 'identity', shape), [width, -1]);
  const embedded = graph.gemm(graph.cast(patches, dtype), kernel, null);

  const counts = graph.mul(rows, columns);
  const starts = graph.sub(graph.cumSum(counts, 0), counts);
  const slots = graph.countTo(graph.reduceMax(counts, 0, false), 'slots');
  const slot = graph.unsqueeze(slots, [0]);
  const last = graph.sub(graph.squeeze(graph.sizeOf(patches, 0), 0), whole(1));
  const places = graph.min(graph.add(graph.unsqueeze(starts, [1]), slot), last);
  const own = graph.less(slot, graph.unsqueeze(counts, [1]));
  const hidesOthers = keyMask(graph, own);
  const rotary = patchPositions(graph, slots, columns, { merge: patch.merge, headDim: width / heads });

  const tokens = stack(graph, graph.gather(embedded, places), { count: depth, scope: 'layer' }, (x, i) =>
    transformerBlock(graph, x, `${layout.vision}blocks.${i}.`, {
      place: 'pre',
      norm: NORM,
      norms: { attention: 'norm1', feedForward: 'norm2' },
      attention: {
        names: { qkv: 'attn.qkv', out: 'attn.proj' },
        heads,
        biases: { qkv: true, out: true },
        bias: hidesOthers,
        rotary,
      },
      feedForward: { names: { up: 'mlp.fc1', down: 'mlp.fc2' }, activation, inner },
    }),
  );
  const merged = width * patch.merge ** 2;
  const side = graph.reshape(normalize(graph, tokens, `${layout.vision}merger.ln_q`, NORM), [0, -1, merged]);
  const inside = graph.linear(side, `${layout.vision}merger.mlp.0`, { outputs: merged, bias: true });
  return graph.linear(ACTIVATIONS.gelu(graph, inside), `${layout.vision}merger.mlp.2`, { outputs: hidden, bias: true });
}

/**
 * Rotary positions of patches in two dimensions, cos and sin [batch, 1, slots, headDim]: the first half of the angles from the row,
 * the second from the column, both repeated. Patches are in order of merged squares, row by row within each.
 */
function patchPositions(
  graph: GraphBuilder,
  slots: Value,
  columns: Value,
  { merge, headDim }: { merge: number; headDim: number },
): Rotary {
  return graph.scope('rotary', () => {
    const whole = (value: number): Value => graph.scalar(value, 'I64');
    const remainder = (x: Value, quotient: Value, divisor: Value): Value => graph.sub(x, graph.mul(quotient, divisor));
    const slot = graph.unsqueeze(slots, [0]);
    const square = graph.div(slot, whole(merge ** 2));
    const within = remainder(slot, square, whole(merge ** 2));
    const down = graph.div(within, whole(merge));
    const across = graph.unsqueeze(graph.div(columns, whole(merge)), [1]);
    const squareRow = graph.div(square, across);
    const row = graph.add(graph.mul(squareRow, whole(merge)), down);
    const column = graph.add(
      graph.mul(remainder(square, squareRow, across), whole(merge)),
      remainder(within, down, whole(merge)),
    );
    const frequencies = rotaryFrequencies({ theta: VISION_THETA, headDim: headDim / 2 });
    const scale = graph.constant('F32', [1, 1, frequencies.length], frequencies);
    const [ofRow, ofColumn] = [row, column].map((place) =>
      graph.mul(graph.unsqueeze(graph.cast(place, 'F32'), [2]), scale),
    );
    const angle = graph.unsqueeze(graph.concat([ofRow, ofColumn, ofRow, ofColumn], 2), [1]);
    return { cos: graph.cos(angle), sin: graph.sin(angle) };
  });
}

/** The tokens of pictures in place of those of the words that stand for them, in order. */
export function putInPlace(
  graph: GraphBuilder,
  words: Value,
  ids: Value,
  pictures: Value,
  { rows, columns, starts }: Grids,
  { mediaToken, hidden, vision }: BackboneOptions,
): Value {
  const whole = (value: number): Value => graph.scalar(value, 'I64');
  const isMedia = graph.equal(ids, whole(mediaToken));
  const count = graph.squeeze(graph.sizeOf(pictures, 1), 0);
  const ordinal = graph.sub(graph.cumSum(graph.cast(isMedia, 'I64'), 1), whole(1));
  const rowsOf = (): Value => {
    if (starts === null) {
      const within = graph.max(graph.min(ordinal, graph.sub(count, whole(1))), whole(0));
      return graph.add(graph.unsqueeze(graph.mul(graph.positionsOf(ids, 0), count), [1]), within);
    }
    // As many tokens of each group of frames as it has squares, then those of the next.
    const first = graph.unsqueeze(starts, [1]);
    const squares = graph.div(graph.gather(graph.mul(rows, columns), starts), whole(vision.patch.merge ** 2));
    const each = graph.unsqueeze(squares, [1]);
    const place = graph.max(ordinal, whole(0));
    const frame = graph.div(place, each);
    const within = graph.sub(place, graph.mul(frame, each));
    const last = graph.sub(graph.squeeze(graph.sizeOf(pictures, 0), 0), whole(1));
    return graph.add(graph.mul(graph.min(graph.add(first, frame), last), count), within);
  };
  const all = graph.gather(graph.reshape(pictures, [-1, hidden]), rowsOf());
  return graph.where(graph.unsqueeze(isMedia, [2]), all, words);
}
