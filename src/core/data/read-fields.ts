import { turns } from '../run.js';
import { readCsvFields } from './csv.js';
import type { RowFormat } from './formats.js';
import type { DataInput } from './input.js';
import { readJsonValues } from './json-values.js';
import { badRow, type RowParser, readJsonlFields } from './jsonl.js';
import { readParquetFields } from './parquet.js';
import type { RowFields } from './row-json.js';
import type { RowResult } from './rows.js';

/** Columns without which a table has no row of labels or samples. */
export const ROW_COLUMNS = [['type']] as const;
/** And none of scores. */
export const SCORE_COLUMNS = [['id', 'logit']] as const;

/**
 * What stands in the rows of an input, before it is looked at: in batches, rows that cannot be read in their places.
 *
 * @param needs - of a table: columns without which no row can be read; any one of several sets will do
 * @throws HpsError DATA_INVALID when the file as a whole cannot be read; USAGE for Parquet from a stream
 */
export async function* readFields(
  rows: { readonly format: RowFormat; readonly input: DataInput },
  needs: readonly (readonly string[])[],
): AsyncGenerator<RowResult<RowFields>[]> {
  const turn = turns();
  for await (const batch of readBatches(rows, needs)) {
    yield batch;
    await turn();
  }
}

function readBatches(
  { format, input }: { readonly format: RowFormat; readonly input: DataInput },
  needs: readonly (readonly string[])[],
): AsyncGenerator<RowResult<RowFields>[]> {
  if (format === 'csv') return readCsvFields(input, needs);
  if (format === 'parquet') return readParquetFields(input, needs);
  return format === 'json' ? readJsonValues(input) : readJsonlFields(input);
}

/** The row that fields stand for, or why they stand for none. */
export function parseResult<T>(result: RowResult<RowFields>, parse: RowParser<T>): RowResult<T> {
  const { line } = result;
  if (!result.row) return result;
  try {
    return { line, row: parse(result.row, result.place ?? line) };
  } catch (error) {
    return badRow(error, line);
  }
}
