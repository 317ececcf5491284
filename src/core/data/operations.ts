import { HpsError } from '../errors.js';
import { type Consensus, type ConsensusOptions, consensus } from './consensus.js';
import { ColumnSet } from './flat.js';
import type { DataFormat } from './formats.js';
import type { DataInput } from './input.js';
import { badRow } from './jsonl.js';
import type { LayoutChoice } from './layouts/apply.js';
import { createLayoutWriter, type OutputLayout } from './layouts/write.js';
import { peekKind, readRecognisedRows, readScoreRows } from './read-rows.js';
import { type RecognisedRows, recogniseRows } from './recognise.js';
import { RowCounts, type RowsReport } from './row-counts.js';
import { type BadRow, type DataRow, humanScore, type PairRow, type RowResult, type ScoreRow } from './rows.js';
import { clusterSplit, type SplitFractions } from './split.js';
import { createRowWriter, needsColumns, type RowSink, type RowWriter } from './write-rows.js';
import { createScoreWriter, ScoreColumnSet } from './write-scores.js';

/** What `hpsv3 data convert`, `consensus` and `split` do; each reads an input and writes to sinks that its caller opened. */

export interface DataOperation extends LayoutChoice {
  readonly input: DataInput;
  /** Without it, what the input's name says. */
  readonly inputFormat?: DataFormat;
  readonly onBadRow?: (row: BadRow) => void;
}

export interface ConvertOptions extends DataOperation {
  readonly sink: RowSink;
  readonly format: DataFormat;
  /** Writes pairs as others lay them out, in JSON. */
  readonly toLayout?: OutputLayout;
}

export interface ConvertReport extends RowsReport {
  /** What the rows are: samples and labels, or scores of them. */
  readonly kind: 'rows' | 'scores';
}

/**
 * Writes the good rows of a file, or the good scores, in another format. CSV and Parquet are read twice, for their columns.
 *
 * @throws HpsError USAGE when standard input would have to be read twice
 */
export async function convertData(options: ConvertOptions): Promise<ConvertReport> {
  const { rows, isScores } = await peekKind(await recogniseRows(options.input, options.inputFormat, options));
  const convert = isScores ? convertScores : convertRows;
  return { kind: isScores ? 'scores' : 'rows', ...(await convert(rows, options)) };
}

async function convertRows(rows: RecognisedRows, options: ConvertOptions): Promise<RowsReport> {
  const { sink, format, toLayout, onBadRow } = options;
  const columns = !toLayout && needsColumns(format) ? await findColumns(rows) : undefined;
  const writer = toLayout ? createLayoutWriter(sink, toLayout) : createRowWriter(sink, format, columns);
  const report = await eachRow(rows, (row) => writer.write(row), onBadRow);
  if (report.rows > 0) await writer.finish();
  return report;
}

async function convertScores(rows: RecognisedRows, { sink, format, onBadRow }: ConvertOptions): Promise<RowsReport> {
  const columns = new ScoreColumnSet();
  if (needsColumns(format)) {
    assertRepeatable(rows);
    await eachScore(rows, (row) => columns.add(row));
  }
  const writer = createScoreWriter(sink, format, columns.columns());
  const report = await eachScore(rows, (row) => writer.write(row), onBadRow);
  await writer.finish();
  return report;
}

export interface ConsensusDataOptions extends ConvertOptions, ConsensusOptions {}

export interface ConsensusReport extends Omit<Consensus, 'rows'> {
  readonly written: number;
  readonly input: RowsReport;
}

/** Writes one answer a row. Absolute rows get the mean of their ratings as score. All rows are held in memory. */
export async function consensusData(options: ConsensusDataOptions): Promise<ConsensusReport> {
  const pairs: PairRow[] = [];
  const absolutes: DataRow[] = [];
  const take = (row: DataRow): void => {
    if (row.kind === 'pair') pairs.push(row);
    else {
      const { raters: _, ...rest } = row;
      absolutes.push({ ...rest, score: humanScore(row), ratings: [] });
    }
  };
  const input = await eachRow(await recogniseRows(options.input, options.inputFormat, options), take, options.onBadRow);
  const { rows: answered, ...summary } = consensus(pairs, options);
  const output = [...answered, ...absolutes];
  const columns = new ColumnSet();
  for (const row of output) columns.add(row);
  const writer = createRowWriter(options.sink, options.format, columns.columns());
  for (const row of output) await writer.write(row);
  await writer.finish();
  return { ...summary, written: output.length, input };
}

export interface SplitOptions extends DataOperation {
  readonly fractions: SplitFractions;
  readonly seed: number;
  readonly format: DataFormat;
  /** One for each part that `fractions` names. */
  readonly sinks: Readonly<Record<string, RowSink>>;
}

export interface SplitReport {
  readonly input: RowsReport;
  readonly parts: Readonly<Record<string, { readonly rows: number; readonly clusters: number }>>;
}

/** Writes each row to the part of its cluster; no cluster is in two parts. */
export async function splitData(options: SplitOptions): Promise<SplitReport> {
  const partOf = clusterSplit(options.fractions, options.seed);
  const rows = await recogniseRows(options.input, options.inputFormat, options);
  const columns = needsColumns(options.format) ? await findColumns(rows) : undefined;
  const parts = new Map<string, { writer: RowWriter; rows: number; clusters: Set<string> }>();
  for (const name of Object.keys(options.fractions)) {
    const sink = options.sinks[name];
    if (!sink) throw new RangeError(`no sink for the part ${name}`);
    parts.set(name, { writer: createRowWriter(sink, options.format, columns), rows: 0, clusters: new Set() });
  }
  const take = async (row: DataRow): Promise<void> => {
    const part = parts.get(partOf(row.promptId))!;
    part.rows++;
    part.clusters.add(row.promptId);
    await part.writer.write(row);
  };
  const input = await eachRow(rows, take, options.onBadRow);
  for (const { writer } of parts.values()) await writer.finish();
  const counted = [...parts].map(([name, { rows, clusters }]) => [name, { rows, clusters: clusters.size }] as const);
  return { input, parts: Object.fromEntries(counted) };
}

async function findColumns(rows: RecognisedRows): Promise<string[]> {
  assertRepeatable(rows);
  const columns = new ColumnSet();
  await eachRow(rows, (row) => columns.add(row));
  return columns.columns();
}

function assertRepeatable({ input }: RecognisedRows): void {
  if (input.isRepeatable) return;
  throw new HpsError('USAGE', `${input.name}: cannot be read twice, which CSV and Parquet output needs`, {
    hint: 'Give the path of a file, or write JSONL.',
  });
}

type OnBadRow = DataOperation['onBadRow'];

/** Calls `visit` with every good row in order; the bad ones are counted, and of each id the first row is taken. */
function eachRow(
  rows: RecognisedRows,
  visit: (row: DataRow) => void | Promise<void>,
  onBadRow?: OnBadRow,
): Promise<RowsReport> {
  const counts = new RowCounts(onBadRow);
  counts.layout = rows.layout?.layout.id;
  return each(readRecognisedRows(rows, counts), visit, counts);
}

function eachScore(
  rows: RecognisedRows,
  visit: (row: ScoreRow) => void | Promise<void>,
  onBadRow?: OnBadRow,
): Promise<RowsReport> {
  const counts = new RowCounts(onBadRow);
  return each(readScoreRows(rows, counts.ignored), visit, counts);
}

async function each<T extends { readonly id: string }>(
  batches: AsyncIterable<RowResult<T>[]>,
  visit: (row: T) => void | Promise<void>,
  counts: RowCounts,
): Promise<RowsReport> {
  for await (const batch of batches) {
    for (const result of batch) {
      if ('code' in result) counts.addBad(result);
      else if (!counts.isRepeated(result.row.id, result.line)) {
        try {
          await visit(result.row);
          counts.rows++;
        } catch (error) {
          counts.addBad(badRow(error, result.line)); // one that the output has no place for
        }
      }
    }
  }
  return counts.report();
}
