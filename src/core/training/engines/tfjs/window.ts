import type { Tensor } from '@tensorflow/tfjs';
import { intOf, intsOf, type NodeProto, stringOf } from '../../../onnx/model.js';
import { type Call, unsupportedNode } from './operator.js';

/** How a kernel slides over one spatial axis. */
export interface SlidingAxis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
  /** Past the padding: what `ceil_mode` adds so that the last window fits. It never counts in an average. */
  readonly beyond: number;
}

/** Size of a kernel with its holes. */
export const reach = ({ kernel, dilation }: Pick<SlidingAxis, 'kernel' | 'dilation'>): number =>
  (kernel - 1) * dilation + 1;

/** The attributes that convolutions and pools share, for spatial axes of the given sizes. */
export function slidingAxes(node: NodeProto, sizes: readonly number[], kernel: readonly number[]): SlidingAxis[] {
  const strides = intsOf(node, 'strides');
  const dilations = intsOf(node, 'dilations');
  const pads = intsOf(node, 'pads');
  const automatic = stringOf(node, 'auto_pad', 'NOTSET');
  const ceil = intOf(node, 'ceil_mode', 0) !== 0;
  return sizes.map((size, i) => {
    const stride = strides?.[i] ?? 1;
    const axis = { kernel: kernel[i], stride, dilation: dilations?.[i] ?? 1 };
    const [before, after] = automatic.startsWith('SAME')
      ? samePads(size, stride, reach(axis), automatic === 'SAME_UPPER')
      : automatic === 'VALID'
        ? [0, 0]
        : [pads?.[i] ?? 0, pads?.[i + sizes.length] ?? 0];
    return {
      ...axis,
      before,
      after,
      beyond: ceil ? beyond(size + before + after, size + before, stride, reach(axis)) : 0,
    };
  });
}

/** As many outputs as strides fit, the odd pad behind (SAME_UPPER) or in front (SAME_LOWER). */
function samePads(size: number, stride: number, span: number, upper: boolean): [number, number] {
  const total = Math.max((Math.ceil(size / stride) - 1) * stride + span - size, 0);
  const less = Math.floor(total / 2);
  return upper ? [less, total - less] : [total - less, less];
}

/** A last window that would begin behind the data and its front padding is left out, as in PyTorch. */
function beyond(padded: number, behind: number, stride: number, span: number): number {
  let last = Math.ceil((padded - span) / stride) * stride;
  if (last >= behind) last -= stride;
  return Math.max(last + span - padded, 0);
}

/** Spatial rank 1 to 3 in the layout of TensorFlow.js: one axis becomes two, the first of size 1. */
export function checkSpatialRank(node: NodeProto, rank: number): void {
  if (rank < 1 || rank > 3) throw unsupportedNode(node, `${rank} spatial axes are not run here`);
}

/** [batch, channels, …] -> [batch, …, channels]. */
export const channelsLast = ({ tf }: Pick<Call, 'tf'>, x: Tensor): Tensor =>
  tf.transpose(x, [0, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 2), 1]);

/** [batch, …, channels] -> [batch, channels, …]. */
export const channelsSecond = ({ tf }: Pick<Call, 'tf'>, x: Tensor): Tensor =>
  tf.transpose(x, [0, x.rank - 1, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 1)]);
