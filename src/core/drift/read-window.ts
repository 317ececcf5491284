import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FileSource, withSource } from '../bytes/source.js';
import { fileInput } from '../data/input.js';
import { badRow, parseJsonlRow, tooLarge } from '../data/jsonl.js';
import { lineEnd, readLineBlocks } from '../data/lines.js';
import { readFields } from '../data/read-fields.js';
import { recogniseRows } from '../data/recognise.js';
import { RowCounts, type RowsReport } from '../data/row-counts.js';
import type { RowFields } from '../data/row-json.js';
import { RowError } from '../data/rows.js';
import { HpsError } from '../errors.js';
import { type Run, reporter } from '../run.js';
import type { WindowBuilder } from './window.js';

/** Adds a row, or counts why it is refused. */
function take(builder: WindowBuilder, counts: RowCounts, fields: RowFields, line: number): void {
  try {
    builder.add(fields, line);
    counts.rows++;
  } catch (error) {
    if (!(error instanceof RowError)) throw error;
    counts.addBad(badRow(error, line));
  }
}

/** Rows of scores in a file: JSONL, CSV or Parquet, of `batch` or of any other scorer. */
export async function readScoreWindow(path: string, builder: WindowBuilder, run: Run): Promise<RowsReport> {
  const counts = new RowCounts();
  const report = reporter(run, 'Reading', 'rows');
  await withSource(path, async (source) => {
    if (source.byteLength === 0) return;
    const rows = await recogniseRows(fileInput(source, run.signal), undefined, { layout: 'none' });
    for await (const batch of readFields(rows, [[]])) {
      for (const result of batch) {
        if (result.row) take(builder, counts, result.row, result.line);
        else counts.addBad(result);
      }
      report(counts.rows);
    }
  });
  return counts.report();
}

/** How far the files of a log have been read, in bytes by name. */
export type LogPosition = Readonly<Record<string, number>>;

export interface LogRead {
  readonly report: RowsReport;
  readonly position: LogPosition;
  /** Files whose last line has no end yet, or never will. */
  readonly torn: number;
}

const LOG_FILE = /^scores-\d+\.jsonl$/;
const SERVED = 'hpsv3/served@1';

/** Names of the files of a log, in the order they were written. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE */
function logFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => LOG_FILE.test(name))
      .sort();
  } catch (cause) {
    const { code } = cause as { code?: string };
    throw new HpsError(
      code === 'ENOENT' ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE',
      `${basename(folder)}: no such folder`,
      {
        hint: 'Give the folder that `hpsv3 serve` was told as `log-scores`.',
        details: { folder: basename(folder) },
        cause,
      },
    );
  }
}

/**
 * Rows of the files that `serve` logs to, from where the last reading ended. A line without an end, which a server is just writing
 * or died over, is left for the next reading.
 *
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE; DATA_INVALID where a file is shorter than what was read of it
 */
export async function readLogWindow(
  folder: string,
  from: LogPosition,
  builder: WindowBuilder,
  run: Run,
): Promise<LogRead> {
  const counts = new RowCounts();
  const report = reporter(run, 'Reading', 'rows');
  const position: Record<string, number> = {};
  let torn = 0;
  for (const name of logFiles(folder)) {
    const path = join(folder, name);
    const start = from[name] ?? 0;
    if (statSync(path).size < start) {
      throw new HpsError('DATA_INVALID', `${name}: is shorter than what was read of it before`, {
        hint: 'Logs only grow: start again with a new state, or give the log that this state is of.',
        details: { file: name, read: start },
      });
    }
    const source = FileSource.open(path);
    try {
      const end = await readLog(source, start, builder, counts, run, () => report(counts.rows));
      position[name] = end;
      if (end < source.byteLength) torn++;
    } finally {
      source.close();
    }
  }
  return { report: counts.report(), position: { ...from, ...position }, torn };
}

/** @returns where the last whole line ends */
async function readLog(
  file: FileSource,
  start: number,
  builder: WindowBuilder,
  counts: RowCounts,
  run: Run,
  said: () => void,
): Promise<number> {
  const source = file.slice(start, file.byteLength - start);
  let at = start;
  for await (const block of readLineBlocks(fileInput(source, run.signal).chunks())) {
    if (block.tooLong) {
      counts.addBad(badRow(tooLarge(), block.firstLine));
      continue;
    }
    let line = block.firstLine;
    let from = block.start;
    for (; from < block.end; line++) {
      const end = lineEnd(block, from);
      if (end === block.end) break; // no newline follows
      const result = parseJsonlRow(block.bytes.subarray(from, end), line, served);
      if (result?.row) take(builder, counts, result.row, line);
      else if (result) counts.addBad(result);
      from = end + 1;
    }
    at += from;
    said();
  }
  return at;
}

function served(fields: RowFields): RowFields {
  const schema = fields.get('schema');
  if (schema === undefined || schema === SERVED) return fields;
  throw new RowError('TYPE_UNKNOWN', `schema ${String(schema)} is not ${SERVED}`);
}
