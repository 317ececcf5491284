import type { ByteSource } from './source.js';

/** Several sources end to end, as one. */
export class ConcatSource implements ByteSource {
  readonly byteLength: number;
  private readonly starts: readonly number[];

  constructor(
    private readonly parts: readonly ByteSource[],
    readonly name: string,
  ) {
    let end = 0;
    this.starts = parts.map((part) => {
      const start = end;
      end += part.byteLength;
      return start;
    });
    this.byteLength = end;
  }

  readSync(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(this.checkedLength(offset, length));
    for (const { part, at, from, count } of this.ranges(offset, length)) bytes.set(part.readSync(from, count), at);
    return bytes;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    this.checkedLength(offset, target.byteLength);
    for (const { part, at, from, count } of this.ranges(offset, target.byteLength)) {
      await part.readInto(from, target.subarray(at, at + count));
    }
  }

  /** The parts under a range, joined again: reading it later costs nothing for the others. */
  slice(offset: number, length: number, name = this.name): ByteSource {
    this.checkedLength(offset, length);
    const parts = [...this.ranges(offset, length)].map(({ part, from, count }) => part.slice(from, count));
    return new ConcatSource(parts, name);
  }

  close(): void {
    for (const part of this.parts) part.close();
  }

  private checkedLength(offset: number, length: number): number {
    const ok = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
    if (ok && offset + length <= this.byteLength) return length;
    throw new RangeError(`${this.name}: bytes ${offset}+${length} are outside its ${this.byteLength} bytes`);
  }

  /** The pieces of a range: `count` bytes at `from` of `part`, which belong at `at` of the result. */
  private *ranges(offset: number, length: number) {
    for (let i = 0; i < this.parts.length; i++) {
      const from = Math.max(offset, this.starts[i]);
      const to = Math.min(offset + length, this.starts[i] + this.parts[i].byteLength);
      if (from < to) yield { part: this.parts[i], at: from - offset, from: from - this.starts[i], count: to - from };
    }
  }
}
