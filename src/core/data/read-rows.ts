import { MemorySource } from '../bytes/source.js';
import { LIMITS } from '../limits.js';
import type { DataFormat } from './formats.js';
import { type DataInput, fileInput, peekInput } from './input.js';
import { type LayoutChoice, rowsOf } from './layouts/apply.js';
import { type IgnoredFields, isScoreRow, parseDataRow, parseScoreRow } from './parse-row.js';
import { parseResult, ROW_COLUMNS, readFields, SCORE_COLUMNS } from './read-fields.js';
import { type RecognisedRows, recogniseRows } from './recognise.js';
import type { RowFields } from './row-json.js';
import type { DataRow, RowResult, ScoreRow } from './rows.js';
import { VoteSpelling } from './vote-coding.js';

/** What reading rows finds out about them beside. */
export interface RowFindings {
  /** Names of fields that the format does not have, with their counts. */
  readonly ignored: IgnoredFields;
  /** How votes are spelled. */
  readonly votes: VoteSpelling;
}

export interface ReadRowsOptions extends Partial<RowFindings>, LayoutChoice {
  /** Without it, what the input's name says, or its content. */
  readonly format?: DataFormat;
}

/** Rows of an input in any of the formats, in batches, bad rows in their places. */
export async function* readRows(
  input: DataInput,
  { format, ignored = new Map(), votes = new VoteSpelling(), ...choice }: ReadRowsOptions = {},
): AsyncGenerator<RowResult<DataRow>[]> {
  yield* readRecognisedRows(await recogniseRows(input, format, choice), { ignored, votes });
}

/** As `readRows`, of an input whose format is known. */
export async function* readRecognisedRows(
  rows: RecognisedRows,
  { ignored, votes }: RowFindings,
): AsyncGenerator<RowResult<DataRow>[]> {
  const parse = (fields: RowFields, place: number | string): DataRow => parseDataRow(fields, place, ignored, votes);
  for await (const batch of readRowFields(rows)) {
    const parsed: RowResult<DataRow>[] = [];
    for (const result of batch) {
      let row = parseResult(result, parse);
      if (votes.isPending) {
        await votes.settle(fieldsAgain(rows));
        row = parseResult(result, parse);
      }
      parsed.push(row);
    }
    yield parsed;
  }
}

/** The fields of rows in our own layout, whatever that of the file is. */
async function* readRowFields(rows: RecognisedRows): AsyncGenerator<RowResult<RowFields>[]> {
  const { layout } = rows;
  if (!layout) return yield* readFields(rows, ROW_COLUMNS);
  for await (const batch of readFields(rows, [[]])) {
    yield batch.flatMap((result) => (result.row ? rowsOf(layout, result) : [result]));
  }
}

/** The fields of all rows from the start; null for a stream. */
export function fieldsAgain(rows: RecognisedRows): AsyncIterable<RowFields> | null {
  return rows.input.isRepeatable ? eachFields(rows) : null;
}

async function* eachFields(rows: RecognisedRows): AsyncGenerator<RowFields> {
  for await (const batch of readRowFields(rows)) for (const { row } of batch) if (row) yield row;
}

/** Scores in any of the formats, in batches, bad rows in their places. */
export async function* readScoreRows(
  rows: RecognisedRows,
  ignored: IgnoredFields,
): AsyncGenerator<RowResult<ScoreRow>[]> {
  const parse = (fields: RowFields): ScoreRow => parseScoreRow(fields, ignored);
  for await (const batch of readFields(rows, SCORE_COLUMNS)) yield batch.map((result) => parseResult(result, parse));
}

/** Whether an input holds scores or else samples and labels, by its first good row; and the input with all of it to come. */
export async function peekKind(given: RecognisedRows): Promise<{ isScores: boolean; rows: RecognisedRows }> {
  const { format, layout } = given;
  if (layout) return { isScores: false, rows: given };
  if (format === 'parquet') return { isScores: await startsWithScore(given), rows: given };
  const { head, input } = await peekInput(given.input, LIMITS.rowsSniffBytes);
  const start = fileInput(new MemorySource(head, input.name));
  return { isScores: await startsWithScore({ format, input: start, layout }), rows: { format, input, layout } };
}

async function startsWithScore(rows: RecognisedRows): Promise<boolean> {
  for await (const batch of readFields(rows, [[]])) {
    const first = batch.find(({ row }) => row)?.row;
    if (first) return isScoreRow(first);
  }
  return false;
}
