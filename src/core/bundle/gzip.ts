import { crc32 } from 'node:zlib';
import { type Chunks, DeflateStream } from '../bytes/deflate.js';
import type { ByteSink } from '../bytes/sink.js';

/** ID, method, no flags, no time, slowest compression, system unknown. */
const GZIP_HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255);
/** The last block: stored, and empty. */
const LAST_BLOCK = Uint8Array.of(1, 0, 0, 0xff, 0xff);
const STORED_BYTES = 0xffff;

/** Whether bytes are compressed, or stored as they are: weights have nothing to gain. */
export type Packing = 'deflate' | 'store';

/** A gzip file (RFC 1952) of parts, each packed in its own way, whose bytes depend on nothing but these. */
export class GzipWriter {
  private byteLength = 0;
  private crc = 0;
  /** What is compressed goes through one stream, as long as nothing stored comes between. */
  private stream: DeflateStream | null = null;

  constructor(private readonly sink: ByteSink) {}

  async start(): Promise<void> {
    await this.sink.write(GZIP_HEADER);
  }

  async add(chunks: Chunks, packing: Packing): Promise<void> {
    if (packing === 'store') await this.flush();
    else this.stream ??= new DeflateStream();
    for await (const chunk of chunks) {
      this.crc = crc32(chunk, this.crc);
      this.byteLength += chunk.byteLength;
      if (packing === 'store') await this.store(chunk);
      else for (const piece of this.stream!.push(chunk)) await this.sink.write(piece);
    }
  }

  async finish(): Promise<void> {
    await this.flush();
    await this.sink.write(LAST_BLOCK);
    const trailer = new DataView(new ArrayBuffer(8));
    trailer.setUint32(0, this.crc, true);
    trailer.setUint32(4, this.byteLength % 2 ** 32, true);
    await this.sink.write(new Uint8Array(trailer.buffer));
  }

  private async flush(): Promise<void> {
    for (const piece of this.stream?.end('flush') ?? []) await this.sink.write(piece);
    this.stream = null;
  }

  private async store(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength; at += STORED_BYTES) {
      const piece = bytes.subarray(at, at + STORED_BYTES);
      const { byteLength: n } = piece;
      await this.sink.write(Uint8Array.of(0, n & 0xff, n >> 8, ~n & 0xff, (~n >> 8) & 0xff));
      await this.sink.write(piece);
    }
  }
}

/** Whether a file begins as those do that are written here. */
export const isOurGzip = (head: Uint8Array): boolean => GZIP_HEADER.every((byte, i) => head[i] === byte);
