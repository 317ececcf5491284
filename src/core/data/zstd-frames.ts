/** As the zstd program: a larger window is asked for by hand there. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024;

const MAGIC = 0xfd2fb528;
/** The lowest of the sixteen magics of frames that hold no data. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_HEADER_BYTES = 8;
const CHECKSUM_BYTES = 4;
const BLOCK_HEADER_BYTES = 3;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

type Part = 'frame' | 'block' | 'checksum';

/**
 * Walks the frames and blocks of a zstd stream without decoding them, before the decoder does: it allocates whatever window a
 * frame asks for.
 *
 * @see RFC 8878, section 3.1
 */
export class ZstdFrames {
  /** The header that is being collected, and what it is the header of. */
  private header = Buffer.alloc(0);
  private part: Part = 'frame';
  private hasChecksum = false;
  /** Bytes to step over before the next header. */
  private skip = 0;

  /** @throws RangeError for a window beyond the limit, or bytes that are no frame */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.byteLength; ) {
      const skipped = Math.min(this.skip, chunk.byteLength - at);
      this.skip -= skipped;
      at += skipped;
      if (this.skip > 0 || at === chunk.byteLength) return;
      this.header = Buffer.concat([this.header, chunk.subarray(at, ++at)]);
      if (this.take()) this.header = Buffer.alloc(0);
    }
  }

  /** @throws RangeError within a frame */
  finish(): void {
    if (this.part !== 'frame' || this.header.byteLength > 0 || this.skip > 0) throw new RangeError('it is cut short');
  }

  /** Whether the header is whole, and was taken. */
  private take(): boolean {
    if (this.part === 'checksum') {
      // The first of its bytes was taken for a header.
      this.skip = CHECKSUM_BYTES - 1;
      this.part = 'frame';
      return true;
    }
    return this.part === 'block' ? this.takeBlock() : this.takeFrame();
  }

  private takeFrame(): boolean {
    const { header } = this;
    if (header.byteLength < 5) return false;
    const magic = header.readUInt32LE(0);
    if ((magic & ~15) >>> 0 === SKIPPABLE_MAGIC) {
      if (header.byteLength < SKIPPABLE_HEADER_BYTES) return false;
      this.skip = header.readUInt32LE(4);
      return true;
    }
    if (magic !== MAGIC) throw new RangeError('bytes that are no zstd frame');
    const descriptor = header[4];
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const sizeAt = 5 + (isSingleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3];
    const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6];
    if (header.byteLength < sizeAt + sizeBytes) return false;
    const window = isSingleSegment ? contentSize(header, sizeAt, sizeBytes) : windowSize(header[5]);
    if (window > MAX_WINDOW_BYTES) throw new RangeError(`a window of ${window} bytes is over ${MAX_WINDOW_BYTES}`);
    this.hasChecksum = (descriptor & 4) !== 0;
    this.part = 'block';
    return true;
  }

  private takeBlock(): boolean {
    if (this.header.byteLength < BLOCK_HEADER_BYTES) return false;
    const header = this.header.readUIntLE(0, BLOCK_HEADER_BYTES);
    const type = (header >> 1) & 3;
    if (type === RESERVED_BLOCK) throw new RangeError('a block of a type that is not known');
    this.skip = type === RLE_BLOCK ? 1 : header >>> 3;
    if ((header & 1) === 1) this.part = this.hasChecksum ? 'checksum' : 'frame';
    return true;
  }
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSize(header: Buffer, at: number, bytes: number): number {
  if (bytes === 8) return Number(header.readBigUInt64LE(at));
  return header.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0);
}
