import { Readable } from 'node:stream';
import { type CsvError, type Info, parse } from 'csv-parse';
import { stringify } from 'csv-stringify/sync';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type FlatCell, FlatColumns, flattenRow, isNumericColumn } from './flat.js';
import type { DataInput } from './input.js';
import { badRow, type RowParser } from './jsonl.js';
import { type IgnoredFields, parseDataRow } from './parse-row.js';
import { type DataRow, RowError, type RowResult } from './rows.js';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const BYTE_ORDER_MARK = Buffer.from('\uFEFF');
/** Rows handed over at a time. */
const BATCH_ROWS = 1000;

/** Text that a spreadsheet would run: OWASP's list of first characters, full-width forms included. */
const FORMULA = /^'*[=+\-@\t\r＝＋－＠]/;
const ESCAPED_FORMULA = /^'+[=+\-@\t\r＝＋－＠]/;

/** Puts an apostrophe before text that a spreadsheet would take for a formula; `unescapeFormula` undoes it. */
export const escapeFormula = (text: string): string => (FORMULA.test(text) ? `'${text}` : text);

/** Takes off the apostrophe that `escapeFormula` put. */
export const unescapeFormula = (text: string): string => (ESCAPED_FORMULA.test(text) ? text.slice(1) : text);

interface CsvRecord {
  readonly record: readonly Buffer[];
  /** `lines` is the number of the line the record ends on. */
  readonly info: Info;
}

/**
 * Rows of a CSV file with a header. Lines are those on which records end.
 *
 * @throws HpsError DATA_INVALID for a header with repeated columns or without `type`, and for a quote that is never closed
 */
export async function* readCsvRows(input: DataInput, ignored: IgnoredFields): AsyncGenerator<RowResult<DataRow>[]> {
  const parseRow: RowParser<DataRow> = (fields, line) => parseDataRow(fields, line, ignored);
  let columns: FlatColumns | undefined;
  let batch: RowResult<DataRow>[] = [];
  for await (const result of readRecords(input)) {
    if (!('record' in result)) batch.push(result);
    else if (columns) batch.push(toRow(result, columns, parseRow));
    else columns = new FlatColumns(decodeHeader(result.record, input.name), input.name);
    if (batch.length < BATCH_ROWS) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

/** Records, and the bad rows that csv-parse skipped. */
async function* readRecords(input: DataInput): AsyncGenerator<CsvRecord | RowResult<never>> {
  const skipped: RowResult<never>[] = [];
  let broken: HpsError | undefined;
  const parser = parse({
    encoding: null, // cells as bytes: csv-parse would turn invalid UTF-8 into U+FFFD
    info: true,
    max_record_size: LIMITS.rowBytes,
    record_delimiter: ['\n', '\r\n'],
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error: CsvError | undefined) => {
      const line = Number(error?.lines);
      if (error?.code === 'CSV_MAX_RECORD_SIZE' || error?.code === 'CSV_QUOTE_NOT_CLOSED')
        broken ??= unclosed(input, line);
      else skipped.push({ line, code: 'INVALID_CSV', message: `not valid CSV: ${error?.code ?? 'unknown error'}` });
      return undefined;
    },
  });
  const chunks = Readable.from(copies(input));
  chunks.on('error', (error) => parser.destroy(error));
  for await (const record of chunks.pipe(parser) as AsyncIterable<CsvRecord>) {
    yield* skipped.splice(0);
    if (broken) throw broken;
    yield record;
  }
  yield* skipped;
  if (broken) throw broken;
}

/** Chunks without the file's byte order mark; copies, because csv-parse holds on to what it is given. */
async function* copies(input: DataInput): AsyncGenerator<Buffer> {
  let opening: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of input.chunks()) {
    if (!opening) yield Buffer.from(chunk);
    else {
      opening = Buffer.concat([opening, chunk]);
      if (opening.byteLength < BYTE_ORDER_MARK.byteLength) continue;
      yield withoutMark(opening);
      opening = undefined;
    }
  }
  if (opening) yield opening;
}

const withoutMark = (bytes: Buffer): Buffer =>
  bytes.indexOf(BYTE_ORDER_MARK) === 0 ? bytes.subarray(BYTE_ORDER_MARK.byteLength) : bytes;

function toRow({ record, info }: CsvRecord, columns: FlatColumns, parse: RowParser<DataRow>): RowResult<DataRow> {
  const line = info.lines;
  try {
    if (record.length !== columns.names.length) {
      throw new RowError('COLUMNS_MISMATCH', `has ${record.length} cells where the header has ${columns.names.length}`);
    }
    const cells = record.map((cell, i) => decodeCell(cell, columns.names[i]));
    return { line, row: parse(columns.toFields(cells), line) };
  } catch (error) {
    return badRow(error, line);
  }
}

function decodeCell(bytes: Buffer, column: string): FlatCell {
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch {
    throw new RowError('INVALID_UTF8', `${column} is not valid UTF-8`);
  }
  if (text.includes('\0')) throw new RowError('FIELD_INVALID', `${column} has a NUL character`);
  return isNumericColumn(column) ? parseNumber(text.trim()) : unescapeFormula(text);
}

/** A number where the text is one; other text is left for the row's own rules to accept (`left`) or refuse. */
function parseNumber(text: string): FlatCell {
  if (!/^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return text;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new RowError('NUMBER_OUT_OF_RANGE', `number ${text.slice(0, 40)} is too large`);
  return value;
}

function decodeHeader(record: readonly Buffer[], file: string): string[] {
  try {
    return record.map((cell) => UTF8.decode(cell).trim());
  } catch {
    throw new HpsError('DATA_INVALID', `${file}: the header is not valid UTF-8`, {
      hint: 'Save the file as UTF-8.',
      details: { file },
    });
  }
}

function unclosed(input: DataInput, line: number): HpsError {
  return new HpsError('DATA_INVALID', `${input.name}: a quote opened before line ${line} is never closed`, {
    hint: `Close the quote; one record may have at most ${LIMITS.rowBytes} bytes.`,
    details: { file: input.name, line },
  });
}

/** The header line of these columns. */
export const formatCsvHeader = (columns: readonly string[]): string => formatRecord(columns);

/** One line: the row's cells in these columns; cells the row does not have are empty. */
export function formatCsvRow(row: DataRow, columns: readonly string[]): string {
  const cells = flattenRow(row);
  return formatRecord(columns.map((name) => escapeCell(cells.get(name))));
}

function escapeCell(cell: FlatCell | undefined): string {
  if (cell === undefined) return '';
  return typeof cell === 'number' ? String(cell) : escapeFormula(cell);
}

/** Carriage returns and outer spaces are quoted too, so that every reader keeps them. */
const formatRecord = (cells: readonly string[]): string => stringify([[...cells]], { quoted_match: /\r|^\s|\s$/ });
