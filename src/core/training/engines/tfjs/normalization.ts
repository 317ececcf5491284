import type { Tensor } from '@tensorflow/tfjs';
import { floatOf, intOf } from '../../../onnx/model.js';
import { type Call, frontAxes, type Operator, perChannel, unsupportedNode } from './operator.js';

const DEFAULT_EPSILON = 1e-5;

const inverseDeviation = ({ tf, node }: Call, variance: Tensor): Tensor =>
  tf.div(1, tf.sqrt(tf.add(variance, floatOf(node, 'epsilon', DEFAULT_EPSILON))));

/** What is left of `x` of the mean and the spread of its axes. */
function standardize(call: Call, x: Tensor, axes: number[]): { normed: Tensor; mean: Tensor; inverse: Tensor } {
  const { tf } = call;
  const mean = tf.mean(x, axes, true);
  const centred = tf.sub(x, mean);
  const inverse = inverseDeviation(call, tf.mean(tf.square(centred), axes, true));
  return { normed: tf.mul(centred, inverse), mean, inverse };
}

/** With running statistics: x [batch, channels, …], all else [channels]. */
const batchNormalization: Operator = (call, x, scale, bias, mean, variance) => {
  const { tf, node } = call;
  if (intOf(node, 'training_mode', 0) !== 0) throw unsupportedNode(node, 'training_mode is not run here');
  const [factor, shift, centre] = [tf.mul(scale, inverseDeviation(call, variance)), bias, mean].map((parameter) =>
    perChannel(call, parameter, x),
  );
  return tf.add(tf.mul(tf.sub(x, centre), factor), shift);
};

/** Over the axes from `axis` on. The second and third outputs are the mean and the inverse standard deviation. */
const layerNormalization: Operator = (call, x: Tensor, scale: Tensor, bias?: Tensor) => {
  const { tf, node } = call;
  const [first] = frontAxes([intOf(node, 'axis', -1)], x.rank);
  const { normed, mean, inverse } = standardize(
    call,
    x,
    Array.from({ length: x.rank - first }, (_, i) => first + i),
  );
  const scaled = tf.mul(normed, scale);
  return [bias ? tf.add(scaled, bias) : scaled, mean, inverse];
};

/** Over the spatial axes of each sample and channel. */
const instanceNormalization: Operator = (call, x, scale, bias) => {
  const { normed } = standardize(
    call,
    x,
    Array.from({ length: x.rank - 2 }, (_, i) => i + 2),
  );
  return call.tf.add(call.tf.mul(normed, perChannel(call, scale, x)), perChannel(call, bias, x));
};

export const NORMALIZATION: Readonly<Record<string, Operator>> = {
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  InstanceNormalization: instanceNormalization,
};
