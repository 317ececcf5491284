import { crc32, inflateRawSync } from 'node:zlib';
import { LIMITS } from '../limits.js';
import { ByteCursor } from './cursor.js';
import { corruptFile, unsafeFile } from './refusal.js';
import type { ByteSource } from './source.js';

// An own reader rather than yauzl: a weights file must account for every one of its bytes (headers that agree, nothing
// before, between or after), which needs the positions a general library keeps to itself, and then little is left to share.
// Format: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
const ZIP64_END_OF_DIRECTORY = 0x06064b50;
const ZIP64_LOCATOR = 0x07064b50;
const DATA_DESCRIPTOR = 0x08074b50;

const LOCAL_HEADER_BYTES = 30;
const END_BYTES = 22;
const ZIP64_LOCATOR_BYTES = 20;
const ZIP64_END_BYTES = 56;
/** The shortest central header: 46 bytes and a name of one. */
const CENTRAL_HEADER_MIN_BYTES = 47;

const ZIP64_EXTRA = 0x0001;
const IN_ZIP64_16 = 0xffff;
const IN_ZIP64_32 = 0xffffffff;

const FLAG_ENCRYPTED = 1 << 0;
const FLAG_DESCRIPTOR = 1 << 3;
/** Compression level (bits 1 and 2), data descriptor, UTF-8 names. */
const KNOWN_FLAGS = 0b110 | FLAG_DESCRIPTOR | (1 << 11);

const METHODS = new Map<number, ZipEntry['method']>([
  [0, 'stored'],
  [8, 'deflate'],
]);

export interface ZipEntry {
  readonly name: string;
  readonly method: 'stored' | 'deflate';
  /** Where the entry's data start in the source. */
  readonly offset: number;
  /** Bytes in the file, and once inflated; equal for a stored entry. */
  readonly compressedSize: number;
  readonly size: number;
  /** CRC-32 of the inflated bytes. */
  readonly crc32: number;
}

interface CentralHeader extends Omit<ZipEntry, 'offset'> {
  readonly rawName: Uint8Array;
  readonly methodCode: number;
  readonly flags: number;
  readonly headerOffset: number;
}

interface Directory {
  readonly offset: number;
  readonly byteLength: number;
  readonly entries: number;
}

/** Whether the bytes open like a zip with at least one entry. */
export const looksLikeZip = (head: Uint8Array): boolean =>
  head.byteLength >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0, true) === LOCAL_HEADER;

/**
 * The entries of a zip archive in the order of its directory, by name; data are not read.
 * Every byte of the file must belong to one entry or to the directory, and both headers of an entry must agree.
 * @throws HpsError CHECKPOINT_CORRUPT or CHECKPOINT_UNSAFE
 */
export function openZip(source: ByteSource): ReadonlyMap<string, ZipEntry> {
  const directory = findDirectory(source);
  const headers = readCentralHeaders(source, directory);
  const entries = new Map<string, ZipEntry>();
  const foldedNames = new Set<string>();
  for (const header of headers) {
    const folded = header.name.toLowerCase();
    if (foldedNames.has(folded))
      throw unsafeFile(source.name, `two zip entries are named ${quote(header.name)} (but for case)`);
    foldedNames.add(folded);
    entries.set(header.name, { ...publicFields(header), offset: 0 });
  }
  // In file order each entry must start where the one before ended: no overlap, no gap, nothing prepended.
  let end = 0;
  for (const header of [...headers].sort((a, b) => a.headerOffset - b.headerOffset)) {
    if (header.headerOffset !== end) {
      throw unsafeFile(
        source.name,
        `zip entry ${quote(header.name)} starts at byte ${header.headerOffset}, expected ${end}: entries overlap or hide bytes`,
      );
    }
    const offset = checkLocalHeader(source, header, directory.offset);
    entries.set(header.name, { ...publicFields(header), offset });
    end =
      offset +
      header.compressedSize +
      descriptorLength(source, header, offset + header.compressedSize, directory.offset);
  }
  if (end !== directory.offset)
    throw unsafeFile(source.name, `${directory.offset - end} bytes before the zip directory belong to no entry`);
  return entries;
}

/**
 * The whole of one entry, inflated if need be, its length and CRC-32 checked.
 * @param maxBytes - the caller's bound on the size, compared before anything is allocated
 */
export function readEntry(source: ByteSource, entry: ZipEntry, maxBytes: number): Uint8Array {
  const what = `zip entry ${quote(entry.name)}`;
  if (entry.size > maxBytes)
    throw unsafeFile(source.name, `${what} has ${entry.size} bytes, at most ${maxBytes} are read`);
  const raw = source.readSync(entry.offset, entry.compressedSize);
  const bytes = entry.method === 'stored' ? raw : inflate(source.name, what, raw, entry.size);
  if (crc32(bytes) !== entry.crc32) throw corruptFile(source.name, `${what} has another CRC-32 than its header states`);
  return bytes;
}

function inflate(file: string, what: string, raw: Uint8Array, size: number): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = inflateRawSync(raw, { maxOutputLength: Math.max(1, size) });
  } catch (cause) {
    const reason =
      (cause as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
        ? `more than the ${size} bytes stated`
        : 'damaged data';
    throw corruptFile(file, `${what} inflates to ${reason}`);
  }
  if (bytes.byteLength !== size)
    throw corruptFile(file, `${what} inflates to ${bytes.byteLength} bytes, ${size} are stated`);
  return bytes;
}

function findDirectory(source: ByteSource): Directory {
  const endOffset = source.byteLength - END_BYTES;
  if (endOffset < 0) throw corruptFile(source.name, `${source.byteLength} bytes are too few for a zip file`);
  const end = new ByteCursor(source.readSync(endOffset, END_BYTES), source.name);
  if (end.u32() !== END_OF_DIRECTORY) {
    throw corruptFile(
      source.name,
      'the zip directory is not at the end of the file: it is cut short, or bytes were appended',
    );
  }
  const disks = [end.u16(), end.u16()];
  const entriesHere = end.u16();
  const stated = { entries: end.u16(), byteLength: end.u32(), offset: end.u32() };
  if (disks.some((disk) => disk !== 0 && disk !== IN_ZIP64_16) || entriesHere !== stated.entries) {
    throw corruptFile(source.name, 'the zip archive is split over several files');
  }
  if (end.u16() !== 0) throw unsafeFile(source.name, 'the zip archive carries a comment');

  const zip64 = findZip64Directory(source, endOffset);
  if (
    zip64 === null &&
    (stated.entries === IN_ZIP64_16 || stated.byteLength === IN_ZIP64_32 || stated.offset === IN_ZIP64_32)
  ) {
    throw corruptFile(source.name, 'the zip64 directory is missing');
  }
  const directory = zip64?.directory ?? stated;
  const directoryEnd = zip64?.offset ?? endOffset;
  const agrees = (short: number, long: number, marker: number) => short === marker || short === long;
  if (
    !agrees(stated.entries, directory.entries, IN_ZIP64_16) ||
    !agrees(stated.byteLength, directory.byteLength, IN_ZIP64_32) ||
    !agrees(stated.offset, directory.offset, IN_ZIP64_32)
  ) {
    throw corruptFile(source.name, 'the zip and zip64 directories disagree');
  }
  if (directory.offset + directory.byteLength !== directoryEnd) {
    throw corruptFile(
      source.name,
      `the zip directory (${directory.byteLength} bytes at ${directory.offset}) does not end at byte ${directoryEnd}: bytes were prepended, cut or added`,
    );
  }
  if (directory.entries > LIMITS.zipEntries || directory.entries * CENTRAL_HEADER_MIN_BYTES > directory.byteLength) {
    throw unsafeFile(
      source.name,
      `the zip directory states ${directory.entries} entries in ${directory.byteLength} bytes`,
    );
  }
  if (directory.byteLength > LIMITS.zipDirectoryBytes)
    throw unsafeFile(source.name, `the zip directory takes ${directory.byteLength} bytes`);
  return directory;
}

/** The zip64 end record, which must stand right before its locator, itself right before the end record; null without one. */
function findZip64Directory(source: ByteSource, endOffset: number): { directory: Directory; offset: number } | null {
  const locatorOffset = endOffset - ZIP64_LOCATOR_BYTES;
  const offset = locatorOffset - ZIP64_END_BYTES;
  if (offset < 0) return null;
  const cursor = new ByteCursor(source.readSync(offset, ZIP64_END_BYTES + ZIP64_LOCATOR_BYTES), source.name);
  cursor.offset = ZIP64_END_BYTES;
  if (cursor.u32() !== ZIP64_LOCATOR) return null;
  const locatorDisk = cursor.u32();
  const recordOffset = cursor.u64();
  cursor.offset = 0;
  if (locatorDisk !== 0 || recordOffset !== offset || cursor.u32() !== ZIP64_END_OF_DIRECTORY) {
    throw corruptFile(source.name, `the zip64 locator points to byte ${recordOffset}, the record belongs at ${offset}`);
  }
  if (cursor.u64() !== ZIP64_END_BYTES - 12)
    throw corruptFile(source.name, 'the zip64 end record has another length than 56');
  cursor.advance(4); // versions made by, needed
  const disks = cursor.u32() + cursor.u32();
  const entriesHere = cursor.u64();
  const directory = { entries: cursor.u64(), byteLength: cursor.u64(), offset: cursor.u64() };
  if (disks !== 0 || entriesHere !== directory.entries)
    throw corruptFile(source.name, 'the zip archive is split over several files');
  return { directory, offset };
}

function readCentralHeaders(source: ByteSource, directory: Directory): CentralHeader[] {
  const cursor = new ByteCursor(source.readSync(directory.offset, directory.byteLength), source.name);
  const headers: CentralHeader[] = [];
  for (let i = 0; i < directory.entries; i++) headers.push(readCentralHeader(cursor));
  if (cursor.remaining > 0)
    throw corruptFile(source.name, `${cursor.remaining} bytes follow the last entry of the zip directory`);
  return headers;
}

function readCentralHeader(cursor: ByteCursor): CentralHeader {
  if (cursor.u32() !== CENTRAL_HEADER)
    throw corruptFile(cursor.name, `no zip entry at directory byte ${cursor.offset - 4}`);
  cursor.advance(4); // versions made by, needed
  const flags = cursor.u16();
  const methodCode = cursor.u16();
  cursor.advance(4); // time, date
  const crc = cursor.u32();
  const short = { compressedSize: cursor.u32(), size: cursor.u32() };
  const nameLength = cursor.u16();
  const extraLength = cursor.u16();
  const commentLength = cursor.u16();
  const disk = cursor.u16();
  cursor.advance(6); // internal, external attributes
  const shortOffset = cursor.u32();
  const rawName = cursor.take(nameLength);
  const name = checkedName(cursor.name, rawName);
  const long = zip64Values(new ByteCursor(cursor.take(extraLength), cursor.name), [
    short.size,
    short.compressedSize,
    shortOffset,
  ]);
  cursor.advance(commentLength);
  if (disk !== 0) throw corruptFile(cursor.name, 'the zip archive is split over several files');

  const method = METHODS.get(methodCode);
  if (flags & FLAG_ENCRYPTED) throw unsafeFile(cursor.name, `zip entry ${quote(name)} is encrypted`);
  if (flags & ~KNOWN_FLAGS) throw unsafeFile(cursor.name, `zip entry ${quote(name)} has flags 0x${flags.toString(16)}`);
  if (method === undefined)
    throw unsafeFile(cursor.name, `zip entry ${quote(name)} is compressed by method ${methodCode}`);
  const [size, compressedSize, headerOffset] = long;
  checkSizes(cursor.name, name, method, size, compressedSize);
  return { name, rawName, method, methodCode, flags, crc32: crc, size, compressedSize, headerOffset };
}

function checkSizes(
  file: string,
  name: string,
  method: ZipEntry['method'],
  size: number,
  compressedSize: number,
): void {
  if (method === 'stored') {
    if (size !== compressedSize)
      throw corruptFile(file, `stored zip entry ${quote(name)} has two sizes, ${compressedSize} and ${size}`);
    return;
  }
  if (size > LIMITS.zipInflatedBytes || (size > LIMITS.zipRatioFromBytes && size > compressedSize * LIMITS.zipRatio)) {
    throw unsafeFile(file, `zip entry ${quote(name)} inflates ${compressedSize} bytes to ${size}`);
  }
}

/** Sizes and offset, each from the zip64 extra field where its 32-bit field says so; a marker without the field is a lie. */
function zip64Values(extra: ByteCursor, values: readonly number[]): number[] {
  const field = zip64Extra(extra);
  return values.map((value) => {
    if (value !== IN_ZIP64_32) return value;
    if (field === null) throw corruptFile(extra.name, 'a zip64 size is missing');
    return field.u64();
  });
}

function zip64Extra(extra: ByteCursor): ByteCursor | null {
  while (extra.remaining >= 4) {
    const id = extra.u16();
    const data = extra.take(extra.u16());
    if (id === ZIP64_EXTRA) return new ByteCursor(data, extra.name);
  }
  return null;
}

/** Compares the local header with the central one and returns where the data start. */
function checkLocalHeader(source: ByteSource, header: CentralHeader, limit: number): number {
  const what = `zip entry ${quote(header.name)}`;
  if (header.headerOffset + LOCAL_HEADER_BYTES > limit)
    throw corruptFile(source.name, `${what} starts outside the file`);
  const local = new ByteCursor(source.readSync(header.headerOffset, LOCAL_HEADER_BYTES), source.name);
  const disagree = (field: string) => unsafeFile(source.name, `the two headers of ${what} disagree about its ${field}`);
  if (local.u32() !== LOCAL_HEADER) throw corruptFile(source.name, `${what} has no local header`);
  local.advance(2); // version needed
  if (local.u16() !== header.flags) throw disagree('flags');
  if (local.u16() !== header.methodCode) throw disagree('method');
  local.advance(4); // time, date
  const crc = local.u32();
  const shortSizes = [local.u32(), local.u32()];
  const nameLength = local.u16();
  const extraLength = local.u16();
  const restOffset = header.headerOffset + LOCAL_HEADER_BYTES;
  const offset = restOffset + nameLength + extraLength;
  if (offset + header.compressedSize > limit) throw corruptFile(source.name, `${what} ends outside the file`);
  const rest = new ByteCursor(source.readSync(restOffset, nameLength + extraLength), source.name);
  if (Buffer.compare(rest.take(nameLength), header.rawName) !== 0) throw disagree('name');

  // With a data descriptor the local header may leave these at zero; the descriptor is compared instead.
  const later = (header.flags & FLAG_DESCRIPTOR) !== 0;
  if (crc !== header.crc32 && !(later && crc === 0)) throw disagree('CRC-32');
  // In a local header the zip64 field holds the inflated size first, then the compressed one.
  const extra = new ByteCursor(rest.take(extraLength), source.name);
  const [size, compressedSize] = zip64Values(extra, [shortSizes[1], shortSizes[0]]);
  if (size !== header.size && !(later && size === 0)) throw disagree('size');
  if (compressedSize !== header.compressedSize && !(later && compressedSize === 0)) throw disagree('compressed size');
  return offset;
}

/** Bytes of the data descriptor after an entry: CRC and sizes of 4 or 8 bytes, usually but not always behind a signature. */
function descriptorLength(source: ByteSource, header: CentralHeader, offset: number, limit: number): number {
  if ((header.flags & FLAG_DESCRIPTOR) === 0) return 0;
  const found = source.readSync(offset, Math.min(24, limit - offset));
  for (const sizeBytes of [4, 8]) {
    for (const signature of [true, false]) {
      const expected = dataDescriptor(header, sizeBytes, signature);
      if (Buffer.compare(found.subarray(0, expected.byteLength), expected) === 0) return expected.byteLength;
    }
  }
  throw unsafeFile(source.name, `the data descriptor of zip entry ${quote(header.name)} disagrees with the directory`);
}

function dataDescriptor(header: CentralHeader, sizeBytes: number, signature: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 + 2 * sizeBytes));
  view.setUint32(0, DATA_DESCRIPTOR, true);
  view.setUint32(4, header.crc32, true);
  [header.compressedSize, header.size].forEach((size, i) => {
    if (sizeBytes === 8) view.setBigUint64(8 + 8 * i, BigInt(size), true);
    else view.setUint32(8 + 4 * i, size, true);
  });
  return new Uint8Array(view.buffer, signature ? 0 : 4);
}

/** A relative path of plain segments, so that no reader can be led out of a folder, and the same for every reader. */
function checkedName(file: string, raw: Uint8Array): string {
  let name: string;
  try {
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    throw unsafeFile(file, 'a zip entry has a name that is not UTF-8');
  }
  const segments = name.replace(/\/$/, '').split('/'); // a trailing slash marks a folder
  if (
    /[\p{Cc}\\]|^[a-z]:/iu.test(name) ||
    segments.some((segment) => segment === '' || segment === '.' || segment === '..')
  ) {
    throw unsafeFile(file, `a zip entry has the unsafe name ${quote(name)}`);
  }
  return name;
}

const publicFields = ({ name, method, compressedSize, size, crc32 }: CentralHeader): Omit<ZipEntry, 'offset'> => ({
  name,
  method,
  compressedSize,
  size,
  crc32,
});

const quote = (name: string): string => JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);
