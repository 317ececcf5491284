import type { Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs';
import { intOf, intsOf, stringOf } from '../../../onnx/model.js';
import { numel } from '../../../tensor/shape.js';
import { type Call, type Operator, perChannel } from './operator.js';
import { padBy } from './shape.js';
import { channelsLast, channelsSecond, checkSpatialRank, reach, slidingAxes } from './window.js';

type Tfs = Pick<Call, 'tf'>;

/** `steps - 1` zeros between the values of the spatial axes (those from the third on). */
function spread({ tf }: Tfs, x: Tensor, steps: readonly number[]): Tensor {
  return steps.reduce((spaced, step, i) => {
    if (step === 1) return spaced;
    const { shape } = spaced;
    const axis = i + 2;
    const [outer, size, inner] = [numel(shape.slice(0, axis)), shape[axis], numel(shape.slice(axis + 1))];
    const zeros = padBy({ tf }, tf.reshape(spaced, [outer, size, 1, inner]), [
      [0, 0],
      [0, 0],
      [0, step - 1],
      [0, 0],
    ]);
    const wide = tf.slice(
      tf.reshape(zeros, [outer, size * step, inner]),
      [0, 0, 0],
      [outer, (size - 1) * step + 1, inner],
    );
    return tf.reshape(wide, [...shape.slice(0, axis), (size - 1) * step + 1, ...shape.slice(axis + 1)]);
  }, x);
}

/** One group, without padding or dilation: x [batch, inputs, …], kernel [outputs, inputs, …]. */
function slide({ tf }: Tfs, x: Tensor, kernel: Tensor, strides: readonly number[]): Tensor {
  if (x.rank === 3) {
    const flat = slide({ tf }, tf.expandDims(x, 2), tf.expandDims(kernel, 2), [1, ...strides]);
    return tf.squeeze(flat, [2]);
  }
  const taps = tf.transpose(kernel, [...strides.map((_, i) => i + 2), 1, 0]);
  const last = channelsLast({ tf }, x);
  const result =
    x.rank === 4
      ? tf.conv2d(last as Tensor4D, taps as Tensor4D, strides as [number, number], 'valid')
      : tf.conv3d(last as Tensor5D, taps as Tensor5D, strides as [number, number, number], 'valid');
  return channelsSecond({ tf }, result);
}

/** Channels in equal groups, each with its own rows of the kernel. */
function byGroups(
  { tf }: Tfs,
  x: Tensor,
  kernel: Tensor,
  groups: number,
  compute: (x: Tensor, kernel: Tensor) => Tensor,
): Tensor {
  if (groups === 1) return compute(x, kernel);
  const kernels = tf.split(kernel, groups, 0);
  return tf.concat(
    tf.split(x, groups, 1).map((part, i) => compute(part, kernels[i])),
    1,
  );
}
const addBias = ({ tf }: Tfs, x: Tensor, bias: Tensor | undefined): Tensor =>
  bias ? tf.add(x, perChannel({ tf }, bias, x)) : x;

/**
 * Padding and dilation are done before: TensorFlow.js has no gradient of a dilated convolution, and pads one axis by one number
 * only. A kernel with zeros in its holes is the dilated one.
 */
const conv: Operator = (call, x: Tensor, kernel: Tensor, bias?: Tensor) => {
  const { node } = call;
  const sizes = x.shape.slice(2);
  checkSpatialRank(node, sizes.length);
  const axes = slidingAxes(node, sizes, kernel.shape.slice(2));
  const padded = padBy(call, x, [[0, 0], [0, 0], ...axes.map(({ before, after }) => [before, after] as const)]);
  const dense = spread(
    call,
    kernel,
    axes.map(({ dilation }) => dilation),
  );
  const strides = axes.map(({ stride }) => stride);
  const sum = byGroups(call, padded, dense, intOf(node, 'group', 1), (part, taps) => slide(call, part, taps, strides));
  return addBias(call, sum, bias);
};

/** The adjoint of `conv` in its input: zeros between the inputs, then a convolution with the kernel turned around. */
const convTranspose: Operator = (call, x: Tensor, kernel: Tensor, bias?: Tensor) => {
  const { tf, node } = call;
  const sizes = x.shape.slice(2);
  checkSpatialRank(node, sizes.length);
  const axes = slidingAxes(
    { ...node, attribute: node.attribute.filter(({ name }) => name !== 'auto_pad') },
    sizes,
    kernel.shape.slice(2),
  );
  const extra = intsOf(node, 'output_padding') ?? sizes.map(() => 0);
  const wanted = intsOf(node, 'output_shape')?.slice(-sizes.length);
  const automatic = stringOf(node, 'auto_pad', 'NOTSET');
  const cuts = axes.map((axis, i): [number, number] => {
    const full = (sizes[i] - 1) * axis.stride + reach(axis) + extra[i];
    const size = wanted?.[i] ?? (automatic.startsWith('SAME') ? sizes[i] * axis.stride : undefined);
    if (size === undefined) return automatic === 'VALID' ? [0, 0] : [axis.before, axis.after];
    const less = Math.floor((full - size) / 2);
    return automatic === 'SAME_UPPER' ? [less, full - size - less] : [full - size - less, less];
  });
  const spaced = spread(
    call,
    x,
    axes.map(({ stride }) => stride),
  );
  const padded = padBy(call, spaced, [
    [0, 0],
    [0, 0],
    ...axes.map((axis, i) => [reach(axis) - 1 - cuts[i][0], reach(axis) - 1 - cuts[i][1] + extra[i]] as const),
  ]);
  const dense = spread(
    call,
    kernel,
    axes.map(({ dilation }) => dilation),
  );
  const turned = tf.reverse(
    dense,
    sizes.map((_, i) => i + 2),
  );
  const swapped = [1, 0, ...sizes.map((_, i) => i + 2)];
  const unit = sizes.map(() => 1);
  const sum = byGroups(call, padded, turned, intOf(node, 'group', 1), (part, taps) =>
    slide(call, part, tf.transpose(taps, swapped), unit),
  );
  return addBias(call, sum, bias);
};

export const CONVOLUTION: Readonly<Record<string, Operator>> = { Conv: conv, ConvTranspose: convTranspose };
