import { bytesOf } from '../tensor/values.js';
import type { SentValues, StoredValue } from './exchange.js';
import { type TensorValue, type ValueDtype, valueFromBytes } from './value.js';

/**
 * What passes between a program and the thread of a session in its model process, over a socket of their own: frames of a fixed
 * prefix, a head in JSON and the values as they lie in memory. A message of the process takes the way of its main thread, twice
 * through the structured clone, and costs the processor three times as much.
 */

/** Descriptors of wires in the process: behind the exchange of values. */
const FIRST_WIRE_FD = 5;
/** Sessions that have a wire; further ones are reached by messages. */
export const MOST_WIRES = 9;

export const wireFd = (wire: number): number => FIRST_WIRE_FD + wire;

/** Bytes of what follows, number of the request, bytes of the head; each as u32, little-endian. */
const PREFIX_BYTES = 12;
/** Values begin at multiples of it, so that every dtype is aligned. */
const ALIGNMENT = 8;

export interface Frame<H> {
  readonly id: number;
  readonly head: H;
  readonly values: SentValues;
}

interface ValueHead {
  readonly name: string;
  readonly dtype: ValueDtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Where it lies in the exchange; absent for one that follows. */
  readonly at?: number;
}

/** The bytes of a frame. */
export function encodeFrame({ id, head, values }: Frame<object>): Buffer {
  const heads = Array.from(values, ([name, value]) => headOf(name, value));
  const json = Buffer.from(JSON.stringify({ head, values: heads }));
  const inline = [...values.values()].flatMap((value) => ('data' in value ? [bytesOf(value.data)] : []));
  const start = up(PREFIX_BYTES + json.length);
  const length = inline.reduce((sum, bytes) => sum + up(bytes.byteLength), start);
  const frame = Buffer.allocUnsafe(length);
  frame.writeUInt32LE(length - PREFIX_BYTES, 0);
  frame.writeUInt32LE(id, 4);
  frame.writeUInt32LE(json.length, 8);
  json.copy(frame, PREFIX_BYTES);
  let at = start;
  for (const bytes of inline) {
    frame.set(bytes, at);
    at += up(bytes.byteLength);
  }
  return frame;
}

const headOf = (name: string, value: TensorValue | StoredValue): ValueHead => {
  const { dtype, shape } = value;
  if ('data' in value) return { name, dtype, shape, byteLength: value.data.byteLength };
  return { name, dtype, shape, byteLength: value.byteLength, at: value.at };
};

const up = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/** Puts frames together from the pieces they arrive in. */
export class FrameReader<H> {
  private chunks: Uint8Array[] = [];
  private length = 0;

  /** The frames that are whole with this piece, each value with memory of its own; the piece may be written over afterwards. */
  push(chunk: Uint8Array): Frame<H>[] {
    this.chunks.push(Buffer.from(chunk)); // a copy: of a Buffer, `slice` is none
    this.length += chunk.byteLength;
    const frames: Frame<H>[] = [];
    while (this.length >= PREFIX_BYTES) {
      const needed = PREFIX_BYTES + this.prefix().readUInt32LE(0);
      if (this.length < needed) break;
      const bytes = this.joined();
      frames.push(decodeFrame(bytes.subarray(0, needed)));
      const rest = bytes.subarray(needed);
      this.chunks = rest.byteLength > 0 ? [rest] : [];
      this.length = rest.byteLength;
    }
    return frames;
  }

  private prefix(): Buffer {
    const [first] = this.chunks;
    return first.byteLength >= PREFIX_BYTES ? buffer(first) : this.joined();
  }

  private joined(): Buffer {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks, this.length)];
    return buffer(this.chunks[0]);
  }
}

const buffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

function decodeFrame<H>(bytes: Buffer): Frame<H> {
  const jsonEnd = PREFIX_BYTES + bytes.readUInt32LE(8);
  const { head, values: heads } = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, jsonEnd)) as {
    head: H;
    values: ValueHead[];
  };
  const values = new Map<string, TensorValue | StoredValue>();
  let at = up(jsonEnd);
  for (const { name, dtype, shape, byteLength, at: stored } of heads) {
    if (stored !== undefined) values.set(name, { dtype, shape, at: stored, byteLength });
    else {
      values.set(name, valueFromBytes(dtype, shape, new Uint8Array(bytes.subarray(at, at + byteLength))));
      at += up(byteLength);
    }
  }
  return { id: bytes.readUInt32LE(4), head, values };
}
