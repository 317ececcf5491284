import { LIMITS } from '../limits.js';
import { ByteCursor } from './cursor.js';
import { corruptFile, unsafeFile } from './refusal.js';
import type { ByteSource } from './source.js';

const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
const ZIP64_END_OF_DIRECTORY = 0x06064b50;
const ZIP64_LOCATOR = 0x07064b50;

const END_BYTES = 22;
const MAX_COMMENT_BYTES = 0xffff;
const ZIP64_LOCATOR_BYTES = 20;
const ZIP64_END_BYTES = 56;
/** The shortest central header: 46 bytes and a name of one. */
const CENTRAL_HEADER_MIN_BYTES = 47;

const ZIP64_EXTRA = 0x0001;
const IN_ZIP64_16 = 0xffff;
const IN_ZIP64_32 = 0xffffffff;

const FLAG_ENCRYPTED = 1 << 0;
/** Sizes and CRC-32 follow the data. */
export const FLAG_DESCRIPTOR = 1 << 3;
/** Compression level (bits 1 and 2), data descriptor, UTF-8 names. */
const KNOWN_FLAGS = 0b110 | FLAG_DESCRIPTOR | (1 << 11);

const METHODS = new Map<number, CentralHeader['method']>([
  [0, 'stored'],
  [8, 'deflate'],
]);

/** An entry as the directory describes it. */
export interface CentralHeader {
  readonly name: string;
  readonly method: 'stored' | 'deflate';
  readonly compressedSize: number;
  readonly size: number;
  readonly crc32: number;
  readonly rawName: Uint8Array;
  readonly methodCode: number;
  readonly flags: number;
  readonly headerOffset: number;
}

/** Whether a file ends in a zip archive, whatever it begins with. */
export function endsInZip(source: ByteSource): boolean {
  const start = Math.max(0, source.byteLength - END_BYTES - MAX_COMMENT_BYTES);
  const bytes = source.readSync(start, source.byteLength - start);
  const tail = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END_OF_DIRECTORY || at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length)
      continue;
    const isAt = (offset: number, signature: number): boolean =>
      offset >= 0 && Buffer.from(source.readSync(offset, 4)).readUInt32LE() === signature;
    const end = start + at;
    const locator = end - ZIP64_LOCATOR_BYTES;
    const directoryEnd = isAt(locator, ZIP64_LOCATOR) ? locator - ZIP64_END_BYTES : end; // torch writes both records
    if (isAt(directoryEnd - tail.readUInt32LE(at + 12), CENTRAL_HEADER)) return true;
  }
  return false;
}

/** Where the directory lies, and how many entries it states. */
export interface Directory {
  readonly offset: number;
  readonly byteLength: number;
  readonly entries: number;
}

/**
 * Finds the directory by the record at the very end of the file.
 * @throws HpsError CHECKPOINT_CORRUPT or CHECKPOINT_UNSAFE where anything precedes, follows or contradicts it
 */
export function findDirectory(source: ByteSource): Directory {
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

/** Every entry the directory lists, each checked on its own. */
export function readCentralHeaders(source: ByteSource, directory: Directory): CentralHeader[] {
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
  method: CentralHeader['method'],
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
export function zip64Values(extra: ByteCursor, values: readonly number[]): number[] {
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

/** A name for messages, cut where it is long. */
export const quote = (name: string): string => JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);
