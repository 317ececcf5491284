import { withSource } from '../../bytes/source.js';
import { fileInput } from '../../data/input.js';
import type { LabelTable } from '../../data/label-table.js';
import { readLabels } from '../../data/read-labels.js';
import { readRows } from '../../data/read-rows.js';
import { type RowsReport, rowsWarnings } from '../../data/row-counts.js';
import { type LogPosition, readLogWindow, readScoreWindow } from '../../drift/read-window.js';
import {
  type ContextOf,
  contextOfLabels,
  type RowContext,
  type RowReading,
  type Window,
  type WindowBuilder,
} from '../../drift/window.js';
import { HpsError } from '../../errors.js';
import type { Run } from '../../run.js';

/** What both verbs of drift read beside scores. */
export interface DriftInputs extends RowReading {
  /** Scores of `batch` or of any other scorer. */
  readonly scores?: string;
  /** Folder that `serve` logs to. */
  readonly log?: string;
  /** Human labels, by the ids of rows. */
  readonly labels?: string;
  /** The rows that were scored, for their prompts, groups and inputs. */
  readonly input?: string;
}

export interface Labelled {
  readonly labels: LabelTable | null;
  readonly report: RowsReport | null;
  readonly contextOf: ContextOf;
}

/** Labels, and what is known of rows by their ids. */
export async function readContext({ labels: path, input }: DriftInputs, { signal }: Run): Promise<Labelled> {
  const labels = path === undefined ? null : await withSource(path, (source) => readLabels(fileInput(source, signal)));
  const ofLabels = labels ? contextOfLabels(labels.table) : () => undefined;
  const ofRows = input === undefined ? new Map<string, RowContext>() : await readRowContext(input, signal);
  return {
    labels: labels?.table ?? null,
    report: labels?.report ?? null,
    contextOf: (id) => ofRows.get(id) ?? ofLabels(id),
  };
}

async function readRowContext(path: string, signal: AbortSignal | undefined): Promise<Map<string, RowContext>> {
  const known = new Map<string, RowContext>();
  await withSource(path, async (source) => {
    for await (const batch of readRows(fileInput(source, signal))) {
      for (const { row } of batch) if (row) known.set(row.id, { cluster: row.promptId, groups: row.groups });
    }
  });
  return known;
}

/** Where both are given, labels say what rows are. */
export const kindOf = ({ kind }: DriftInputs, { labels }: Labelled): DriftInputs['kind'] =>
  kind ?? (labels && labels.count > 0 ? (labels.kind === 'pair' ? 'pair' : 'item') : undefined);

/** Where rows of a log begin and end; of a file of scores nothing. */
export interface WindowRead {
  readonly report: RowsReport;
  readonly position: LogPosition;
  readonly torn: number;
}

/** Reads scores, or what is new in a log. @throws HpsError USAGE where neither or both are given; as the readers */
export async function readWindow(
  { scores, log }: DriftInputs,
  builder: WindowBuilder,
  run: Run,
  from: LogPosition = {},
): Promise<WindowRead> {
  if (scores !== undefined && log === undefined) {
    return { report: await readScoreWindow(scores, builder, run), position: from, torn: 0 };
  }
  if (log !== undefined && scores === undefined) return readLogWindow(log, from, builder, run);
  throw new HpsError('USAGE', 'give `scores` or `log`, one of them', { hint: 'A log is what `serve` writes.' });
}

/** What a reader should know of rows, one sentence each. */
export function warningsOf(
  { clock, repeatedIds, ignored }: Window,
  refused: readonly string[],
  { labels, report }: Labelled,
): string[] {
  const warnings = [...refused, ...(report ? rowsWarnings('Labels', report) : [])];
  if (clock.stepsBack > 0) {
    const most = (clock.mostBackMs / 1000).toFixed(1);
    warnings.push(
      `The clock went back ${clock.stepsBack} times, by ${most} s at most: rows are taken as they were written.`,
    );
  }
  if (repeatedIds > 0 && labels) {
    warnings.push(`${repeatedIds} rows repeat the id of an earlier one: labels are of the first.`);
  }
  if (ignored.size > 0) {
    const names = [...ignored.keys()].slice(0, 10).map((name) => JSON.stringify(name));
    warnings.push(`Columns that are not tested: ${names.join(', ')}. Name those that matter by \`feature\`.`);
  }
  return warnings;
}
