import type { ByteSink } from '../bytes/sink.js';
import { formatCsvHeader, formatCsvRow } from './csv.js';
import { formatJsonlRow } from './jsonl.js';
import { ParquetRowWriter } from './parquet.js';
import type { DataFormat } from './recognise.js';
import type { DataRow } from './rows.js';

/** Text collected before it is handed to the sink. */
const FLUSH_CHARACTERS = 64 * 1024;

/** Where bytes go; what is behind it makes them appear all at once or not at all. */
export type RowSink = Pick<ByteSink, 'write'>;

/** Writes rows in one format, holding a bounded number of them. */
export interface RowWriter {
  write(row: DataRow): Promise<void>;
  /** Writes what is left; the sink stays open. */
  finish(): Promise<void>;
}

/** Whether a format must know all columns before its first row. */
export const needsColumns = (format: DataFormat): boolean => format !== 'jsonl';

/** @param columns - for CSV and Parquet: what `ColumnSet` found in the rows to come */
export function createRowWriter(sink: RowSink, format: DataFormat, columns: readonly string[] = []): RowWriter {
  if (format === 'parquet') return new ParquetRowWriter(sink, columns);
  if (format === 'csv') return new TextRowWriter(sink, (row) => formatCsvRow(row, columns), formatCsvHeader(columns));
  return new TextRowWriter(sink, formatJsonlRow);
}

class TextRowWriter implements RowWriter {
  constructor(
    private readonly sink: RowSink,
    private readonly format: (row: DataRow) => string,
    private text = '',
  ) {}

  async write(row: DataRow): Promise<void> {
    this.text += this.format(row);
    if (this.text.length >= FLUSH_CHARACTERS) await this.finish();
  }

  async finish(): Promise<void> {
    if (this.text === '') return;
    await this.sink.write(Buffer.from(this.text, 'utf8'));
    this.text = '';
  }
}
