import { numel } from '../tensor/shape.js';

/** Where the channels of a weight lie in memory: element i is of channel floor(i / inner) mod channels. */
export interface Channels {
  readonly channels: number;
  readonly inner: number;
}

export interface ChannelLayout extends Channels {
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

/** Consecutive values of one channel or, where channels change with every value, of consecutive ones from `channel` on. */
export interface Stretch {
  readonly channel: number;
  /** First value, and the one behind the last. */
  readonly from: number;
  readonly end: number;
}

/** The stretches of `length` values, the first of which is element `at` of the weight. */
export function* stretches(at: number, length: number, { channels, inner }: Channels): Generator<Stretch> {
  const most = inner === 1 ? channels : inner;
  for (let from = 0; from < length; ) {
    const position = at + from;
    const end = Math.min(length, from + most - (position % most));
    yield { channel: Math.floor(position / inner) % channels, from, end };
    from = end;
  }
}
