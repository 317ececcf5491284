import { stringify } from 'csv-stringify/sync';
import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import type { ByteSink } from '../../bytes/sink.js';
import { escapeFormula } from '../../data/csv.js';
import type { DataFormat } from '../../data/recognise.js';
import type { PairScore, Score } from '../../scoring/result.js';

/** A line of a score file: the score of one row, with the row's id and number. */
export type ScoreRecord = { readonly id: string; readonly row: number } & Score;

/** A line of an error file: why a row has no score. */
export interface ErrorRecord {
  /** 1-based line of a text file, or row of a Parquet file. */
  readonly line: number;
  /** Null where the row could not be read. */
  readonly id: string | null;
  readonly code: string;
  readonly message: string;
}

export const formatErrorRecord = ({ line, id, code, message }: ErrorRecord): string =>
  `${JSON.stringify({ line, id, code, message })}\n`;

/** A line of JSON; `id` and `logit` first, which is what fitting commands read. What 0.1.0 wrote besides (`runtime`) is left out. */
export function formatScoreRecord(record: ScoreRecord): string {
  const { id, logit, score, calibrated, task, truncated, row, model } = record;
  const { winner, confidence } = record as Partial<PairScore>;
  return `${JSON.stringify({ id, logit, score, winner, confidence, calibrated, task, truncated, row, model })}\n`;
}

/** Writes score rows in one format, holding a bounded number of them. */
export interface ScoreWriter {
  write(record: ScoreRecord): Promise<void>;
  /** Writes what is left; the sink stays open. */
  finish(): Promise<void>;
}

export function createScoreWriter(sink: Pick<ByteSink, 'write'>, format: DataFormat): ScoreWriter {
  if (format === 'parquet') return new ParquetScoreWriter(sink);
  if (format === 'csv') return new TextScoreWriter(sink, formatCsv, csvLine(COLUMNS.map(({ name }) => name)));
  return new TextScoreWriter(sink, formatScoreRecord);
}

type Cell = string | number | boolean | null;

/** The flat columns that CSV and Parquet share. */
const COLUMNS: readonly {
  readonly name: string;
  readonly type: 'STRING' | 'DOUBLE' | 'BOOLEAN';
  readonly of: (record: ScoreRecord) => Cell;
}[] = [
  { name: 'id', type: 'STRING', of: ({ id }) => id },
  { name: 'logit', type: 'DOUBLE', of: ({ logit }) => logit },
  { name: 'score', type: 'DOUBLE', of: ({ score }) => score },
  { name: 'winner', type: 'STRING', of: (record) => ('winner' in record ? record.winner : null) },
  { name: 'confidence', type: 'DOUBLE', of: (record) => ('winner' in record ? record.confidence : null) },
  { name: 'calibrated', type: 'BOOLEAN', of: ({ calibrated }) => calibrated !== false },
  {
    name: 'calibrated_value',
    type: 'DOUBLE',
    of: ({ calibrated }) => (typeof calibrated === 'number' ? calibrated : null),
  },
  { name: 'calibrated_by', type: 'STRING', of: (record) => ('calibratedBy' in record ? record.calibratedBy! : null) },
  { name: 'task', type: 'STRING', of: ({ task }) => task ?? null },
  { name: 'truncated', type: 'BOOLEAN', of: ({ truncated }) => truncated ?? false },
  { name: 'row', type: 'DOUBLE', of: ({ row }) => row },
  { name: 'model', type: 'STRING', of: ({ model }) => model },
];

const csvLine = (cells: readonly string[]): string => stringify([[...cells]], { quoted_match: /\r|^\s|\s$/ });

function formatCsv(record: ScoreRecord): string {
  return csvLine(
    COLUMNS.map(({ of }) => {
      const cell = of(record);
      return typeof cell === 'string' ? escapeFormula(cell) : String(cell ?? '');
    }),
  );
}

/** Text collected before it is handed to the sink. */
const FLUSH_CHARACTERS = 64 * 1024;

class TextScoreWriter implements ScoreWriter {
  constructor(
    private readonly sink: Pick<ByteSink, 'write'>,
    private readonly format: (record: ScoreRecord) => string,
    private text = '',
  ) {}

  async write(record: ScoreRecord): Promise<void> {
    this.text += this.format(record);
    if (this.text.length >= FLUSH_CHARACTERS) await this.finish();
  }

  async finish(): Promise<void> {
    if (this.text === '') return;
    await this.sink.write(Buffer.from(this.text));
    this.text = '';
  }
}

/** Rows of a row group. */
const GROUP_ROWS = 50_000;

class ParquetScoreWriter implements ScoreWriter {
  private readonly buffer = new ByteWriter();
  private readonly writer = new ParquetWriter({
    writer: this.buffer,
    schema: schemaFromColumnData({
      columnData: COLUMNS.map(({ name, type }) => ({ name, type, data: [], nullable: true })),
    }),
    createdBy: 'hpsv3',
  });
  private readonly cells: Cell[][] = COLUMNS.map(() => []);

  constructor(private readonly sink: Pick<ByteSink, 'write'>) {}

  async write(record: ScoreRecord): Promise<void> {
    for (const [i, { of }] of COLUMNS.entries()) this.cells[i].push(of(record));
    if (this.cells[0].length === GROUP_ROWS) await this.flushGroup();
  }

  async finish(): Promise<void> {
    if (this.cells[0].length > 0) await this.flushGroup();
    this.writer.finish();
    await this.drain();
  }

  private async flushGroup(): Promise<void> {
    const columnData = COLUMNS.map(({ name }, i) => ({ name, data: this.cells[i] }));
    this.writer.write({ columnData, rowGroupSize: this.cells[0].length });
    for (const column of this.cells) column.length = 0;
    await this.drain();
  }

  private async drain(): Promise<void> {
    await this.sink.write(this.buffer.getBytes());
    this.buffer.index = 0;
  }
}
