import { DATA_TYPE, type TensorProto } from '../onnx/model.js';
import { numel } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
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

/** What the scale of a channel depends on. */
export interface ChannelMagnitudes {
  /** Largest |value| of every channel. */
  readonly largest: Float32Array;
  /** The next below it; as large where two are. */
  readonly second: Float32Array;
}

/** Magnitudes of every channel of a float32 tensor, streamed once; null where a value is NaN or infinite. */
export async function channelMagnitudes(tensor: Tensor, layout: ChannelLayout): Promise<ChannelMagnitudes | null> {
  const found = { largest: new Float32Array(layout.channels), second: new Float32Array(layout.channels) };
  let at = 0;
  for await (const chunk of tensor.chunks()) {
    const values = asFloat32(chunk);
    // NaN once a value is NaN or infinite, else 0.
    let poison = layout.inner === 1 ? columnMagnitudes(values, at % layout.channels, found) : 0;
    for (const { channel, start, end } of runs(at, values.length, layout))
      poison += runMagnitudes(values, start, end, channel, found);
    if (poison !== 0) return null;
    at += values.length;
  }
  return found;
}

function runMagnitudes(
  values: Float32Array,
  start: number,
  end: number,
  channel: number,
  found: ChannelMagnitudes,
): number {
  let [largest, second, poison] = [found.largest[channel], found.second[channel], 0];
  for (let i = start; i < end; i++) {
    const magnitude = Math.abs(values[i]);
    poison += magnitude - magnitude;
    if (magnitude > second) {
      second = Math.min(magnitude, largest);
      largest = Math.max(magnitude, largest);
    }
  }
  found.largest[channel] = largest;
  found.second[channel] = second;
  return poison;
}

/** Channels in the last axis: every element is of another. */
function columnMagnitudes(values: Float32Array, first: number, { largest, second }: ChannelMagnitudes): number {
  let [channel, poison] = [first, 0];
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]);
    poison += magnitude - magnitude;
    if (magnitude > second[channel]) {
      second[channel] = Math.min(magnitude, largest[channel]);
      largest[channel] = Math.max(magnitude, largest[channel]);
    }
    if (++channel === largest.length) channel = 0;
  }
  return poison;
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

/** Scales of symmetric int8 channels: the largest value becomes 127. */
export const symmetricScales = ({ largest }: ChannelMagnitudes): Float32Array =>
  usableScales(largest.map((max) => max / S8_MAX));

/**
 * Scales of weights that meet u8 activations in integer kernels. x86 processors without VNNI add two products in 16 bits, and
 * 255 * 127 + 255 * 127 does not fit: sums are cut off there, scores change with the processor and by more than all rounding.
 * With these scales no two weights of a channel add up to more than 128, and 255 * 128 fits; it costs up to a bit of precision.
 */
export const pairwiseScales = ({ largest, second }: ChannelMagnitudes): Float32Array =>
  usableScales(largest.map((max, channel) => (max + second[channel]) / S8_MAX));

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
 * The weight as int8, quantized as it streams. No bound is needed: a scale is a float32 of at least max / 127, which is off by a
 * part in 2^24, and 127 and so little more still round to 127.
 */
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
        for (let i = start; i < end; i++) quantized[i] = values[i] / scale + ROUND - ROUND;
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
    quantized[i] = values[i] / scales[channel] + ROUND - ROUND;
    if (++channel === scales.length) channel = 0;
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
