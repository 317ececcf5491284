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
  /**
   * How far apart in memory the weights lie that a sum over inputs takes one after the other; null where that is not known.
   * Convolutions sum over the inputs at one position of the kernel, then at the next.
   */
  readonly step: number | null;
}

/** @param axis - of the channels, or null for one scale for all */
export function channelLayout(shape: readonly number[], axis: number | null): ChannelLayout {
  if (axis === null) return { channels: 1, inner: Math.max(1, numel(shape)), step: null };
  const step = axis === 0 ? numel(shape.slice(2)) : axis === shape.length - 1 ? shape[axis] : null;
  return { channels: shape[axis], inner: numel(shape.slice(axis + 1)), step };
}

/** What the scale of a channel depends on. */
export interface ChannelMagnitudes {
  /** Largest |value| of every channel. */
  readonly largest: Float32Array;
  /** Largest |sum| of two values that follow each other in the sum over inputs; of any two where their order is not known. */
  readonly pair: Float32Array;
}

/** Magnitudes of every channel of a float32 tensor, streamed once; null where a value is NaN or infinite. */
export async function channelMagnitudes(tensor: Tensor, layout: ChannelLayout): Promise<ChannelMagnitudes | null> {
  const { channels, inner, step } = layout;
  const found = { largest: new Float32Array(channels), pair: new Float32Array(channels) };
  const block = new Float32Array(inner === 1 || step === null ? channels : inner);
  let at = 0;
  for await (const chunk of tensor.chunks()) {
    const values = asFloat32(chunk);
    // NaN once a value is NaN or infinite, else 0.
    let poison = inner === 1 ? columnMagnitudes(values, at % channels, block, found) : 0;
    for (const { channel, start, end } of runs(at, values.length, layout)) {
      if (step === null) poison += runMagnitudes(values, start, end, channel, block, found);
      else {
        const done = (at + start) % inner;
        block.set(values.subarray(start, end), done);
        if (done + end - start === inner) poison += blockMagnitudes(block, step, channel, found);
      }
    }
    if (poison !== 0) return null;
    at += values.length;
  }
  return found;
}

/** A stretch of a channel whose order is not known. @param seconds - the largest |value| of each channel but one */
function runMagnitudes(
  values: Float32Array,
  start: number,
  end: number,
  channel: number,
  seconds: Float32Array,
  found: ChannelMagnitudes,
): number {
  let [largest, second, poison] = [found.largest[channel], seconds[channel], 0];
  for (let i = start; i < end; i++) {
    const magnitude = Math.abs(values[i]);
    poison += magnitude - magnitude;
    if (magnitude > second) {
      second = Math.min(magnitude, largest);
      largest = Math.max(magnitude, largest);
    }
  }
  found.largest[channel] = largest;
  seconds[channel] = second;
  found.pair[channel] = largest + second;
  return poison;
}

/** All of a channel, [inputs, positions]. */
function blockMagnitudes(block: Float32Array, step: number, channel: number, found: ChannelMagnitudes): number {
  let [largest, pair, poison] = [0, 0, 0];
  for (let i = 0; i < block.length; i++) {
    const magnitude = Math.abs(block[i]);
    poison += magnitude - magnitude;
    largest = Math.max(largest, magnitude);
  }
  for (let i = step; i < block.length; i++) pair = Math.max(pair, Math.abs(block[i] + block[i - step]));
  // Behind the last input of a position comes the first of the next.
  const last = block.length - step;
  for (let position = 1; position < step; position++)
    pair = Math.max(pair, Math.abs(block[position] + block[last + position - 1]));
  found.largest[channel] = largest;
  found.pair[channel] = pair;
  return poison;
}

/** Channels in the last axis: every element is of another. @param before - the row before, which becomes the last one here */
function columnMagnitudes(
  values: Float32Array,
  first: number,
  before: Float32Array,
  { largest, pair }: ChannelMagnitudes,
): number {
  let [channel, poison] = [first, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    poison += value - value;
    largest[channel] = Math.max(largest[channel], Math.abs(value));
    pair[channel] = Math.max(pair[channel], Math.abs(value + before[channel]));
    before[channel] = value;
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
