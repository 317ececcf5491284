import { corruptFile } from './refusal.js';

/** Reads little-endian numbers one after another from bytes in memory; running out is CHECKPOINT_CORRUPT, never a wrong value. */
export class ByteCursor {
  offset = 0;
  private readonly view: DataView;

  /** @param name - what errors call the bytes */
  constructor(
    readonly bytes: Uint8Array,
    readonly name: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.bytes.byteLength - this.offset;
  }

  /** Moves past `length` bytes and returns where they start. */
  advance(length: number): number {
    if (!(length >= 0 && length <= this.remaining)) {
      throw corruptFile(this.name, `${length} bytes are due at ${this.offset}, ${this.remaining} are left`);
    }
    const start = this.offset;
    this.offset += length;
    return start;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  i32(): number {
    return this.view.getInt32(this.advance(4), true);
  }

  f64be(): number {
    return this.view.getFloat64(this.advance(8), false);
  }

  /** An unsigned 64-bit length or offset; beyond 2^53 no file can hold it. */
  u64(): number {
    const value = this.view.getBigUint64(this.advance(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw corruptFile(this.name, `${value} is no possible length or offset`);
    return Number(value);
  }

  /** A view, not a copy. */
  take(length: number): Uint8Array {
    const start = this.advance(length);
    return this.bytes.subarray(start, start + length);
  }
}
