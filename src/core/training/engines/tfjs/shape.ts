import type { Tensor } from '@tensorflow/tfjs';
import { findAttribute, intOf, intsOf, stringOf } from '../../../onnx/model.js';
import { numel } from '../../../tensor/shape.js';
import {
  broadcastShapes,
  type Call,
  expandTo,
  frontAxes,
  numbersOf,
  type Operator,
  unsupportedNode,
} from './operator.js';
import { toTensor, valueInMemory } from './values.js';

/** 0 keeps an axis unless `allowzero`; -1 takes what is left. */
const reshape: Operator = ({ tf, node }, x, target) => {
  const keeps = intOf(node, 'allowzero', 0) === 0;
  return tf.reshape(
    x,
    numbersOf(target).map((size, axis) => (size === 0 && keeps ? x.shape[axis] : size)),
  );
};

const flatten: Operator = ({ tf, node }, x) => {
  const [axis] = frontAxes([intOf(node, 'axis', 1)], x.rank);
  return tf.reshape(x, [numel(x.shape.slice(0, axis)), numel(x.shape.slice(axis))]);
};

const transpose: Operator = ({ tf, node }, x) =>
  tf.transpose(x, intsOf(node, 'perm') ?? x.shape.map((_, axis) => x.rank - 1 - axis));

const squeeze: Operator = ({ tf }, x: Tensor, axes?: Tensor) => {
  const removed = axes ? frontAxes(numbersOf(axes), x.rank) : undefined;
  return tf.reshape(
    x,
    x.shape.filter((size, axis) => (removed ? !removed.includes(axis) : size !== 1)),
  );
};

const unsqueeze: Operator = ({ tf }, x, axes) => {
  const given = numbersOf(axes);
  const shape = [...x.shape];
  for (const axis of frontAxes(given, x.rank + given.length).sort((a, b) => a - b)) shape.splice(axis, 0, 1);
  return tf.reshape(x, shape);
};

const expand: Operator = (call, x, shape) => expandTo(call, x, broadcastShapes(x.shape, numbersOf(shape)));

/** By concatenation: the gradient of tf.tile ends at four axes. */
const tile: Operator = ({ tf }, x, repeats) =>
  numbersOf(repeats).reduce(
    (tiled, count, axis) => (count === 1 ? tiled : tf.concat(new Array<Tensor>(count).fill(tiled), axis)),
    x,
  );

const concat: Operator = ({ tf, node }, ...parts) =>
  parts.length === 1 ? parts[0] : tf.concat(parts, frontAxes([intOf(node, 'axis', 0)], parts[0].rank)[0]);

/** Sizes from the second input, else equal ones (the last smaller where they do not divide the axis). */
const split: Operator = ({ tf, node }, x: Tensor, sizesInput?: Tensor) => {
  const [axis] = frontAxes([intOf(node, 'axis', 0)], x.rank);
  const count = intOf(node, 'num_outputs', node.output.length);
  const part = Math.ceil(x.shape[axis] / count);
  const sizes = sizesInput
    ? numbersOf(sizesInput)
    : Array.from({ length: count }, (_, i) => Math.min(part, x.shape[axis] - i * part));
  return tf.split(x, sizes, axis);
};

/** Rows `indices` of an axis. */
export const takeAlong = ({ tf }: Pick<Call, 'tf'>, x: Tensor, indices: readonly number[], axis: number): Tensor =>
  tf.gather(x, tf.tensor1d([...indices], 'int32'), axis);

/** The places that a slice reads of an axis: ends are clamped, negative ones count from the end. */
function slicedPlaces(size: number, start: number, end: number, step: number): number[] {
  const clamp = (at: number, low: number, high: number): number =>
    Math.min(Math.max(at < 0 ? at + size : at, low), high);
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const first = clamp(start, Math.max(low, 0), high);
  const last = clamp(end, low, high);
  const count = Math.max(Math.ceil((last - first) / step), 0);
  return Array.from({ length: count }, (_, i) => first + i * step);
}

/** A run of places is a tf.slice; steps gather, for tf.stridedSlice has no gradient. */
const slice: Operator = (
  call,
  x: Tensor,
  startsInput: Tensor,
  endsInput: Tensor,
  axesInput?: Tensor,
  stepsInput?: Tensor,
) => {
  const { tf } = call;
  const starts = numbersOf(startsInput);
  const ends = numbersOf(endsInput);
  const axes = axesInput ? frontAxes(numbersOf(axesInput), x.rank) : starts.map((_, i) => i);
  const steps = stepsInput ? numbersOf(stepsInput) : starts.map(() => 1);
  let result = x;
  for (const [i, axis] of axes.entries()) {
    const places = slicedPlaces(x.shape[axis], starts[i], ends[i], steps[i]);
    if (steps[i] !== 1) {
      result = takeAlong(call, result, places, axis);
      continue;
    }
    const begin = result.shape.map((_, at) => (at === axis ? (places[0] ?? 0) : 0));
    const size = result.shape.map((all, at) => (at === axis ? places.length : all));
    result = tf.slice(result, begin, size);
  }
  return result;
};

/** `value` around a tensor; a negative pad cuts. One pair [before, after] an axis. */
export function padBy(
  { tf }: Pick<Call, 'tf'>,
  x: Tensor,
  pads: readonly (readonly [number, number])[],
  value = 0,
): Tensor {
  const cut = pads.some(([before, after]) => before < 0 || after < 0)
    ? tf.slice(
        x,
        pads.map(([before]) => Math.max(-before, 0)),
        pads.map(([before, after], axis) => x.shape[axis] + Math.min(before, 0) + Math.min(after, 0)),
      )
    : x;
  const widths = pads.map(([before, after]): [number, number] => [Math.max(before, 0), Math.max(after, 0)]);
  if (x.rank <= 4) return widths.some(([before, after]) => before + after > 0) ? tf.pad(cut, widths, value) : cut;
  // The webgpu backend has no pad of five axes, and answers with zeros instead of an error: one axis at a time, as the middle of three.
  return widths.reduce((padded, [before, after], axis) => {
    if (before + after === 0) return padded;
    const { shape: sizes } = padded;
    const flat = tf.reshape(padded, [numel(sizes.slice(0, axis)), sizes[axis], numel(sizes.slice(axis + 1))]);
    const wide = tf.pad(
      flat,
      [
        [0, 0],
        [before, after],
        [0, 0],
      ],
      value,
    );
    return tf.reshape(wide, sizes.with(axis, before + sizes[axis] + after));
  }, cut);
}

/** The place of an axis that position `at` (negative before it, at least `size` behind it) repeats. */
const REPEATED_PLACE: Readonly<Record<string, (at: number, size: number) => number>> = {
  edge: (at, size) => Math.min(Math.max(at, 0), size - 1),
  wrap: (at, size) => ((at % size) + size) % size,
  reflect: (at, size) => {
    if (size === 1) return 0;
    const period = 2 * (size - 1);
    const within = ((at % period) + period) % period;
    return Math.min(within, period - within);
  },
};

const pad: Operator = (call, x: Tensor, padsInput: Tensor, valueInput?: Tensor, axesInput?: Tensor) => {
  const given = numbersOf(padsInput);
  const axes = axesInput ? frontAxes(numbersOf(axesInput), x.rank) : x.shape.map((_, axis) => axis);
  const pads = x.shape.map((): [number, number] => [0, 0]);
  for (const [i, axis] of axes.entries()) pads[axis] = [given[i], given[i + axes.length]];
  const mode = stringOf(call.node, 'mode', 'constant');
  if (mode === 'constant') return padBy(call, x, pads, valueInput ? numbersOf(valueInput)[0] : 0);
  const place = REPEATED_PLACE[mode];
  if (!place) throw unsupportedNode(call.node, `mode ${mode} is not run here`);
  return pads.reduce((padded, [before, after], axis) => {
    if (before === 0 && after === 0) return padded;
    const size = x.shape[axis];
    const places = Array.from({ length: before + size + after }, (_, i) => place(i - before, size));
    return takeAlong(call, padded, places, axis);
  }, x);
};

const shape: Operator = ({ tf, node }, x) => {
  const at = (name: string, otherwise: number): number =>
    Math.min(Math.max(frontAxes([intOf(node, name, otherwise)], x.rank)[0], 0), x.rank);
  return tf.tensor1d(x.shape.slice(at('start', 0), at('end', x.rank)), 'int32');
};

const constantOfShape: Operator = ({ tf, node }, size) => {
  const proto = findAttribute(node, 'value')?.t;
  const dims = numbersOf(size);
  return proto ? tf.broadcastTo(tf.reshape(toTensor(tf, valueInMemory(proto)), []), dims) : tf.zeros(dims);
};

const range: Operator = ({ tf }, start, limit, delta) => {
  const [[from], [to], [step]] = [start, limit, delta].map(numbersOf);
  const values = Array.from({ length: Math.max(Math.ceil((to - from) / step), 0) }, (_, i) => from + i * step);
  return tf.tensor1d(values, start.dtype as 'float32' | 'int32');
};

/** Of the arrangement of values, which it leaves as they are. */
export const SHAPE: Readonly<Record<string, Operator>> = {
  Reshape: reshape,
  Flatten: flatten,
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: expand,
  Tile: tile,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Shape: shape,
  Size: ({ tf }, x) => tf.scalar(x.size, 'int32'),
  ConstantOfShape: constantOfShape,
  Range: range,
};
