import type { ByteSource } from '../bytes/source.js';
import { LIMITS } from '../limits.js';
import type { WeightSource } from './model.js';
import { corruptOnnx } from './refusal.js';

/** How a field's bytes are delimited (protobuf encoding guide, "Message Structure"). Groups (3, 4) are not used by ONNX. */
export const WIRE = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

/** Enough that small structure is read in few calls, little enough that jumping between large weights wastes nothing. */
const WINDOW_BYTES = 64 * 1024;
const MAX_VARINT_BYTES = 10;
const TWO_32 = 2 ** 32;

/** Reads protobuf values in order from a source, through a window: what is skipped is never read. */
export class WireReader {
  position = 0;
  /** Halves of the varint read last, unsigned. */
  low = 0;
  high = 0;
  private window: Uint8Array = new Uint8Array(0);
  private windowStart = 0;
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(readonly source: ByteSource) {}

  corrupt(rule: string): Error {
    return corruptOnnx(this.source.name, `${rule} (at byte ${this.position})`);
  }

  /** A varint into `low` and `high`. `end` is where the enclosing message ends. */
  varint(end: number): void {
    this.low = 0;
    this.high = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.byte(end);
      const bits = byte & 0x7f;
      if (i < 4) this.low += bits << (7 * i);
      else if (i === 4) {
        this.low = (this.low | (bits << 28)) >>> 0;
        this.high = bits >>> 4;
      } else this.high = (this.high | (bits << (7 * i - 32))) >>> 0;
      if (byte < 0x80) return;
    }
    throw this.corrupt('a number is longer than 10 bytes');
  }

  /** Field number and wire type as one number. */
  tag(end: number): number {
    this.varint(end);
    if (this.high !== 0 || this.low < 8) throw this.corrupt('not a field number');
    return this.low;
  }

  int32(end: number): number {
    this.varint(end);
    return this.low | 0;
  }

  /** An int64 as a number. */
  safeInt64(end: number): number {
    this.varint(end);
    const value = (this.high | 0) * TWO_32 + this.low;
    if (!Number.isSafeInteger(value)) throw this.corrupt(`${this.int64Value()} is no possible count or size`);
    return value;
  }

  bigint64(end: number): bigint {
    this.varint(end);
    return this.int64Value();
  }

  biguint64(end: number): bigint {
    this.varint(end);
    return BigInt.asUintN(64, this.int64Value());
  }

  /** A length prefix, checked against the end of the enclosing message. */
  length(end: number): number {
    this.varint(end);
    const length = this.high * TWO_32 + this.low;
    if (length > end - this.position) throw this.corrupt(`${length} bytes are due, ${end - this.position} are left`);
    return length;
  }

  /** A copy of the next `length` bytes, which the caller knows to be there. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const start = this.position - this.windowStart;
    this.position += length;
    if (start >= 0 && start + length <= this.window.byteLength)
      return new Uint8Array(this.window.subarray(start, start + length));
    return this.source.readSync(this.position - length, length) as Uint8Array<ArrayBuffer>;
  }

  fixed(end: number, size: 4 | 8): DataView {
    if (end - this.position < size) throw this.corrupt(`${size} bytes are due, ${end - this.position} are left`);
    return new DataView(this.bytes(size).buffer);
  }

  string(length: number): string {
    const bytes = this.bytes(length);
    try {
      return this.decoder.decode(bytes);
    } catch {
      throw this.corrupt('a string is not UTF-8');
    }
  }

  /** Moves past a value of a field that is not in the schema. */
  skip(wireType: number, end: number): void {
    if (wireType === WIRE.VARINT) this.varint(end);
    else if (wireType === WIRE.FIXED64) this.fixed(end, 8);
    else if (wireType === WIRE.FIXED32) this.fixed(end, 4);
    else if (wireType === WIRE.BYTES) {
      const length = this.length(end); // moves the position itself
      this.position += length;
    } else throw this.corrupt(`wire type ${wireType} is not used by ONNX`);
  }

  private int64Value(): bigint {
    return BigInt.asIntN(64, (BigInt(this.high) << 32n) | BigInt(this.low));
  }

  private byte(end: number): number {
    if (this.position >= end) throw this.corrupt('a message ends inside a value');
    let index = this.position - this.windowStart;
    if (index < 0 || index >= this.window.byteLength) {
      this.windowStart = this.position;
      this.window = this.source.readSync(this.position, Math.min(WINDOW_BYTES, this.source.byteLength - this.position));
      index = 0;
    }
    this.position++;
    return this.window[index];
  }
}

export type Piece = Uint8Array | WeightSource;

/** Bytes in memory from this size on become a piece of their own instead of being copied. */
const SPLICE_BYTES = 4096;
const FIRST_BUFFER_BYTES = 4096;

/**
 * Writes protobuf from the last byte to the first: when a message's length is due, its content has already been written,
 * so no sizes are worked out beforehand. Weights are spliced in as they are, unread.
 */
export class ReverseWriter {
  /** Bytes written so far, weights included. */
  byteLength = 0;
  private readonly pieces: Piece[] = [];
  private buffer = Buffer.alloc(FIRST_BUFFER_BYTES);
  private start = FIRST_BUFFER_BYTES;
  /** `buffer` is used from `start` to here. */
  private end = FIRST_BUFFER_BYTES;

  bytes(value: Uint8Array): void {
    if (value.byteLength >= SPLICE_BYTES) this.splice(value);
    else {
      const at = this.reserve(value.byteLength);
      this.buffer.set(value, at);
    }
  }

  splice(weight: Piece): void {
    this.flush();
    this.pieces.push(weight);
    this.byteLength += weight.byteLength;
  }

  string(value: string): void {
    const length = Buffer.byteLength(value);
    const at = this.reserve(length); // first: it may replace the buffer
    this.buffer.write(value, at, length, 'utf8');
  }

  float(value: number): void {
    const at = this.reserve(4);
    this.buffer.writeFloatLE(value, at);
  }

  double(value: number): void {
    const at = this.reserve(8);
    this.buffer.writeDoubleLE(value, at);
  }

  /** A safe integer; negative ones take ten bytes, as protobuf's int32 and int64 do. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not an integer that can be written`);
    if (value < 0) {
      this.bigVarint(BigInt(value));
      return;
    }
    let length = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
    let at = this.reserve(length);
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.buffer[at++] = (rest % 0x80) | 0x80;
    this.buffer[at] = rest;
  }

  bigVarint(value: bigint): void {
    const encoded: number[] = [];
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) encoded.push(Number(rest & 0x7fn) | 0x80);
    encoded.push(Number(rest));
    const at = this.reserve(encoded.length);
    this.buffer.set(encoded, at);
  }

  /** Everything, first byte first. */
  finish(): Piece[] {
    this.flush();
    return this.pieces.reverse();
  }

  /** Makes room for `length` bytes before those written, and returns where it starts in `buffer`. */
  private reserve(length: number): number {
    if (this.start < length) {
      this.flush();
      const size = Math.max(length, Math.min(2 * this.buffer.byteLength, LIMITS.chunkBytes));
      this.buffer = Buffer.alloc(size);
      this.start = size;
      this.end = size;
    }
    this.byteLength += length;
    this.start -= length;
    return this.start;
  }

  private flush(): void {
    if (this.end > this.start) this.pieces.push(this.buffer.subarray(this.start, this.end));
    this.end = this.start;
  }
}
