import { crc32, inflateRawSync } from 'node:zlib';
import type { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { ByteCursor } from './cursor.js';
import { corruptFile, unsafeFile } from './refusal.js';
import { type ByteRange, type ByteSource, readChunks } from './source.js';
import {
  type CentralHeader,
  FLAG_DESCRIPTOR,
  findDirectory,
  quote,
  readCentralHeaders,
  zip64Values,
} from './zip-directory.js';

// An own reader rather than yauzl: a weights file must account for every one of its bytes (headers that agree, nothing
// before, between or after), which needs the positions a general library keeps to itself, and then little is left to share.
// Format: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.

const LOCAL_HEADER = 0x04034b50;
const DATA_DESCRIPTOR = 0x08074b50;
const LOCAL_HEADER_BYTES = 30;
const EXTRA_FIELD_BYTES = 128;

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
  source.expect?.(headers.map((header) => localHeaderRange(source, header)));
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
  if (crc32(bytes) !== entry.crc32) throw otherCrc(source, entry);
  return bytes;
}

/**
 * Compares a stored entry with its CRC-32, without holding it.
 * @throws HpsError CHECKPOINT_CORRUPT
 */
export async function checkStoredEntry(source: ByteSource, entry: ZipEntry): Promise<void> {
  let crc = 0;
  const data = source.slice(entry.offset, entry.compressedSize);
  for await (const piece of readChunks(data, LIMITS.chunkBytes)) crc = crc32(piece, crc);
  if (crc !== entry.crc32) throw otherCrc(source, entry);
}

/** The entry's bytes are not those that its CRC-32 was taken of. */
export const otherCrc = (source: ByteSource, { name }: ZipEntry): HpsError =>
  corruptFile(source.name, `zip entry ${quote(name)} has another CRC-32 than its header states`);

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

/** Where a local header lies, with as much room for its extra field as torch takes to align what follows. */
function localHeaderRange(source: ByteSource, { headerOffset: offset, rawName }: CentralHeader): ByteRange {
  const most = LOCAL_HEADER_BYTES + rawName.byteLength + EXTRA_FIELD_BYTES;
  return { offset, length: Math.max(0, Math.min(most, source.byteLength - offset)) };
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

const publicFields = ({ name, method, compressedSize, size, crc32 }: CentralHeader): Omit<ZipEntry, 'offset'> => ({
  name,
  method,
  compressedSize,
  size,
  crc32,
});
