import { basename } from 'node:path';
import { withSource } from '../../bytes/source.js';
import { fileInput } from '../../data/input.js';
import { nothingRead, type ReadJudgedOptions } from '../../data/judged-scores.js';
import type { PairLabelTable } from '../../data/label-table.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { readLabels } from '../../data/read-labels.js';
import { readScores } from '../../data/read-scores.js';
import type { RowsReport } from '../../data/row-counts.js';
import type { BadRow } from '../../data/rows.js';
import type { MemberScores } from '../../ensemble/rows.js';
import { HpsError } from '../../errors.js';

/** What the ways of making and using an ensemble read and write. */

/** The score file of one member. */
export interface ScoreFile {
  readonly name: string;
  readonly path: string;
}

/** What reading each file came to. */
export interface InputRows {
  readonly labels: RowsReport | null;
  readonly scores: Readonly<Record<string, RowsReport>>;
  /** Rows refused, in all files together. */
  readonly failed: number;
  /** Base name of the file that has them, where there is one. */
  readonly errors?: string;
}

/** The members' scores, in the order of the files. */
export async function readMembers(
  files: readonly ScoreFile[],
  { signal, onRefused }: ReadJudgedOptions,
): Promise<{ readonly members: MemberScores[]; readonly reports: [name: string, report: RowsReport][] }> {
  const members: MemberScores[] = [];
  const reports: [string, RowsReport][] = [];
  for (const { name, path } of files) {
    const onBadRow = (row: BadRow) => onRefused?.(row, basename(path));
    const { table, report } = await withSource(path, (source) => readScores(fileInput(source, signal), { onBadRow }));
    refuseNothing(path, 'score', report);
    members.push({ name, table });
    reports.push([name, report]);
  }
  return { members, reports };
}

/** Judged pairs; absolute rows are left out and counted. */
export async function readPairLabels(
  path: string,
  { signal, onRefused, layout, map }: ReadJudgedOptions & LabelLayout,
): Promise<{ table: PairLabelTable; report: RowsReport }> {
  const options = { kind: 'pair' as const, layout, map, onBadRow: (row: BadRow) => onRefused?.(row, basename(path)) };
  const { table, report } = await withSource(path, (source) => readLabels(fileInput(source, signal), options));
  refuseNothing(path, 'vote on a pair', report);
  if (table.kind !== 'pair') throw new TypeError('labels of pairs were asked for');
  return { table, report };
}

function refuseNothing(path: string, what: string, report: RowsReport): void {
  const [reason] = nothingRead(basename(path), what, report);
  if (reason === undefined) return;
  throw new HpsError('DATA_INVALID', reason, { hint: `Give a file with a ${what} in it.`, details: { ...report } });
}

/** @param errors - base name of the file with the refused rows; null where there is none */
export function inputRows(
  scores: readonly (readonly [string, RowsReport])[],
  labels: RowsReport | null,
  errors: string | null,
): InputRows {
  const failed = scores.reduce((sum, [, { badRows }]) => sum + badRows, labels?.badRows ?? 0);
  return { labels, scores: Object.fromEntries(scores), failed, ...(errors !== null && { errors }) };
}

/** A value for each member, by name. */
export const byName = <T>(members: readonly { readonly name: string }[], values: readonly T[]): Record<string, T> =>
  Object.fromEntries(members.map(({ name }, m) => [name, values[m]]));

/** A member that is not the model its weight was made for. */
export const replacedMember = (name: string, expected: string, actual: string): HpsError =>
  new HpsError('MODELS_INCOMPARABLE', `${name} is another model now than the one the ensemble was made with`, {
    hint: 'Score with the model it was made with, or make the ensemble again.',
    details: { member: name, expected, actual },
  });

export const usage = (problem: string, hint: string): HpsError => new HpsError('USAGE', problem, { hint });
