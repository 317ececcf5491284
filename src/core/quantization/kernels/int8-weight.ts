import { DATA_TYPE, type TensorProto } from '../../onnx/model.js';
import { numel } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { asFloat32, bytesOf } from '../../tensor/values.js';
import { type ChannelLayout, stretches } from '../channel-layout.js';
import { SMALLEST_SCALE } from '../ranges/range.js';
import { FLOAT_BYTES, int8Kernel, PIECE, piecesOf } from './int8-kernel.js';
import type { ChannelMagnitudes } from './magnitudes.js';

/** Symmetric: -128 is not used, so that a weight and its negative round alike. */
const S8_MAX = 127;
/** Adding and taking away 1.5 * 2^52 rounds a small float64 to an integer, half to even, as QuantizeLinear does. */
const ROUND = 1.5 * 2 ** 52;

/** Scales of symmetric int8 channels: the largest value becomes 127. */
export const symmetricScales = ({ largest }: ChannelMagnitudes): Float32Array =>
  usableScales(largest.map((max) => max / S8_MAX));

/**
 * Scales of weights that meet u8 activations in integer kernels. x86 processors without VNNI add two products in 16 bits, and
 * 255 * 127 + 255 * 127 does not fit: sums are cut off there, scores change with the processor and by more than all rounding.
 * The two are weights that follow each other in the sum (`vpmaddubsw` over what the kernels of onnxruntime pack together); with
 * these scales no such two add up to more than 128, and 255 * 128 fits. It costs a part of a bit of precision.
 */
export const pairwiseScales = ({ largest, pair }: ChannelMagnitudes): Float32Array =>
  usableScales(largest.map((max, channel) => Math.max(max, pair[channel]) / S8_MAX));

/**
 * A channel of zeros takes the smallest scale of the others: 0/0 would be NaN, and a large one would make the bias of an integer
 * convolution coarse.
 */
function usableScales(scales: Float32Array): Float32Array {
  const usable = scales.filter((scale) => scale >= SMALLEST_SCALE);
  const smallest = usable.length > 0 ? usable.reduce((a, b) => Math.min(a, b)) : 1;
  return scales.map((scale) => (scale >= SMALLEST_SCALE ? scale : smallest));
}

/**
 * The weight as int8, quantized as it streams: each value over its scale in float64, rounded half to even as QuantizeLinear does.
 * No bound is needed: a scale is a float32 of at least max / 127, which is off by a part in 2^24, and 127 and so little more still
 * round to 127.
 */
export function quantizedWeight(
  name: string,
  tensor: Tensor,
  layout: ChannelLayout,
  scales: Float32Array,
): TensorProto {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let quantized = new Uint8Array(0);
    let at = 0;
    for await (const chunk of tensor.chunks()) {
      const values = asFloat32(chunk);
      if (quantized.length < values.length) quantized = new Uint8Array(values.length);
      quantizeInto(quantized, values, at, layout, scales);
      at += values.length;
      yield quantized.subarray(0, values.length);
    }
  }
  return {
    name,
    dims: [...tensor.shape],
    dataType: DATA_TYPE.INT8,
    rawData: { byteLength: numel(tensor.shape), chunks },
  };
}

function quantizeInto(
  target: Uint8Array,
  values: Float32Array,
  at: number,
  layout: ChannelLayout,
  scales: Float32Array,
): void {
  const { kernel, arrays } = int8Kernel(PIECE, scales.length, PIECE / FLOAT_BYTES);
  const [place, scalesPlace, levels] = arrays;
  const scaleStep = layout.inner === 1 ? FLOAT_BYTES : 0;
  scalesPlace.set(scales);
  for (const { start, piece } of piecesOf(values)) {
    place.set(piece);
    for (const { channel, from, end } of stretches(at + start, piece.length, layout))
      kernel.quantize(
        place.byteOffset + FLOAT_BYTES * from,
        end - from,
        scalesPlace.byteOffset + FLOAT_BYTES * channel,
        scaleStep,
        levels.byteOffset + from,
      );
    target.set(bytesOf(levels).subarray(0, piece.length), start);
  }
}

/** Largest |int32| a bias may take: a bit is left for the sum that is added to it. */
const BIAS_MAX = 2 ** 30;

/** Scales raised where a bias in steps of `scale * inputScale` would not fit into int32: such a channel is its bias and little else. */
export function scalesForBias(scales: Float32Array, bias: Float32Array, inputScale: number): Float32Array {
  const needed = bias.map((value) => Math.abs(value) / (BIAS_MAX * inputScale));
  if (scales.length > 1) return scales.map((scale, c) => Math.max(scale, needed[c]));
  return Float32Array.of(needed.reduce((a, b) => Math.max(a, b), scales[0]));
}

/** A bias in whole steps. @param steps - of each channel, or one for all */
export const quantizedBias = (bias: Float32Array, steps: Float32Array): Int32Array =>
  Int32Array.from(bias, (value, c) => {
    const rounded = value / steps[steps.length === 1 ? 0 : c] + ROUND - ROUND;
    return Math.min(BIAS_MAX, Math.max(-BIAS_MAX, rounded));
  });
