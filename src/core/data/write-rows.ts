import type { ByteSink } from '../bytes/sink.js';
import { formatCsvCells } from './csv.js';
import { flattenRow, isNumericColumn, type TableCell } from './flat.js';
import type { DataFormat } from './formats.js';
import { formatJsonlRow } from './jsonl.js';
import { type ParquetColumn, ParquetRowWriter } from './parquet.js';
import type { DataRow } from './rows.js';

/** Text collected before it is handed to the sink. */
const FLUSH_CHARACTERS = 64 * 1024;

/** Where bytes go; what is behind it makes them appear all at once or not at all. */
export type RowSink = Pick<ByteSink, 'write'>;

/** Writes rows in one format, holding a bounded number of them. */
export interface RowWriter<T = DataRow> {
  write(row: T): Promise<void>;
  /** Writes what is left; the sink stays open. */
  finish(): Promise<void>;
}

/** Whether a format must know all columns before its first row. */
export const needsColumns = (format: DataFormat): boolean => format !== 'jsonl';

/** @param columns - for CSV and Parquet: what `ColumnSet` found in the rows to come */
export function createRowWriter(sink: RowSink, format: DataFormat, columns: readonly string[] = []): RowWriter {
  const typed = columns.map((name) => ({
    name,
    type: isNumericColumn(name) ? ('DOUBLE' as const) : ('STRING' as const),
  }));
  return createTableWriter(sink, format, {
    columns: typed,
    cellsOf: (row) => {
      const cells = flattenRow(row);
      return columns.map((name) => cells.get(name) ?? null);
    },
    toJson: formatJsonlRow,
  });
}

/** How rows of one kind are written in each of the formats. */
export interface RowLayout<T> {
  readonly columns: readonly ParquetColumn[];
  /** What a row has in each of the columns. */
  readonly cellsOf: (row: T) => readonly TableCell[];
  /** A line with its newline. */
  readonly toJson: (row: T) => string;
}

export function createTableWriter<T>(
  sink: RowSink,
  format: DataFormat,
  { columns, cellsOf, toJson }: RowLayout<T>,
): RowWriter<T> {
  if (format === 'parquet') return new ParquetRowWriter(sink, columns, cellsOf);
  if (format === 'jsonl') return new TextRowWriter(sink, toJson);
  const header = formatCsvCells(columns.map(({ name }) => name));
  return new TextRowWriter(sink, (row) => formatCsvCells(cellsOf(row)), header);
}

class TextRowWriter<T> implements RowWriter<T> {
  constructor(
    private readonly sink: RowSink,
    private readonly format: (row: T) => string,
    private text = '',
  ) {}

  async write(row: T): Promise<void> {
    this.text += this.format(row);
    if (this.text.length >= FLUSH_CHARACTERS) await this.finish();
  }

  async finish(): Promise<void> {
    if (this.text === '') return;
    await this.sink.write(Buffer.from(this.text, 'utf8'));
    this.text = '';
  }
}
