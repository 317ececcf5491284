import { crc32 } from 'node:zlib';
import type { ColumnMetaData, Compressors } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { decompressPage } from 'hyparquet/src/datapage.js';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js';
import { readVarInt } from 'hyparquet/src/thrift.js';
import { compressors } from 'hyparquet-compressors';
import { LIMITS } from '../limits.js';

/** A Parquet file that breaks a rule; the message states it. */
export class ParquetError extends Error {
  override readonly name = 'ParquetError';
}

type PageHeader = ReturnType<typeof parquetHeader>;

/** Encodings whose output is bounded by what is checked here. */
const ENCODINGS: ReadonlySet<string> = new Set([
  'PLAIN',
  'PLAIN_DICTIONARY',
  'RLE_DICTIONARY',
  'RLE',
  'BIT_PACKED',
  'DELTA_BINARY_PACKED',
  'DELTA_LENGTH_BYTE_ARRAY',
  'DELTA_BYTE_ARRAY',
  'BYTE_STREAM_SPLIT',
]);
const CODECS: ReadonlySet<string> = new Set(['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'BROTLI', 'ZSTD', 'LZ4', 'LZ4_RAW']);

/** hyparquet-compressors 1.1.2 does not take the one-byte LZ4 block that stands for no bytes, as in a page of nulls. */
const orNothing =
  (decompress: Compressors['LZ4']): Compressors['LZ4'] =>
  (input, length) =>
    length === 0 ? new Uint8Array(0) : decompress!(input, length);

export const DECOMPRESSORS: Compressors = {
  ...compressors,
  LZ4: orNothing(compressors.LZ4),
  LZ4_RAW: orNothing(compressors.LZ4_RAW),
};

/** Widest bit-packed index; hyparquet shifts by it. */
const MAX_BIT_WIDTH = 32;
/** A compressed zstd block gives at most this many bytes (RFC 8878, section 3.1.1.2.4). */
const ZSTD_BLOCK_BYTES = 128 * 1024;

/** How deep a column is nested: the highest levels of its values. */
export interface ColumnLevels {
  readonly repetition: number;
  readonly definition: number;
}

/** What all pages of a column share. */
interface ColumnLayout extends ColumnLevels {
  readonly name: string;
  readonly meta: ColumnMetaData;
}

/**
 * Walks the pages of one column chunk and checks what hyparquet takes on trust: that sizes fit, CRC-32 where a page states
 * one, that pages hold no more values than the row group has cells for, that runs are no longer than their page.
 *
 * @param bytes - the chunk, from its first page
 * @param rows - of the row group
 * @throws ParquetError
 */
export function checkColumnChunk(bytes: Uint8Array, meta: ColumnMetaData, levels: ColumnLevels, rows: number): void {
  const column: ColumnLayout = { name: meta.path_in_schema.join('.'), meta, ...levels };
  if (!CODECS.has(meta.codec)) throw refusal(column, `codec ${meta.codec} is not supported`);
  const isList = column.repetition > 0;
  const mostValues = isList ? Math.min(rows * LIMITS.votes, LIMITS.parquetGroupCells) : rows;
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  let values = 0;
  while (reader.offset < bytes.byteLength) {
    const header = parquetHeader(reader);
    const page = pageBytes(bytes, reader.offset, header, column);
    reader.offset += page.byteLength;
    const count = checkValues(page, header, column, mostValues - values);
    if (header.type !== 'DICTIONARY_PAGE') values += count;
  }
  if (!isList && values !== rows) throw refusal(column, `it has ${values} values for ${rows} rows`);
}

const refusal = (column: ColumnLayout, rule: string): ParquetError =>
  new ParquetError(`column ${column.name}: ${rule}`);

function pageBytes(bytes: Uint8Array, start: number, header: PageHeader, column: ColumnLayout): Uint8Array {
  const { compressed_page_size: size, uncompressed_page_size: inflated } = header;
  if (!(size >= 0 && start + size <= bytes.byteLength)) throw refusal(column, `a page of ${size} bytes does not fit`);
  if (!(inflated >= 0 && inflated <= LIMITS.parquetPageBytes)) {
    throw refusal(column, `a page of ${inflated} bytes is over the limit of ${LIMITS.parquetPageBytes}`);
  }
  const page = bytes.subarray(start, start + size);
  if (header.crc !== undefined && crc32(page) !== header.crc >>> 0)
    throw refusal(column, 'the CRC-32 of a page does not match');
  return page;
}

/** Checks the counts and runs of one page; returns its number of values. */
function checkValues(page: Uint8Array, header: PageHeader, column: ColumnLayout, mostValues: number): number {
  const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header: dictionary } = header;
  if (header.type === 'DICTIONARY_PAGE' && dictionary) {
    // An entry takes at least a bit, whatever its type.
    return boundedCount(dictionary.num_values, 8 * header.uncompressed_page_size, column);
  }
  if (header.type === 'DATA_PAGE' && v1) {
    const count = pageValues(v1.num_values, mostValues, column);
    checkDataPage(inflate(page, header.uncompressed_page_size, column), v1.encoding, count, column);
    return count;
  }
  if (header.type === 'DATA_PAGE_V2' && v2) {
    const count = pageValues(v2.num_values, mostValues, column);
    const { repetition_levels_byte_length: repetition, definition_levels_byte_length: definition } = v2;
    const levels = repetition + definition;
    if (
      !(repetition >= 0 && definition >= 0 && levels <= page.byteLength && v2.num_nulls >= 0 && v2.num_nulls <= count)
    ) {
      throw refusal(column, 'the levels of a page do not fit');
    }
    checkRuns(page, { start: 0, end: repetition, bitWidth: bitWidth(column.repetition), mostValues: count });
    checkRuns(page, { start: repetition, end: levels, bitWidth: bitWidth(column.definition), mostValues: count });
    const rest = page.subarray(levels);
    const data = v2.is_compressed === false ? rest : inflate(rest, header.uncompressed_page_size - levels, column);
    checkEncoded(data, 0, v2.encoding, count, column);
    if (v2.encoding === 'DELTA_BYTE_ARRAY') checkPrefixes(data, 0, count - v2.num_nulls, column);
    return count;
  }
  throw refusal(column, `a page of type ${header.type} is not supported`);
}

/** A page of runs can claim what it likes, and is decoded whole for every slice of its rows. */
function pageValues(count: number, most: number, column: ColumnLayout): number {
  if (count > LIMITS.parquetPageValues)
    throw refusal(column, `a page of ${count} values is over the limit of ${LIMITS.parquetPageValues}`);
  return boundedCount(count, most, column);
}

function boundedCount(count: number, most: number, column: ColumnLayout): number {
  if (!(count >= 0 && count <= most))
    throw refusal(column, `a page claims ${count} values where at most ${most} can be`);
  return count;
}

/** Version 1: repetition levels, definition levels, each after its length, then values. */
function checkDataPage(data: Uint8Array, encoding: string, count: number, column: ColumnLayout): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = 0;
  let levelsAt = 0;
  for (const level of [column.repetition, column.definition]) {
    if (level === 0) continue;
    levelsAt = at;
    const end = at + 4 + view.getUint32(at, true);
    checkRuns(data, { start: at + 4, end, bitWidth: bitWidth(level), mostValues: count });
    at = end;
  }
  checkEncoded(data, at, encoding, count, column);
  if (encoding !== 'DELTA_BYTE_ARRAY') return;
  const levels = column.definition > 0 ? readLevels(view, levelsAt, count, column.definition) : null;
  checkPrefixes(data, at, levels?.filter((level) => level === column.definition).length ?? count, column);
}

/** Levels that `checkRuns` has found to fit. */
function readLevels(view: DataView, offset: number, count: number, highest: number): number[] {
  const levels = new Array<number>(count).fill(0);
  readRleBitPackedHybrid({ view, offset }, bitWidth(highest), levels);
  return levels;
}

/** Texts that each take over the beginning of the one before: a small page of these can stand for very much text. */
function checkPrefixes(data: Uint8Array, offset: number, count: number, column: ColumnLayout): void {
  const reader = { view: new DataView(data.buffer, data.byteOffset, data.byteLength), offset };
  const lengths = () => {
    const values = new Int32Array(count);
    if (count > 0) deltaBinaryUnpack(reader, count, values);
    return values;
  };
  const [prefixes, suffixes] = [lengths(), lengths()];
  let total = 0;
  for (let i = 0, before = 0; i < count; i++) {
    if (!(prefixes[i] >= 0 && prefixes[i] <= before && suffixes[i] >= 0))
      throw refusal(column, 'a prefix does not fit');
    before = prefixes[i] + suffixes[i];
    total += before;
  }
  if (total > LIMITS.parquetPageBytes) {
    throw refusal(column, `the texts of a page come to ${total} bytes, over the limit of ${LIMITS.parquetPageBytes}`);
  }
}

function checkEncoded(data: Uint8Array, at: number, encoding: string, count: number, column: ColumnLayout): void {
  const isWide = encoding === 'BYTE_STREAM_SPLIT' && column.meta.type === 'FIXED_LEN_BYTE_ARRAY';
  if (!ENCODINGS.has(encoding) || isWide) throw refusal(column, `encoding ${encoding} is not supported`);
  if (!encoding.includes('DICTIONARY') || at >= data.byteLength) return;
  checkRuns(data, { start: at + 1, end: data.byteLength, bitWidth: data[at], mostValues: count });
}

interface Runs {
  readonly start: number;
  readonly end: number;
  readonly bitWidth: number;
  readonly mostValues: number;
}

/**
 * Checks a stretch of run-length and bit-packed runs: hyparquet writes a run as long as it claims to be, so a run of a
 * billion in a page of a hundred values would take gigabytes.
 */
function checkRuns(bytes: Uint8Array, { start, end, bitWidth, mostValues }: Runs): void {
  if (bitWidth > MAX_BIT_WIDTH || end > bytes.byteLength) throw new ParquetError('the runs of a page do not fit');
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: start };
  for (let values = 0; reader.offset < end && values < mostValues; ) {
    const header = readVarInt(reader);
    const isPacked = (header & 1) === 1;
    const count = isPacked ? (header >>> 1) * 8 : header >>> 1;
    // Packed values come in eights and may go past the last; hyparquet stops in time there, but not in a plain run.
    if (!isPacked && count > mostValues - values)
      throw new ParquetError(`a run of ${count} in a page of ${mostValues} values`);
    reader.offset += isPacked ? Math.ceil((count * bitWidth) / 8) : (bitWidth + 7) >> 3;
    values += count;
  }
}

const bitWidth = (level: number): number => 32 - Math.clz32(level);

function inflate(page: Uint8Array, byteLength: number, column: ColumnLayout): Uint8Array {
  if (column.meta.codec === 'ZSTD') checkZstd(page, column);
  return decompressPage(page, byteLength, column.meta.codec, DECOMPRESSORS);
}

/** The only decompressor that is not told how much to expect: bounds what its blocks can give (RFC 8878, section 3.1.1). */
function checkZstd(page: Uint8Array, column: ColumnLayout): void {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const descriptor = view.getUint8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3];
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6];
  let at = 5 + (isSingleSegment ? 0 : 1) + dictionaryIdBytes + contentSizeBytes;
  let isLast = false;
  for (let inflated = 0; !isLast; ) {
    const header = view.getUint8(at) | (view.getUint8(at + 1) << 8) | (view.getUint8(at + 2) << 16);
    isLast = (header & 1) === 1;
    const type = (header >> 1) & 3;
    const size = header >>> 3;
    const isCompressed = type === 2;
    inflated += isCompressed ? ZSTD_BLOCK_BYTES : size;
    // Blocks may be smaller than they could be, so this bound is wide; it is there against bombs.
    if (inflated > 8 * LIMITS.parquetPageBytes) throw refusal(column, 'a zstd page could inflate beyond all bounds');
    at += 3 + (type === 1 ? 1 : size);
  }
}
