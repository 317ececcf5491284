import { DATA_TYPE, type TensorProto } from '../onnx/model.js';
import { numel } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { hasNonFinite } from '../tensor/transform.js';
import { asFloat32, bytesOf } from '../tensor/values.js';
import { SMALLEST_SCALE } from './range.js';

/** Symmetric: -128 is not used, so that a weight and its negative round alike. */
const S8_MAX = 127;
/** Adding and taking away 1.5 * 2^52 rounds a small float64 to an integer, half to even, as QuantizeLinear does. */
const ROUND = 1.5 * 2 ** 52;

/** Where the channels of a weight lie in memory: element i is of channel floor(i / inner) mod channels. */
export interface ChannelLayout {
  readonly channels: number;
  readonly inner: number;
}

/** @param axis - of the channels, or null for one scale for all */
export function channelLayout(shape: readonly number[], axis: number | null): ChannelLayout {
  if (axis === null) return { channels: 1, inner: Math.max(1, numel(shape)) };
  return { channels: shape[axis], inner: numel(shape.slice(axis + 1)) };
}

/** Largest |value| of every channel of a float32 tensor, streamed; null where one is NaN or infinite. */
export async function channelMaxima(tensor: Tensor, layout: ChannelLayout): Promise<Float32Array | null> {
  const maxima = new Float32Array(layout.channels);
  let at = 0;
  for await (const chunk of tensor.chunks()) {
    if (hasNonFinite(chunk, 'F32')) return null;
    const values = asFloat32(chunk);
    for (const { channel, start, end } of runs(at, values.length, layout)) {
      let max = maxima[channel];
      for (let i = start; i < end; i++) {
        const magnitude = Math.abs(values[i]);
        if (magnitude > max) max = magnitude;
      }
      maxima[channel] = max;
    }
    if (layout.inner === 1) columnMaxima(values, at % layout.channels, maxima);
    at += values.length;
  }
  return maxima;
}

/** Channels in the last axis: every element is of another. */
function columnMaxima(values: Float32Array, first: number, maxima: Float32Array): void {
  let channel = first;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]);
    if (magnitude > maxima[channel]) maxima[channel] = magnitude;
    if (++channel === maxima.length) channel = 0;
  }
}

/** Stretches of a chunk that are of one channel; none where channels change with every element. */
function* runs(
  at: number,
  length: number,
  { channels, inner }: ChannelLayout,
): Generator<{ channel: number; start: number; end: number }> {
  if (inner === 1) return;
  for (let start = 0; start < length; ) {
    const position = at + start;
    const end = Math.min(length, start + inner - (position % inner));
    yield { channel: Math.floor(position / inner) % channels, start, end };
    start = end;
  }
}

/**
 * Scales of symmetric int8 channels. A channel of zeros takes the smallest scale of the others: 0/0 would be NaN, and a large one
 * would make the bias of an integer convolution coarse.
 */
export function symmetricScales(maxima: Float32Array): Float32Array {
  const scales = maxima.map((max) => max / S8_MAX);
  const usable = scales.filter((scale) => scale >= SMALLEST_SCALE);
  const smallest = usable.length > 0 ? usable.reduce((a, b) => Math.min(a, b)) : 1;
  return scales.map((scale) => (scale >= SMALLEST_SCALE ? scale : smallest));
}

/** The weight as int8, quantized as it streams. */
export function quantizedWeight(
  name: string,
  tensor: Tensor,
  layout: ChannelLayout,
  scales: Float32Array,
): TensorProto {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let at = 0;
    for await (const chunk of tensor.chunks()) {
      const values = asFloat32(chunk);
      const quantized = new Int8Array(values.length);
      for (const { channel, start, end } of runs(at, values.length, layout)) {
        const scale = scales[channel];
        for (let i = start; i < end; i++) quantized[i] = toInt8(values[i] / scale);
      }
      if (layout.inner === 1) quantizeColumns(values, at % layout.channels, scales, quantized);
      at += values.length;
      yield bytesOf(quantized);
    }
  }
  return {
    name,
    dims: [...tensor.shape],
    dataType: DATA_TYPE.INT8,
    rawData: { byteLength: numel(tensor.shape), chunks },
  };
}

function quantizeColumns(values: Float32Array, first: number, scales: Float32Array, quantized: Int8Array): void {
  let channel = first;
  for (let i = 0; i < values.length; i++) {
    quantized[i] = toInt8(values[i] / scales[channel]);
    if (++channel === scales.length) channel = 0;
  }
}

/** The scale is the float32 of max / 127, which may be a little small: hence the bound. */
function toInt8(value: number): number {
  const rounded = value + ROUND - ROUND;
  return Math.min(S8_MAX, Math.max(-S8_MAX, rounded));
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
