import type { Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs';
import { intOf, intsOf } from '../../../onnx/model.js';
import { type Call, type Operator, unsupportedNode } from './operator.js';
import { padBy, takeAlong } from './shape.js';
import { channelsLast, channelsSecond, checkSpatialRank, reach, type SlidingAxis, slidingAxes } from './window.js';

type Tfs = Pick<Call, 'tf'>;

/** Below every float32 that is not infinite: the padding of a maximum. */
const LOWEST = -3.4028234663852886e38;

function axesOf({ node }: Call, x: Tensor): SlidingAxis[] {
  const sizes = x.shape.slice(2);
  checkSpatialRank(node, sizes.length);
  return slidingAxes(node, sizes, intsOf(node, 'kernel_shape') ?? []);
}

/** One value a window of x [batch, channels, …], without padding. */
function pool({ tf }: Tfs, kind: 'max' | 'avg', x: Tensor, axes: readonly SlidingAxis[]): Tensor {
  if (axes.some(({ dilation }) => dilation !== 1)) return poolByTaps({ tf }, kind, x, axes);
  if (x.rank === 3) {
    const unit = { kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, beyond: 0 };
    return tf.squeeze(pool({ tf }, kind, tf.expandDims(x, 2), [unit, ...axes]), [2]);
  }
  const kernel = axes.map((axis) => axis.kernel);
  const strides = axes.map(({ stride }) => stride);
  const last = channelsLast({ tf }, x);
  if (x.rank === 4) {
    const compute = kind === 'max' ? tf.maxPool : tf.avgPool;
    return channelsSecond(
      { tf },
      compute(last as Tensor4D, kernel as [number, number], strides as [number, number], 'valid'),
    );
  }
  const compute = kind === 'max' ? tf.maxPool3d : tf.avgPool3d;
  type Three = [number, number, number];
  return channelsSecond({ tf }, compute(last as Tensor5D, kernel as Three, strides as Three, 'valid'));
}

/** The same over the taps of a dilated kernel, each a sample of x: TensorFlow.js pools without holes. */
function poolByTaps({ tf }: Tfs, kind: 'max' | 'avg', x: Tensor, axes: readonly SlidingAxis[]): Tensor {
  const taps = axes.reduce<Tensor[]>(
    (parts, axis, i) => {
      const count = Math.floor((x.shape[i + 2] - reach(axis)) / axis.stride) + 1;
      return parts.flatMap((part) =>
        Array.from({ length: axis.kernel }, (_, tap) => {
          const places = Array.from({ length: count }, (_, at) => at * axis.stride + tap * axis.dilation);
          return takeAlong({ tf }, part, places, i + 2);
        }),
      );
    },
    [x],
  );
  if (kind === 'max') return taps.reduce((a, b) => tf.maximum(a, b));
  return tf.div(
    taps.reduce((a, b) => tf.add(a, b)),
    taps.length,
  );
}

const padsOf = (axes: readonly SlidingAxis[]): [number, number][] => [
  [0, 0],
  [0, 0],
  ...axes.map(({ before, after, beyond }): [number, number] => [before, after + beyond]),
];

const maxPool: Operator = (call, x) => {
  if (call.node.output[1]) throw unsupportedNode(call.node, 'indices of maxima are not given here');
  const axes = axesOf(call, x);
  return pool(call, 'max', padBy(call, x, padsOf(axes), LOWEST), axes);
};

/** The mean of a window over those of its values that count: the data, and the padding with `count_include_pad`. */
const averagePool: Operator = (call, x) => {
  const { tf, node } = call;
  const axes = axesOf(call, x);
  const mean = pool(call, 'avg', padBy(call, x, padsOf(axes)), axes);
  const whole = intOf(node, 'count_include_pad', 0) !== 0;
  const uncounted = axes.map((axis) => (whole ? { ...axis, before: 0, after: 0 } : axis));
  if (uncounted.every(({ before, after, beyond }) => before + after + beyond === 0)) return mean;
  const counted = x.shape.slice(2).map((size, i) => size + (whole ? axes[i].before + axes[i].after : 0));
  const share = pool(call, 'avg', padBy(call, tf.ones([1, 1, ...counted]), padsOf(uncounted)), axes);
  return tf.div(mean, share);
};

export const POOLING: Readonly<Record<string, Operator>> = { MaxPool: maxPool, AveragePool: averagePool };
