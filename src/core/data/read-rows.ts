import { readCsvRows } from './csv.js';
import type { DataInput } from './input.js';
import { readJsonlRows } from './jsonl.js';
import { readParquetRows } from './parquet.js';
import type { IgnoredFields } from './parse-row.js';
import type { DataRow, RowResult } from './rows.js';

export const DATA_FORMATS = ['jsonl', 'csv', 'parquet'] as const;
export type DataFormat = (typeof DATA_FORMATS)[number];

const EXTENSIONS: ReadonlyMap<string, DataFormat> = new Map([
  ['csv', 'csv'],
  ['parquet', 'parquet'],
]);

/** The format that a file's name says; JSONL where it says none, as for standard input. */
export function formatOfName(name: string): DataFormat {
  return EXTENSIONS.get(name.slice(name.lastIndexOf('.') + 1).toLowerCase()) ?? 'jsonl';
}

export interface ReadRowsOptions {
  /** Without it, what the input's name says. */
  readonly format?: DataFormat;
  /** Receives the names of fields that the format does not have, with their counts. */
  readonly ignored?: IgnoredFields;
}

/** Rows of a file in any of the formats, in batches, bad rows in their places. */
export function readRows(input: DataInput, options: ReadRowsOptions = {}): AsyncGenerator<RowResult<DataRow>[]> {
  const { format = formatOfName(input.name), ignored = new Map() } = options;
  if (format === 'csv') return readCsvRows(input, ignored);
  if (format === 'parquet') return readParquetRows(input, ignored);
  return readJsonlRows(input, ignored);
}
