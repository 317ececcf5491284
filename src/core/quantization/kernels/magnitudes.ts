import type { Tensor } from '../../tensor/tensor.js';
import { asFloat32 } from '../../tensor/values.js';
import { type ChannelLayout, stretches } from '../channel-layout.js';
import { FLOAT_BYTES, int8Kernel, PIECE, piecesOf } from './int8-kernel.js';

/** What the scale of a channel depends on. */
export interface ChannelMagnitudes {
  /** Largest |value| of every channel. */
  readonly largest: Float32Array;
  /** Largest |sum| of two values that follow each other in the sum over inputs; of any two where their order is not known. */
  readonly pair: Float32Array;
}

/** Magnitudes of every channel of a float32 tensor, streamed once; null where a value is NaN or infinite. */
export async function channelMagnitudes(tensor: Tensor, layout: ChannelLayout): Promise<ChannelMagnitudes | null> {
  const gauge = gaugeOf(layout);
  let at = 0;
  for await (const chunk of tensor.chunks()) {
    const values = asFloat32(chunk);
    if (!gauge.add(values, at)) return null;
    at += values.length;
  }
  return gauge.found;
}

/** Takes the values of a weight in order. */
interface Gauge {
  readonly found: ChannelMagnitudes;
  /**
   * @param at - place of the first value in the weight
   * @returns whether all are finite
   */
  add(values: Float32Array, at: number): boolean;
}

function gaugeOf(layout: ChannelLayout): Gauge {
  const { channels, inner, step } = layout;
  const found = { largest: new Float32Array(channels), pair: new Float32Array(channels) };
  if (inner === 1) return new RowGauge(found, layout);
  return step === null ? new RunGauge(found, layout) : new BlockGauge(found, layout, step);
}

/** Channels in the last axis: every value is of another, and follows the one a row before. */
class RowGauge implements Gauge {
  private readonly before: Float32Array;

  constructor(
    readonly found: ChannelMagnitudes,
    private readonly layout: ChannelLayout,
  ) {
    this.before = new Float32Array(layout.channels);
  }

  add(values: Float32Array, at: number): boolean {
    const { channels } = this.layout;
    const state = [this.found.largest, this.found.pair, this.before];
    const { kernel, arrays } = int8Kernel(channels, channels, channels, PIECE);
    const [place] = arrays.splice(-1);
    for (const [i, array] of arrays.entries()) array.set(state[i]);
    for (const { start, piece } of piecesOf(values)) {
      place.set(piece);
      for (const { channel, from, end } of stretches(at + start, piece.length, this.layout)) {
        const [largest, pair, before] = arrays.map(({ byteOffset }) => byteOffset + FLOAT_BYTES * channel);
        if (kernel.row(place.byteOffset + FLOAT_BYTES * from, end - from, largest, pair, before) !== 0) return false;
      }
    }
    for (const [i, array] of arrays.entries()) state[i].set(array);
    return true;
  }
}

/** Channels [inputs, positions], one after the other. */
class BlockGauge implements Gauge {
  /** The first values of a channel, one a position. */
  private readonly first: Float32Array;
  /** The last `step` values there were. */
  private readonly last: Float32Array;

  constructor(
    readonly found: ChannelMagnitudes,
    private readonly layout: ChannelLayout,
    private readonly step: number,
  ) {
    this.first = new Float32Array(step);
    this.last = new Float32Array(step);
  }

  add(values: Float32Array, at: number): boolean {
    const { step, first, last } = this;
    const { inner } = this.layout;
    const { kernel, arrays } = int8Kernel(2, step + PIECE);
    const [result, place] = arrays;
    place.set(last);
    for (const { start, piece } of piecesOf(values)) {
      place.set(piece, step);
      for (const { channel, from, end } of stretches(at + start, piece.length, this.layout)) {
        const done = (at + start + from) % inner;
        if (done < step) first.set(piece.subarray(from, Math.min(end, from + step - done)), done);
        const pointer = place.byteOffset + FLOAT_BYTES * (step + from);
        if (kernel.block(pointer, end - from, Math.max(0, step - done), step, result.byteOffset) !== 0) return false;
        this.raise(channel, result[0], result[1]);
        if (done + end - from === inner) this.joinPositions(channel, place.subarray(end, end + step));
      }
      place.copyWithin(0, piece.length, piece.length + step);
    }
    last.set(place.subarray(0, step));
    return true;
  }

  /** Behind the last input of a position comes the first of the next. */
  private joinPositions(channel: number, last: Float32Array): void {
    for (let position = 1; position < this.step; position++)
      this.raise(channel, 0, Math.abs(this.first[position] + last[position - 1]));
  }

  private raise(channel: number, value: number, sum: number): void {
    const { largest, pair } = this.found;
    largest[channel] = Math.max(largest[channel], value);
    pair[channel] = Math.max(pair[channel], sum);
  }
}

/** Channels whose order in the sum is not known: any two values may meet. */
class RunGauge implements Gauge {
  /** The largest |value| of each channel but one. */
  private readonly seconds: Float32Array;

  constructor(
    readonly found: ChannelMagnitudes,
    private readonly layout: ChannelLayout,
  ) {
    this.seconds = new Float32Array(layout.channels);
  }

  add(values: Float32Array, at: number): boolean {
    const { kernel, arrays } = int8Kernel(8, PIECE);
    const [candidates, place] = arrays;
    for (const { start, piece } of piecesOf(values)) {
      place.set(piece);
      for (const { channel, from, end } of stretches(at + start, piece.length, this.layout)) {
        const rest = end - ((end - from) % 4);
        const pointer = place.byteOffset + FLOAT_BYTES * from;
        if (kernel.largestTwo(pointer, rest - from, candidates.byteOffset) !== 0) return false;
        this.insert(channel, candidates);
        if (!this.insert(channel, piece.subarray(rest, end))) return false;
      }
    }
    return true;
  }

  private insert(channel: number, values: Float32Array): boolean {
    const { largest, pair } = this.found;
    let [first, second, finite] = [largest[channel], this.seconds[channel], true];
    for (const value of values) {
      const magnitude = Math.abs(value);
      finite &&= Number.isFinite(value);
      second = Math.max(second, Math.min(magnitude, first));
      first = Math.max(magnitude, first);
    }
    largest[channel] = first;
    this.seconds[channel] = second;
    pair[channel] = first + second;
    return finite;
  }
}
