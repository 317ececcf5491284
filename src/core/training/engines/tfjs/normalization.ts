import type { Tensor } from '@tensorflow/tfjs';
import { floatOf, intOf } from '../../../onnx/model.js';
import { frontAxes, type Operator, unsupportedNode } from './operator.js';

const DEFAULT_EPSILON = 1e-5;

/** With running statistics. Per channel: parameters [channels], x [batch, channels, …]. */
const batchNormalization: Operator = ({ tf, node }, x, scale, bias, mean, variance) => {
  if (intOf(node, 'training_mode', 0) !== 0) throw unsupportedNode(node, 'training_mode is not run here');
  const perChannel = (parameter: Tensor): Tensor =>
    tf.reshape(parameter, [-1, ...new Array<number>(Math.max(x.rank - 2, 0)).fill(1)]);
  const deviation = tf.sqrt(tf.add(variance, floatOf(node, 'epsilon', DEFAULT_EPSILON)));
  const normed = tf.div(tf.sub(x, perChannel(mean)), perChannel(deviation));
  return tf.add(tf.mul(normed, perChannel(scale)), perChannel(bias));
};

/** Over the axes from `axis` on. The second and third outputs are the mean and the inverse standard deviation. */
const layerNormalization: Operator = ({ tf, node }, x: Tensor, scale: Tensor, bias?: Tensor) => {
  const [first] = frontAxes([intOf(node, 'axis', -1)], x.rank);
  const axes = Array.from({ length: x.rank - first }, (_, i) => first + i);
  const mean = tf.mean(x, axes, true);
  const centred = tf.sub(x, mean);
  const variance = tf.mean(tf.square(centred), axes, true);
  const inverse = tf.div(1, tf.sqrt(tf.add(variance, floatOf(node, 'epsilon', DEFAULT_EPSILON))));
  const scaled = tf.mul(tf.mul(centred, inverse), scale);
  return [bias ? tf.add(scaled, bias) : scaled, mean, inverse];
};

export const NORMALIZATION: Readonly<Record<string, Operator>> = {
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
};
