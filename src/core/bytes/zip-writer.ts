import { crc32 } from 'node:zlib';
import type { ByteSink } from './sink.js';

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

interface Written {
  readonly name: Uint8Array;
  readonly crc: number;
  readonly size: number;
  readonly headerOffset: number;
}

/**
 * Writes a zip of stored entries in one pass: the CRC of an entry follows its data, as in the files torch writes.
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
  async add(name: string, size: number, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const entry = { name: Buffer.from(name), size, headerOffset: this.offset };
    await this.sink.write(this.localHeader(entry));
    let crc = 0;
    let done = 0;
    for await (const chunk of chunks) {
      crc = crc32(chunk, crc);
      done += chunk.byteLength;
      await this.sink.write(chunk);
    }
    if (done !== size) throw new RangeError(`${name}: ${done} bytes came, ${size} were due`);
    const written = { ...entry, crc };
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

  private localHeader({ name, size, headerOffset }: Omit<Written, 'crc'>): Uint8Array {
    const zip64 = size >= MAX_32 ? extraField(ZIP64_EXTRA, u64(size), u64(size)) : new Uint8Array();
    const unpadded = headerOffset + LOCAL_HEADER_BYTES + name.byteLength + zip64.byteLength + EXTRA_HEADER_BYTES;
    const padding = extraField(
      PADDING_EXTRA,
      new Uint8Array((this.alignment - (unpadded % this.alignment)) % this.alignment),
    );
    const shortSize = size >= MAX_32 ? MAX_32 : 0;
    return concat(
      u32(LOCAL_HEADER),
      u16(VERSION_ZIP64, FLAGS, 0, 0, DOS_DATE),
      u32(0, shortSize, shortSize),
      u16(name.byteLength, zip64.byteLength + padding.byteLength),
      name,
      zip64,
      padding,
    );
  }
}

function dataDescriptor({ crc, size }: Written): Uint8Array {
  return concat(u32(DATA_DESCRIPTOR, crc), size >= MAX_32 ? concat(u64(size), u64(size)) : u32(size, size));
}

function centralHeader({ name, crc, size, headerOffset }: Written): Uint8Array {
  const long: Uint8Array[] = [];
  if (size >= MAX_32) long.push(u64(size), u64(size));
  if (headerOffset >= MAX_32) long.push(u64(headerOffset));
  const extra = long.length > 0 ? extraField(ZIP64_EXTRA, ...long) : new Uint8Array();
  const shortSize = size >= MAX_32 ? MAX_32 : size;
  return concat(
    u32(CENTRAL_HEADER),
    u16(VERSION_ZIP64, VERSION_ZIP64, FLAGS, 0, 0, DOS_DATE),
    u32(crc, shortSize, shortSize),
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
