/** Protocol 2, which every version of torch reads. */
const PROTOCOL = 2;

const OP = {
  PROTO: 0x80,
  STOP: 0x2e,
  MARK: 0x28,
  NEWFALSE: 0x89,
  BININT: 0x4a,
  BINFLOAT: 0x47,
  LONG1: 0x8a,
  BINUNICODE: 0x58,
  BINBYTES: 0x42,
  EMPTY_TUPLE: 0x29,
  TUPLE: 0x74,
  EMPTY_LIST: 0x5d,
  APPENDS: 0x65,
  EMPTY_DICT: 0x7d,
  SETITEMS: 0x75,
  GLOBAL: 0x63,
  REDUCE: 0x52,
  BINPERSID: 0x51,
} as const;

/** Appends opcodes to a pickle; the caller keeps the stack straight. */
export class PickleWriter {
  private readonly parts: Uint8Array[] = [Uint8Array.of(OP.PROTO, PROTOCOL)];

  text(value: string): this {
    const utf8 = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(utf8.byteLength);
    return this.op('BINUNICODE', length, utf8);
  }

  /** A safe integer. */
  int(value: number): this {
    const bytes = Buffer.alloc(8);
    if (value === (value | 0)) {
      bytes.writeInt32LE(value);
      return this.op('BININT', bytes.subarray(0, 4));
    }
    bytes.writeBigInt64LE(BigInt(value));
    return this.op('LONG1', Uint8Array.of(8), bytes);
  }

  float(value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return this.op('BINFLOAT', bytes);
  }

  intTuple(values: readonly number[]): this {
    this.op('MARK');
    for (const value of values) this.int(value);
    return this.op('TUPLE');
  }

  global(module: string, name: string): this {
    return this.op('GLOBAL', Buffer.from(`${module}\n${name}\n`));
  }

  op(name: keyof typeof OP, ...operand: Uint8Array[]): this {
    this.parts.push(Uint8Array.of(OP[name]), ...operand);
    return this;
  }

  /** The whole pickle. */
  finish(): Uint8Array {
    this.op('STOP');
    return Buffer.concat(this.parts);
  }
}
