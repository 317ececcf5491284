import { corruptFile } from './refusal.js';
import type { ByteSource } from './source.js';

/** Reads little-endian numbers one after another from bytes in memory; running out is CHECKPOINT_CORRUPT, never a wrong value. */
export class ByteCursor {
  offset = 0;
  private view: DataView;

  /** @param name - what errors call the bytes */
  constructor(
    private data: Uint8Array,
    readonly name: string,
  ) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  /** The bytes in memory, from the start. */
  get bytes(): Uint8Array {
    return this.data;
  }

  get remaining(): number {
    return this.data.byteLength - this.offset;
  }

  /** Moves past `length` bytes and returns where they start. */
  advance(length: number): number {
    if (!(length <= this.remaining)) this.fetch(length);
    if (!(length >= 0 && length <= this.remaining)) {
      throw corruptFile(this.name, `${length} bytes are due at byte ${this.offset}, ${this.remaining} are left`);
    }
    const start = this.offset;
    this.offset += length;
    return start;
  }

  u8(): number {
    const start = this.advance(1); // first: it may bring a new view
    return this.view.getUint8(start);
  }

  u16(): number {
    const start = this.advance(2); // first: it may bring a new view
    return this.view.getUint16(start, true);
  }

  u32(): number {
    const start = this.advance(4); // first: it may bring a new view
    return this.view.getUint32(start, true);
  }

  i32(): number {
    const start = this.advance(4); // first: it may bring a new view
    return this.view.getInt32(start, true);
  }

  /** An unsigned 64-bit length or offset; beyond 2^53 no file can hold it. */
  u64(): number {
    const start = this.advance(8);
    const value = this.view.getBigUint64(start, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw corruptFile(this.name, `${value} is no possible length or offset`);
    return Number(value);
  }

  /** A big-endian double, as pickles have it. */
  f64BigEndian(): number {
    const start = this.advance(8); // first: it may bring a new view
    return this.view.getFloat64(start, false);
  }

  /** A view, not a copy. */
  take(length: number): Uint8Array {
    const start = this.advance(length);
    return this.data.subarray(start, start + length);
  }

  /** Called when fewer than `length` bytes remain in memory. */
  protected fetch(_length: number): void {}

  protected replace(data: Uint8Array): void {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }
}

/** A cursor over the opening of a source whose length is known only once it is parsed; reads more as it goes. */
export class SourceCursor extends ByteCursor {
  /** @param maxBytes - never holds more than this in memory; what goes on beyond it counts as cut off */
  constructor(
    private readonly source: ByteSource,
    private readonly maxBytes: number,
  ) {
    super(source.readSync(0, Math.min(FIRST_READ_BYTES, maxBytes, source.byteLength)), source.name);
  }

  protected override fetch(length: number): void {
    const held = this.bytes.byteLength;
    const wanted = Math.min(Math.max(2 * held, this.offset + length), this.maxBytes, this.source.byteLength);
    if (wanted > held) this.replace(this.source.readSync(0, wanted));
  }
}

const FIRST_READ_BYTES = 64 * 1024;
