import type { Score } from '../../scoring/result.js';

/** A line of a score file: the score of one row, with the row's id and number. */
export type ScoreRecord = { readonly id: string; readonly row: number } & Score;

/** A score as it is written; the `runtime` that rows of 0.1.0 had stands in the manifest. */
export function withoutRuntime(record: ScoreRecord): ScoreRecord {
  const { runtime: _, ...row } = record as ScoreRecord & { readonly runtime?: unknown };
  return row as ScoreRecord;
}

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
