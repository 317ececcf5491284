import { crc32 } from 'node:zlib';
import { deflated } from './deflate.js';
import type { ByteSink } from './sink.js';
import type { ZipEntry } from './zip.js';

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
const ZIP64_END_OF_DIRECTORY = 0x06064b50;
const ZIP64_LOCATOR = 0x07064b50;
const DATA_DESCRIPTOR = 0x08074b50;

const LOCAL_HEADER_BYTES = 30;
const ZIP64_EXTRA = 0x0001;
/** An extra field of any id is skipped by readers; torch pads with this one. */
const PADDING_EXTRA = 0x4246;
const EXTRA_HEADER_BYTES = 4;
/** Version 4.5 of the format, the first with zip64. */
const VERSION_ZIP64 = 45;
/** Sizes and CRC follow the data; names are UTF-8. */
const FLAGS = (1 << 3) | (1 << 11);
/** 1980-01-01, the earliest date there is, so that the same entries give the same bytes. */
const DOS_DATE = (1 << 5) | 1;
const MAX_32 = 0xffffffff;
const MAX_16 = 0xffff;

const STORED = 0;
const DEFLATED = 8;

interface Written {
  readonly name: Uint8Array;
  readonly method: number;
  readonly crc: number;
  readonly size: number;
  readonly compressedSize: number;
  readonly headerOffset: number;
}

/**
 * Writes a zip in one pass: the CRC of an entry follows its data, as in the files torch writes. Entries are stored unless they are asked
 * to be compressed.
 * The data of each entry start at a multiple of `alignment`.
 * @see PKWARE APPNOTE 6.3.10
 */
export class ZipWriter {
  private readonly written: Written[] = [];
  /** Where the archive starts in the sink. */
  private readonly start: number;

  constructor(
    private readonly sink: ByteSink,
    private readonly alignment: number,
  ) {
    this.start = sink.byteLength;
  }

  /**
   * @param size - the bytes that `chunks` must come to: a size of 4 GiB or more has to be announced before the data
   * @throws RangeError if they come to another number
   */
  async add(
    name: string,
    size: number,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { deflate = false }: { readonly deflate?: boolean } = {},
  ): Promise<void> {
    let crc = 0;
    let done = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        crc = crc32(chunk, crc);
        done += chunk.byteLength;
        yield chunk;
      }
    }
    await this.entry(name, size, deflate ? deflated(counted()) : counted(), deflate, () => crc);
    if (done !== size) throw new RangeError(`${name}: ${done} bytes came, ${size} were due`);
  }

  /** An entry of another archive, its data as they lie there. */
  async copy({ name, size, crc32: crc, method }: ZipEntry, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.entry(name, size, chunks, method === 'deflate', () => crc);
  }

  private async entry(
    path: string,
    size: number,
    data: AsyncIterable<Uint8Array>,
    deflate: boolean,
    crc: () => number,
  ): Promise<void> {
    const method = deflate ? DEFLATED : STORED;
    const entry = { name: Buffer.from(path), method, size, headerOffset: this.offset };
    await this.sink.write(this.localHeader(entry));
    const start = this.offset;
    for await (const chunk of data) await this.sink.write(chunk);
    const written = { ...entry, crc: crc(), compressedSize: this.offset - start };
    await this.sink.write(dataDescriptor(written));
    this.written.push(written);
  }

  /** Writes the directory; the sink stays open. */
  async finish(): Promise<void> {
    const offset = this.offset;
    const headers = this.written.map(centralHeader);
    const byteLength = headers.reduce((sum, header) => sum + header.byteLength, 0);
    await this.sink.write(concat(...headers));
    await this.sink.write(endOfDirectory({ entries: headers.length, offset, byteLength }));
  }

  private get offset(): number {
    return this.sink.byteLength - this.start;
  }

  private localHeader({ name, method, size, headerOffset }: Omit<Written, 'crc' | 'compressedSize'>): Uint8Array {
    const zip64 = size >= MAX_32 ? extraField(ZIP64_EXTRA, u64(size), u64(size)) : new Uint8Array();
    const unpadded = headerOffset + LOCAL_HEADER_BYTES + name.byteLength + zip64.byteLength + EXTRA_HEADER_BYTES;
    const padding = extraField(
      PADDING_EXTRA,
      new Uint8Array((this.alignment - (unpadded % this.alignment)) % this.alignment),
    );
    const shortSize = size >= MAX_32 ? MAX_32 : 0;
    return concat(
      u32(LOCAL_HEADER),
      u16(VERSION_ZIP64, FLAGS, method, 0, DOS_DATE),
      u32(0, shortSize, shortSize),
      u16(name.byteLength, zip64.byteLength + padding.byteLength),
      name,
      zip64,
      padding,
    );
  }
}

function dataDescriptor({ crc, size, compressedSize }: Written): Uint8Array {
  const sizes = size >= MAX_32 ? concat(u64(compressedSize), u64(size)) : u32(compressedSize, size);
  return concat(u32(DATA_DESCRIPTOR, crc), sizes);
}

function centralHeader({ name, method, crc, size, compressedSize, headerOffset }: Written): Uint8Array {
  const long: Uint8Array[] = [];
  if (size >= MAX_32) long.push(u64(size), u64(compressedSize));
  if (headerOffset >= MAX_32) long.push(u64(headerOffset));
  const extra = long.length > 0 ? extraField(ZIP64_EXTRA, ...long) : new Uint8Array();
  const sizes = size >= MAX_32 ? [MAX_32, MAX_32] : [compressedSize, size];
  return concat(
    u32(CENTRAL_HEADER),
    u16(VERSION_ZIP64, VERSION_ZIP64, FLAGS, method, 0, DOS_DATE),
    u32(crc, ...sizes),
    u16(name.byteLength, extra.byteLength, 0, 0, 0), // no comment, disk 0, no internal attributes
    u32(0, Math.min(headerOffset, MAX_32)),
    name,
    extra,
  );
}

function endOfDirectory({
  entries,
  offset,
  byteLength,
}: {
  entries: number;
  offset: number;
  byteLength: number;
}): Uint8Array {
  const end = concat(
    u32(END_OF_DIRECTORY),
    u16(0, 0, Math.min(entries, MAX_16), Math.min(entries, MAX_16)),
    u32(Math.min(byteLength, MAX_32), Math.min(offset, MAX_32)),
    u16(0),
  );
  if (entries < MAX_16 && offset < MAX_32 && byteLength < MAX_32) return end;
  const zip64 = concat(
    u32(ZIP64_END_OF_DIRECTORY),
    u64(44), // bytes that follow this field
    u16(VERSION_ZIP64, VERSION_ZIP64),
    u32(0, 0),
    u64(entries),
    u64(entries),
    u64(byteLength),
    u64(offset),
  );
  return concat(zip64, u32(ZIP64_LOCATOR, 0), u64(offset + byteLength), u32(1), end);
}

const extraField = (id: number, ...data: Uint8Array[]): Uint8Array => {
  const body = concat(...data);
  return concat(u16(id, body.byteLength), body);
};

const u16 = (...values: number[]): Uint8Array => new Uint8Array(values.flatMap((value) => [value & 0xff, value >>> 8]));

function u32(...values: number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => {
    view.setUint32(4 * i, value, true);
  });
  return new Uint8Array(view.buffer);
}

function u64(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(value), true);
  return new Uint8Array(view.buffer);
}

const concat = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);
