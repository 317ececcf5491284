import { stringify } from 'csv-stringify/sync';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { openingOf } from './csv-dialect.js';
import { type CsvRecord, CsvScanner } from './csv-records.js';
import { FlatColumns, NOT_UTF8, type TableCell } from './flat.js';
import { type DataInput, peekInput, withoutByteOrderMark } from './input.js';
import { badRow } from './jsonl.js';
import type { RowFields } from './row-json.js';
import { type BadRow, RowError, type RowResult } from './rows.js';

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
 * Fields of the rows of a CSV with a header, told apart by whatever stands between the header's names. Lines are those on which
 * records begin.
 *
 * @param needs - columns without which no row can be read; any one of several sets will do
 * @throws HpsError DATA_INVALID for a header that is damaged, repeats a column, or lacks one that is needed
 */
export async function* readCsvFields(
  input: DataInput,
  needs: readonly (readonly string[])[],
): AsyncGenerator<RowResult<RowFields>[]> {
  const { head, input: whole } = await peekInput(input, LIMITS.rowsSniffBytes);
  const opening = openingOf(head);
  let columns: FlatColumns | undefined;
  let batch: RowResult<RowFields>[] = [];
  let skipsFirst = opening.hasSeparatorLine;
  for await (const records of scans(new CsvScanner(opening), whole)) {
    for (const record of records) {
      if (skipsFirst) skipsFirst = false;
      else if (!columns) columns = new FlatColumns(headerOf(record, input.name), input.name, needs);
      else if (batch.push('cells' in record ? toFields(record, columns) : record) === BATCH_ROWS) {
        yield batch;
        batch = [];
      }
    }
  }
  yield batch;
}

/** The records of each piece of an input, and then those that only its end completes. */
async function* scans(scanner: CsvScanner, input: DataInput): AsyncGenerator<Iterable<CsvRecord | BadRow>> {
  for await (const chunk of withoutByteOrderMark(input.chunks())) yield scanner.push(chunk);
  yield scanner.finish();
}

function toFields({ line, cells }: CsvRecord, columns: FlatColumns): RowResult<RowFields> {
  try {
    if (cells.length !== columns.names.length) {
      throw new RowError('COLUMNS_MISMATCH', `has ${cells.length} cells where the header has ${columns.names.length}`);
    }
    return { line, row: columns.toFields(cells.map((cell) => (cell === null ? NOT_UTF8 : unescapeFormula(cell)))) };
  } catch (error) {
    return badRow(error, line);
  }
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

/** One line. Text that a spreadsheet would run is escaped; carriage returns and outer spaces are quoted, so that every reader keeps them. */
export function formatCsvCells(cells: readonly TableCell[]): string {
  const texts = cells.map((cell) => (typeof cell === 'string' ? escapeFormula(cell) : String(cell ?? '')));
  return stringify([texts], { quoted_match: /\r|^\s|\s$/ });
}
