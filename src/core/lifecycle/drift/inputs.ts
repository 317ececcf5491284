import { basename, dirname, resolve } from 'node:path';
import { withSource } from '../../bytes/source.js';
import { fileInput } from '../../data/input.js';
import type { LabelTable } from '../../data/label-table.js';
import { readLabels } from '../../data/read-labels.js';
import { readRows } from '../../data/read-rows.js';
import { type RowsReport, rowsWarnings } from '../../data/row-counts.js';
import { inputStatistics } from '../../drift/input-statistics.js';
import { type LogPosition, readLogWindow, readScoreWindow } from '../../drift/read-window.js';
import type { FeatureValue } from '../../drift/sample.js';
import {
  type ContextOf,
  contextOfLabels,
  type RowContext,
  type RowReading,
  type Window,
  type WindowBuilder,
} from '../../drift/window.js';
import { HpsError } from '../../errors.js';
import { counter, type Run } from '../../run.js';

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
  /** Rows of which an input could not be read. */
  readonly unread: number;
}

/** Labels, and what is known of rows by their ids. */
export async function readContext({ labels: path, input }: DriftInputs, run: Run): Promise<Labelled> {
  const { signal } = run;
  const labels = path === undefined ? null : await withSource(path, (source) => readLabels(fileInput(source, signal)));
  const ofLabels = labels ? contextOfLabels(labels.table) : () => undefined;
  const ofRows = input === undefined ? NO_ROWS : await readRowContext(input, run);
  return {
    labels: labels?.table ?? null,
    report: labels?.report ?? null,
    contextOf: (id) => merged(ofLabels(id), ofRows.rows.get(id)),
    unread: ofRows.unread,
  };
}

/** What labels and rows say together; labels alone have votes, and rows alone inputs. */
function merged(label: RowContext | undefined, row: RowContext | undefined): RowContext | undefined {
  return label && row
    ? { ...label, groups: new Map([...label.groups, ...row.groups]), features: row.features }
    : (row ?? label);
}

interface RowContexts {
  readonly rows: ReadonlyMap<string, RowContext>;
  /** Rows of which an input could not be read. */
  readonly unread: number;
}

const NO_ROWS: RowContexts = { rows: new Map(), unread: 0 };

async function readRowContext(path: string, run: Run): Promise<RowContexts> {
  const rows = new Map<string, RowContext>();
  const mediaRoot = dirname(resolve(path));
  const count = counter(run, 'Reading inputs', 'rows');
  let unread = 0;
  await withSource(path, async (source) => {
    for await (const batch of readRows(fileInput(source, run.signal))) {
      for (const { row } of batch) {
        if (!row) continue;
        const sides = row.kind === 'pair' ? [row.left, row.right] : [row.item];
        const statistics = await Promise.all(sides.map((item) => inputStatistics(item, mediaRoot)));
        if (statistics.includes(null)) unread++;
        const features = new Map<string, FeatureValue>();
        for (const name of new Set(statistics.flatMap((one) => [...(one?.keys() ?? [])]))) {
          const cells = statistics.map((one) => one?.get(name) ?? null);
          features.set(`input.${name}`, cells.length === 1 ? cells[0]! : cells);
        }
        rows.set(row.id, { cluster: row.promptId, groups: row.groups, features });
        count();
      }
    }
  });
  return { rows, unread };
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

/** Reads scores, or what is new in a log. @throws HpsError USAGE where neither or both are given; DATA_INVALID where no row has a column for it; as the readers */
export async function readWindow(
  { scores, log }: DriftInputs,
  builder: WindowBuilder,
  run: Run,
  from: LogPosition = {},
): Promise<WindowRead> {
  if (scores !== undefined && log === undefined) {
    const report = await readScoreWindow(scores, builder, run);
    builder.assertScored(basename(scores));
    return { report, position: from, torn: 0 };
  }
  if (log !== undefined && scores === undefined) return readLogWindow(log, from, builder, run);
  throw new HpsError('USAGE', 'give `scores` or `log`, one of them', { hint: 'A log is what `serve` writes.' });
}

/** What a reader should know of rows, one sentence each. */
export function warningsOf(
  { clock, repeatedIds, ignored }: Window,
  refused: readonly string[],
  { labels, report, unread }: Labelled,
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
  if (unread > 0) warnings.push(`The inputs of ${unread} rows could not be read: their figures are missing.`);
  if (ignored.size > 0) {
    const names = [...ignored.keys()].slice(0, 10).map((name) => JSON.stringify(name));
    warnings.push(`Columns that are not tested: ${names.join(', ')}. Name those that matter by \`feature\`.`);
  }
  return warnings;
}
