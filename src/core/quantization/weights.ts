import { DATA_TYPE, intOf, type NodeProto, type TensorProto } from '../onnx/model.js';
import { isStandard } from '../onnx/passes/uses.js';
import { dataTypeName, tensorOf } from '../onnx/tensor-data.js';
import { numel } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { type ChannelLayout, channelLayout } from './channel-layout.js';
import { pairwiseScales, symmetricScales } from './kernels/int8-weight.js';
import { type ChannelMagnitudes, channelMagnitudes } from './kernels/magnitudes.js';

/** Axis of the output channels of a weight, by the operator that reads it and at which input; null where it reads no weight there. */
type AxisRule = (node: NodeProto, rank: number) => number | null;

const AXIS_RULES = new Map<string, Readonly<Record<number, AxisRule>>>([
  ['Conv', { 1: () => 0 }],
  // [inputs, outputs / groups, …]: with groups, an output channel has no single place on the second axis.
  ['ConvTranspose', { 1: (node) => (intOf(node, 'group', 1) === 1 ? 1 : null) }],
  ['MatMul', { 0: (_, rank) => rank - 2, 1: (_, rank) => rank - 1 }],
  [
    'Gemm',
    {
      0: (node) => (intOf(node, 'transA', 0) === 1 ? 1 : 0),
      1: (node) => (intOf(node, 'transB', 0) === 1 ? 0 : 1),
    },
  ],
  ['Gather', { 0: (node) => (intOf(node, 'axis', 0) === 0 ? 0 : null) }],
  // [directions, gates * hidden, …]
  ['LSTM', { 1: () => 1, 2: () => 1 }],
  ['GRU', { 1: () => 1, 2: () => 1 }],
  ['RNN', { 1: () => 1, 2: () => 1 }],
]);

/** Where a node reads a weight of output channels, or null. */
export function weightAxis(node: NodeProto, input: number, rank: number): number | null {
  if (!isStandard(node) || rank < 2) return null;
  return AXIS_RULES.get(node.opType)?.[input]?.(node, rank) ?? null;
}

/** A weight with the scales it would be quantized with. */
export interface ScaledWeight {
  readonly tensor: Tensor;
  readonly layout: ChannelLayout;
  /** Of the channels, or null for one scale. */
  readonly axis: number | null;
  readonly scales: Float32Array;
}

export interface ScaleOptions {
  /** Of the channels, or null for one scale. */
  readonly axis: number | null;
  /** The weight in another layout than its initializer. */
  readonly tensor?: Tensor;
  /** Whether an integer kernel multiplies it by u8: see `pairwiseScales`. */
  readonly pairwise?: boolean;
}

/** Magnitudes of weights by the axis of their channels: they are asked for with every candidate that has the weight. */
const magnitudes = new WeakMap<TensorProto, Map<number | null, Promise<ChannelMagnitudes | null>>>();

function magnitudesOf(proto: TensorProto, axis: number | null, read: () => Promise<ChannelMagnitudes | null>) {
  const byAxis = magnitudes.get(proto) ?? new Map<number | null, Promise<ChannelMagnitudes | null>>();
  magnitudes.set(proto, byAxis);
  const found = byAxis.get(axis) ?? read();
  byAxis.set(axis, found);
  return found;
}

/** Reads a weight once for its scales. @returns why it cannot be quantized, as text, or the weight */
export async function scaleWeight(
  proto: TensorProto,
  { axis, tensor: other, pairwise = false }: ScaleOptions,
): Promise<ScaledWeight | string> {
  if (proto.dataType !== DATA_TYPE.FLOAT) return `its weight is ${dataTypeName(proto.dataType)}, not FLOAT`;
  if (numel(proto.dims) === 0) return 'its weight is empty';
  const tensor = other ?? tensorOf(proto);
  const layout = channelLayout(tensor.shape, axis);
  const read = () => channelMagnitudes(tensor, layout);
  const found = await (other ? read() : magnitudesOf(proto, axis, read));
  if (found === null) return `its weight ${proto.name} holds NaN or an infinity`;
  return { tensor, layout, axis, scales: (pairwise ? pairwiseScales : symmetricScales)(found) };
}

/** Bytes of an entry in the file besides its values: names, dims, nodes. */
const ENTRY_BYTES = 100;

/** Whether int8 values with their scales take less than the float32 they stand for. */
export const paysOff = (proto: TensorProto, channels: number): boolean =>
  numel(proto.dims) + 4 * channels + ENTRY_BYTES < 4 * numel(proto.dims);
