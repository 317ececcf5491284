import type { Pixels } from '../image/pixels.js';
import { invalidMedia } from '../refusal.js';

const MAX_HEADER_BYTES = 40;
const HEADER = /^P6\n(\d{1,9}) (\d{1,9})\n255\n/;

/** Cuts a stream of binary PPM pictures, as FFmpeg writes them, into pictures; holds one of them in memory. */
export class PpmReader {
  private header = Buffer.alloc(0);
  private frame: Pixels | null = null;
  private filled = 0;

  constructor(
    private readonly maxPixels: number,
    private readonly name: string,
  ) {}

  /** The pictures that are complete with these bytes; each is valid until it is asked for the next. */
  *push(bytes: Uint8Array): Generator<Pixels> {
    let rest = bytes;
    while (rest.byteLength > 0) {
      if (this.frame === null) rest = this.readHeader(rest);
      const { frame } = this;
      if (frame === null) return;
      const piece = rest.subarray(0, frame.data.byteLength - this.filled);
      frame.data.set(piece, this.filled);
      this.filled += piece.byteLength;
      rest = rest.subarray(piece.byteLength);
      if (this.filled < frame.data.byteLength) return;
      this.frame = null;
      yield frame;
    }
  }

  /** Takes in bytes until the header is whole; what follows it is returned. */
  private readHeader(bytes: Uint8Array): Uint8Array {
    const held = this.header.byteLength;
    this.header = Buffer.concat([this.header, bytes.subarray(0, MAX_HEADER_BYTES - held)]);
    const found = HEADER.exec(this.header.toString('latin1'));
    if (!found) {
      if (this.header.byteLength === MAX_HEADER_BYTES) throw this.unexpected('no picture');
      return new Uint8Array();
    }
    const width = Number(found[1]);
    const height = Number(found[2]);
    if (!(width * height > 0 && width * height <= this.maxPixels))
      throw this.unexpected(`a frame of ${width} x ${height}`);
    this.frame = { width, height, data: new Uint8Array(width * height * 3) };
    this.filled = 0;
    this.header = Buffer.alloc(0);
    return bytes.subarray(found[0].length - held);
  }

  private unexpected(what: string) {
    return invalidMedia(
      this.name,
      `decodes to ${what}; 1 to ${this.maxPixels} pixels are read`,
      'Make its frames smaller.',
    );
  }
}
