import type { StagedOutput } from '../bytes/output.js';
import type { WrittenFile } from '../bytes/sink.js';
import type { TableCell } from './flat.js';
import type { DataFormat } from './formats.js';
import type { ParquetColumn } from './parquet.js';
import { AUXILIARY, type Auxiliary, type ScoreRow } from './rows.js';
import { createTableWriter, type RowSink, type RowWriter } from './write-rows.js';

/** A column of a table of scores. */
interface ScoreColumn extends ParquetColumn {
  readonly of: (row: ScoreRow) => TableCell | undefined;
}

/** Where a column of an auxiliary score is in a row: of an item, or of a side of a pair. */
const AUX_SIDES = ['', 'left.', 'right.'] as const;

const auxColumn = (head: Auxiliary, side: (typeof AUX_SIDES)[number]): string => `aux.${side}${head}`;

function auxOf({ aux }: ScoreRow, head: Auxiliary, side: (typeof AUX_SIDES)[number]): number | undefined {
  if (!aux) return undefined;
  if (side === '') return 'left' in aux ? undefined : aux[head];
  return 'left' in aux ? aux[side === 'left.' ? 'left' : 'right'][head] : undefined;
}

const COLUMNS: readonly ScoreColumn[] = [
  { name: 'id', type: 'STRING', of: ({ id }) => id },
  { name: 'logit', type: 'DOUBLE', of: ({ logit }) => logit },
  { name: 'score', type: 'DOUBLE', of: ({ score }) => score },
  { name: 'winner', type: 'STRING', of: ({ winner }) => winner },
  { name: 'confidence', type: 'DOUBLE', of: ({ confidence }) => confidence },
  {
    name: 'calibrated',
    type: 'BOOLEAN',
    of: ({ calibrated }) => (calibrated === undefined ? null : calibrated !== false),
  },
  {
    name: 'calibrated_value',
    type: 'DOUBLE',
    of: ({ calibrated }) => (typeof calibrated === 'number' ? calibrated : null),
  },
  { name: 'calibrated_by', type: 'STRING', of: ({ calibratedBy }) => calibratedBy },
  { name: 'percentile.below', type: 'DOUBLE', of: ({ percentile }) => percentile?.below },
  { name: 'percentile.low', type: 'DOUBLE', of: ({ percentile }) => percentile?.low },
  { name: 'percentile.high', type: 'DOUBLE', of: ({ percentile }) => percentile?.high },
  { name: 'percentile.n', type: 'DOUBLE', of: ({ percentile }) => percentile?.n },
  { name: 'mu', type: 'DOUBLE', of: ({ mu }) => mu },
  { name: 'sigma', type: 'DOUBLE', of: ({ sigma }) => sigma },
  { name: 'left_sigma', type: 'DOUBLE', of: ({ left_sigma }) => left_sigma },
  { name: 'right_sigma', type: 'DOUBLE', of: ({ right_sigma }) => right_sigma },
  ...AUX_SIDES.flatMap((side) =>
    AUXILIARY.map((head): ScoreColumn => {
      return { name: auxColumn(head, side), type: 'DOUBLE', of: (row) => auxOf(row, head, side) };
    }),
  ),
  { name: 'marks', type: 'STRING', of: ({ marks }) => marks?.join(' ') },
  { name: 'disagreement', type: 'DOUBLE', of: ({ disagreement }) => disagreement },
  { name: 'task', type: 'STRING', of: ({ task }) => task },
  { name: 'truncated', type: 'BOOLEAN', of: ({ truncated, model }) => truncated ?? (model ? false : null) },
  { name: 'windows', type: 'STRING', of: ({ windows }) => windows && JSON.stringify(windows) },
  { name: 'row', type: 'DOUBLE', of: ({ row }) => row },
  { name: 'model', type: 'STRING', of: ({ model }) => model },
  { name: 'runtime.version', type: 'STRING', of: ({ runtime }) => runtime?.version },
  { name: 'runtime.device', type: 'STRING', of: ({ runtime }) => runtime?.device },
  { name: 'runtime.threads', type: 'INT32', of: ({ runtime }) => runtime?.threads },
  { name: 'runtime.optimization', type: 'STRING', of: ({ runtime }) => runtime?.optimization },
];

/** Columns of what every model says, whether or not a row has anything in each; `runtime` is what rows of 0.1.0 had. */
const MODEL_COLUMNS = COLUMNS.map(({ name }) => name).filter(
  (name) => !['disagreement', 'marks', 'windows'].includes(name) && !/^(?:runtime|aux)\./.test(name),
);

/** Those of models with auxiliary heads, of marked rows and of what is scored in windows, besides. */
export function modelColumns(
  heads: readonly Auxiliary[],
  { areMarked, inWindows }: { readonly areMarked: boolean; readonly inWindows: boolean },
): string[] {
  const aux = heads.flatMap((head) => AUX_SIDES.map((side) => auxColumn(head, side)));
  return [...MODEL_COLUMNS, ...aux, ...(areMarked ? ['marks'] : []), ...(inWindows ? ['windows'] : [])];
}

/** Collects the columns that the scores of a file need. */
export class ScoreColumnSet {
  private readonly names = new Set(['id', 'logit']);

  add(row: ScoreRow): void {
    for (const { name, of } of COLUMNS) if ((of(row) ?? null) !== null) this.names.add(name);
  }

  columns(): string[] {
    return COLUMNS.map(({ name }) => name).filter((name) => this.names.has(name));
  }
}

/** @param names - for CSV and Parquet: what `ScoreColumnSet` found in the rows to come; by default what every model says */
export function createScoreWriter(
  sink: RowSink,
  format: DataFormat,
  names: readonly string[] = MODEL_COLUMNS,
): RowWriter<ScoreRow> {
  const columns = COLUMNS.filter(({ name }) => names.includes(name));
  return createTableWriter<ScoreRow>(sink, format, {
    columns: columns.map(({ name, type }) => ({ name, type })),
    cellsOf: (row) => columns.map(({ of }) => of(row) ?? null),
    toJson: formatScore,
  });
}

/** Score rows as the main file of an output, a line of JSON each. */
export async function writeScoreFile(
  output: StagedOutput,
  count: number,
  rowAt: (row: number) => ScoreRow,
): Promise<WrittenFile> {
  const sink = await output.create();
  const writer = createScoreWriter(sink, 'jsonl');
  for (let row = 0; row < count; row++) await writer.write(rowAt(row));
  await writer.finish();
  return sink.finish();
}

/** Fields in the order they are written in, `id` and `logit` first, which is what the fitting commands read. */
const FIELDS = [
  ...['id', 'logit', 'score', 'winner', 'confidence', 'calibrated', 'calibratedBy'],
  ...['percentile', 'mu', 'sigma', 'left_sigma', 'right_sigma'],
  ...['aux', 'marks', 'disagreement'],
  ...['task', 'truncated', 'windows', 'row', 'model', 'runtime'],
] as const satisfies readonly (keyof ScoreRow)[];

/** Those and the fields of what stands within them. */
const ALL_FIELDS = [
  ...FIELDS,
  ...[...AUXILIARY, 'left', 'right'],
  ...['version', 'device', 'threads', 'optimization'],
  ...['below', 'low', 'high', 'n'],
  ...['window', 'stride', 'aggregate', 'unit', 'count', 'worst', 'start', 'end', 'interval', 'level', 'block', 'curve'],
];

/** A line of JSON. */
export const formatScore = (row: ScoreRow): string => `${scoreJson(row)}\n`;

/** As `JSON.stringify`, with the fields of rows alone; what is plain is written without a look at them, which takes far longer. */
function jsonOf(value: NonNullable<unknown> | null): string {
  if (value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value)))
    return String(value);
  if (typeof value === 'string') return PLAIN.test(value) ? `"${value}"` : JSON.stringify(value);
  return JSON.stringify(value, ALL_FIELDS);
}

/** Strings that JSON writes as they are. */
const PLAIN = /^[\w .:/-]*$/;

/** What stands before the value of a field. */
const MEMBERS = FIELDS.filter((name) => name !== 'id').map((name) => ({ name, start: `,"${name}":` }));

/** Puts the JSON of a row behind other pieces: of many rows, one string takes far less than the sums of each. */
export function pushScoreJson(pieces: string[], row: ScoreRow): void {
  pieces.push('{"id":', jsonOf(row.id));
  for (const { name, start } of MEMBERS) {
    const value = row[name];
    if (value !== undefined) pieces.push(start, jsonOf(value));
  }
  pieces.push('}');
}

/** The JSON of a row. */
export function scoreJson(row: ScoreRow): string {
  const pieces: string[] = [];
  pushScoreJson(pieces, row);
  return pieces.join('');
}
