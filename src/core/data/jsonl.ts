import { LIMITS } from '../limits.js';
import type { DataInput } from './input.js';
import { lineEnd, readLineBlocks } from './lines.js';
import { parseRowJson, type RowFields } from './row-json.js';
import { type BadRow, type DataRow, type Item, RowError, type RowResult } from './rows.js';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Rows that are handed on at a time: few enough to be garbage before they leave V8's young generation. */
const BATCH_ROWS = 256;

/** Turns the fields of one row into a row, or throws a RowError. @param place - the line, or what tells rows of one line apart */
export type RowParser<T> = (fields: RowFields, place: number | string) => T;

/**
 * One JSONL row of bytes; null for a blank line.
 *
 * @param bytes - a line without its newline
 */
export function parseJsonlRow<T>(bytes: Uint8Array, line: number, parse: RowParser<T>): RowResult<T> | null {
  try {
    if (bytes.byteLength > LIMITS.rowBytes) throw tooLarge();
    const text = decodeRow(bytes);
    return text.trim() === '' ? null : { line, row: parse(parseRowJson(text), line) };
  } catch (error) {
    return badRow(error, line);
  }
}

/**
 * Fields of the rows of a JSONL stream, in batches. Bad rows are yielded in their place; nothing is thrown for
 * them.
 */
export async function* readJsonlFields(input: DataInput): AsyncGenerator<RowResult<RowFields>[]> {
  for await (const block of readLineBlocks(input.chunks())) {
    let batch: RowResult<RowFields>[] = [];
    if (block.tooLong) batch.push(badRow(tooLarge(), block.firstLine));
    for (let start = block.start, line = block.firstLine; start < block.end; line++) {
      const end = lineEnd(block, start);
      const result = parseJsonlRow(block.bytes.subarray(start, end), line, (fields) => fields);
      if (result) batch.push(result);
      if (batch.length === BATCH_ROWS) {
        yield batch;
        batch = [];
      }
      start = end + 1;
    }
    yield batch;
  }
}

/** What a row that could not be read is reported as; anything but a RowError is a bug and thrown on. */
export function badRow(error: unknown, line: number): BadRow & { row?: undefined } {
  if (!(error instanceof RowError)) throw error;
  return { line, code: error.code, message: error.message };
}

export const tooLarge = (): RowError => new RowError('ROW_TOO_LARGE', `longer than ${LIMITS.rowBytes} bytes`);

function decodeRow(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new RowError('INVALID_UTF8', 'not valid UTF-8');
  }
}

/** The row in the user's own JSONL, one line with its newline. Reading it gives the same row. */
export function formatJsonlRow(row: DataRow): string {
  return `${JSON.stringify(toPlainRow(row))}\n`;
}

/** The plain object of a row's JSON, fields in the order of the format's own examples. */
export function toPlainRow(row: DataRow): Record<string, unknown> {
  const { id, context, task, modality, raters, propensity } = row;
  const prompt_id = row.promptId === id ? undefined : row.promptId;
  const groups = row.groups.size > 0 ? Object.fromEntries(row.groups) : undefined;
  if (row.kind === 'pair') {
    const { left, right } = row;
    const { labels, label } = votesAsJson(row.votes);
    return {
      id,
      type: 'pair',
      left,
      right,
      labels,
      label,
      context,
      task,
      modality,
      prompt_id,
      groups,
      raters,
      propensity,
    };
  }
  const { item: content, score, aux } = row;
  const ratings = row.ratings.length > 0 ? row.ratings : undefined;
  return {
    id,
    type: 'abs',
    content: content satisfies Item,
    ...{ score, ratings, aux },
    ...{ context, task, modality, prompt_id, groups, raters, propensity },
  };
}

/** A soft label cannot stand among votes. */
function votesAsJson(votes: readonly number[]): { labels?: readonly number[]; label?: number } {
  if (votes.length === 0) return {};
  const [first] = votes;
  return votes.length === 1 && first !== 0 && first !== 1 && first !== 0.5 ? { label: first } : { labels: votes };
}
