import type { ByteSink } from '../../src/core/bytes/sink.js';

/** Keeps what is written. */
export class MemorySink implements ByteSink {
  byteLength = 0;
  private readonly parts: Buffer[] = [];

  async write(bytes: Uint8Array): Promise<void> {
    this.parts.push(Buffer.from(bytes));
    this.byteLength += bytes.byteLength;
  }

  bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}
