import type { Tensor } from '@tensorflow/tfjs';
import { intOf, intsOf } from '../../../onnx/model.js';
import { type Call, detached, frontAxes, numbersOf, type Operator, type Tf, unsupportedNode } from './operator.js';

type Reduce = (tf: Tf, x: Tensor, axes: number[], keepDims: boolean) => Tensor;

/** Axes are an attribute until opset 13 (ReduceSum) or 18 (the others), an input since; all of them where neither is given. */
const reduction =
  (reduce: Reduce): Operator =>
  ({ tf, node }, x, axesInput?: Tensor) => {
    const given = axesInput ? numbersOf(axesInput) : (intsOf(node, 'axes') ?? []);
    if (given.length === 0 && intOf(node, 'noop_with_empty_axes', 0) !== 0) return x;
    const axes = given.length > 0 ? frontAxes(given, x.rank) : x.shape.map((_, axis) => axis);
    return reduce(tf, x, axes, intOf(node, 'keepdims', 1) !== 0);
  };

/** Runs what TensorFlow.js does over the last axis over any. */
function overAxis({ tf, node }: Call, x: Tensor, compute: (x: Tensor) => Tensor): Tensor {
  const [axis] = frontAxes([intOf(node, 'axis', -1)], x.rank);
  if (axis === x.rank - 1) return compute(x);
  const order = x.shape.map((_, i) => i);
  [order[axis], order[x.rank - 1]] = [x.rank - 1, axis]; // a swap undoes itself
  return tf.transpose(compute(tf.transpose(x, order)), order);
}

const softmax = (compute: (tf: Tf, x: Tensor) => Tensor): Operator => {
  return (call, x) => {
    // Until opset 13 it flattened the axes from `axis` on.
    if (call.opset < 13) throw unsupportedNode(call.node, `the form of opset ${call.opset} is not run here`);
    return overAxis(call, x, (last) => compute(call.tf, last));
  };
};

const argument =
  (find: (tf: Tf, x: Tensor, axis: number) => Tensor): Operator =>
  (call, x) => {
    const { tf, node } = call;
    if (intOf(node, 'select_last_index', 0) !== 0) throw unsupportedNode(node, 'select_last_index is not run here');
    const [axis] = frontAxes([intOf(node, 'axis', 0)], x.rank);
    return detached(call, () => {
      const indices = find(tf, x, axis);
      return intOf(node, 'keepdims', 1) !== 0 ? tf.expandDims(indices, axis) : indices;
    });
  };

const spatialAxes = (x: Tensor): number[] => Array.from({ length: x.rank - 2 }, (_, i) => i + 2);

const cumSum: Operator = ({ tf, node }, x, axis) =>
  tf.cumsum(
    x,
    frontAxes(numbersOf(axis), x.rank)[0],
    intOf(node, 'exclusive', 0) !== 0,
    intOf(node, 'reverse', 0) !== 0,
  );

/** Of several values along axes. */
export const REDUCTION: Readonly<Record<string, Operator>> = {
  ReduceSum: reduction((tf, x, axes, keep) => tf.sum(x, axes, keep)),
  ReduceMean: reduction((tf, x, axes, keep) => tf.mean(x, axes, keep)),
  ReduceMax: reduction((tf, x, axes, keep) => tf.max(x, axes, keep)),
  ReduceMin: reduction((tf, x, axes, keep) => tf.min(x, axes, keep)),
  ReduceProd: reduction((tf, x, axes, keep) => tf.prod(x, axes, keep)),
  ReduceL1: reduction((tf, x, axes, keep) => tf.sum(tf.abs(x), axes, keep)),
  ReduceL2: reduction((tf, x, axes, keep) => tf.sqrt(tf.sum(tf.square(x), axes, keep))),
  ReduceSumSquare: reduction((tf, x, axes, keep) => tf.sum(tf.square(x), axes, keep)),
  ReduceLogSum: reduction((tf, x, axes, keep) => tf.log(tf.sum(x, axes, keep))),
  ReduceLogSumExp: reduction((tf, x, axes, keep) => tf.logSumExp(x, axes, keep)),
  GlobalAveragePool: ({ tf }, x) => tf.mean(x, spatialAxes(x), true),
  GlobalMaxPool: ({ tf }, x) => tf.max(x, spatialAxes(x), true),
  Softmax: softmax((tf, x) => tf.softmax(x)),
  LogSoftmax: softmax((tf, x) => tf.logSoftmax(x)),
  ArgMax: argument((tf, x, axis) => tf.argMax(x, axis)),
  ArgMin: argument((tf, x, axis) => tf.argMin(x, axis)),
  CumSum: cumSum,
};
