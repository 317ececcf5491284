import { intOf } from '../../../onnx/model.js';
import { contiguousStrides, numel } from '../../../tensor/shape.js';
import { detached, frontAxes, numbersOf, type Operator } from './operator.js';

/** Slices of an axis by indices of any shape; negative ones count from the end. */
const gather: Operator = (call, x, indices) => {
  const { tf, node } = call;
  const [axis] = frontAxes([intOf(node, 'axis', 0)], x.rank);
  const places = detached(call, () =>
    tf.where(tf.less(indices, 0), tf.add(indices, tf.scalar(x.shape[axis], 'int32')), indices),
  );
  const rows = tf.gather(x, tf.reshape(places, [-1]), axis);
  return tf.reshape(rows, [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]);
};

/** One element of `x` for each index: its own place, but along the axis the index. */
const gatherElements: Operator = ({ tf, node }, x, indices) => {
  const [axis] = frontAxes([intOf(node, 'axis', 0)], x.rank);
  const strides = contiguousStrides(x.shape);
  const steps = contiguousStrides(indices.shape);
  const places = numbersOf(indices).map((index, i) => {
    const along = index < 0 ? index + x.shape[axis] : index;
    return steps.reduce((place, step, at) => {
      const own = Math.floor(i / step) % indices.shape[at];
      return place + strides[at] * (at === axis ? along : own);
    }, 0);
  });
  const elements = tf.gather(tf.reshape(x, [numel(x.shape)]), tf.tensor1d(places, 'int32'));
  return tf.reshape(elements, indices.shape);
};

const oneHot: Operator = (call, indices, depth, values) => {
  const { tf, node } = call;
  const [size] = numbersOf(depth);
  const [off, on] = numbersOf(values);
  const [axis] = frontAxes([intOf(node, 'axis', -1)], indices.rank + 1);
  return detached(call, () => {
    const whole = tf.cast(indices, 'int32');
    const places = tf.where(tf.less(whole, 0), tf.add(whole, tf.scalar(size, 'int32')), whole);
    const last = tf.oneHot(places, size, on, off, values.dtype as 'float32' | 'int32');
    const order = indices.shape.map((_, i) => i);
    order.splice(axis, 0, indices.rank);
    return tf.transpose(last, order);
  });
};

export const INDEXING: Readonly<Record<string, Operator>> = {
  Gather: gather,
  GatherElements: gatherElements,
  OneHot: oneHot,
};
