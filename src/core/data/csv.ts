import { stringify } from 'csv-stringify/sync';
import { HpsError } from '../errors.js';
import { type CsvRecord, CsvScanner } from './csv-records.js';
import { type FlatCell, FlatColumns, flattenRow, isNumericColumn } from './flat.js';
import type { DataInput } from './input.js';
import { badRow, type RowParser } from './jsonl.js';
import { type IgnoredFields, parseDataRow } from './parse-row.js';
import { type BadRow, type DataRow, RowError, type RowResult } from './rows.js';

const BYTE_ORDER_MARK = Buffer.from('\uFEFF');
const COMMA = 0x2c;
/** Rows handed over at a time. */
const BATCH_ROWS = 1000;

/** Text that a spreadsheet would run: OWASP's list of first characters, full-width forms included. */
const FORMULA = /^'*[=+\-@\t\r＝＋－＠]/;
/** A negative number is a number in a spreadsheet too. */
const NEGATIVE_NUMBER = /^-(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const ESCAPED_FORMULA = /^'+[=+\-@\t\r＝＋－＠]/;

/** Puts an apostrophe before text that a spreadsheet would take for a formula; `unescapeFormula` undoes it. */
export const escapeFormula = (text: string): string =>
  FORMULA.test(text) && !NEGATIVE_NUMBER.test(text) ? `'${text}` : text;

/** Takes off the apostrophe that `escapeFormula` put. */
export const unescapeFormula = (text: string): string => (ESCAPED_FORMULA.test(text) ? text.slice(1) : text);

/**
 * Rows of a CSV file with a header. Lines are those on which records begin.
 *
 * @throws HpsError DATA_INVALID for a header that is damaged, has repeated columns, or none of the name `type`
 */
export async function* readCsvRows(input: DataInput, ignored: IgnoredFields): AsyncGenerator<RowResult<DataRow>[]> {
  const parseRow: RowParser<DataRow> = (fields, line) => parseDataRow(fields, line, ignored);
  let columns: FlatColumns | undefined;
  let batch: RowResult<DataRow>[] = [];
  for await (const records of readRecords(input)) {
    for (const record of records) {
      if (!columns) columns = new FlatColumns(headerOf(record, input.name), input.name);
      else if (batch.push('cells' in record ? toRow(record, columns, parseRow) : record) === BATCH_ROWS) {
        yield batch;
        batch = [];
      }
    }
  }
  yield batch;
}

async function* readRecords(input: DataInput): AsyncGenerator<Iterable<CsvRecord | BadRow>> {
  const scanner = new CsvScanner({ delimiter: COMMA, carriageReturns: false });
  for await (const chunk of withoutMark(input.chunks())) yield scanner.push(chunk);
  yield scanner.finish();
}

/** The bytes without the file's byte order mark. */
async function* withoutMark(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let opening: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of chunks) {
    if (!opening) yield chunk;
    else {
      opening = Buffer.concat([opening, chunk]);
      if (opening.byteLength < BYTE_ORDER_MARK.byteLength) continue;
      yield opening.indexOf(BYTE_ORDER_MARK) === 0 ? opening.subarray(BYTE_ORDER_MARK.byteLength) : opening;
      opening = undefined;
    }
  }
  if (opening) yield opening;
}

function toRow({ line, cells }: CsvRecord, columns: FlatColumns, parse: RowParser<DataRow>): RowResult<DataRow> {
  try {
    if (cells.length !== columns.names.length) {
      throw new RowError('COLUMNS_MISMATCH', `has ${cells.length} cells where the header has ${columns.names.length}`);
    }
    return { line, row: parse(columns.toFields(cells.map((cell, i) => decodeCell(cell, columns.names[i]))), line) };
  } catch (error) {
    return badRow(error, line);
  }
}

function decodeCell(text: string | null, column: string): FlatCell {
  if (text === null) throw new RowError('INVALID_UTF8', `${column} is not valid UTF-8`);
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

function headerOf(record: CsvRecord | BadRow, file: string): string[] {
  const refuse = (rule: string, hint: string): HpsError =>
    new HpsError('DATA_INVALID', `${file}: line ${record.line}: the header is not valid: ${rule}`, {
      hint,
      details: { file, line: record.line },
    });
  if (!('cells' in record)) throw refuse(record.message, 'Correct the quotes of the header.');
  return record.cells.map((cell) => {
    if (cell === null) throw refuse('not UTF-8', 'Save the file as UTF-8.');
    return cell.trim();
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
