import { HpsError } from '../errors.js';
import { type Consensus, type ConsensusOptions, consensus } from './consensus.js';
import { ColumnSet } from './flat.js';
import type { DataInput } from './input.js';
import { readRows } from './read-rows.js';
import type { DataFormat } from './recognise.js';
import { RowCounts, type RowsReport } from './row-counts.js';
import { type BadRow, type DataRow, humanScore, type PairRow } from './rows.js';
import { clusterSplit, type SplitFractions } from './split.js';
import { createRowWriter, needsColumns, type RowSink, type RowWriter } from './write-rows.js';

/** What `hpsv3 data convert`, `consensus` and `split` do; each reads an input and writes to sinks that its caller opened. */

export interface DataOperation {
  readonly input: DataInput;
  /** Without it, what the input's name says. */
  readonly inputFormat?: DataFormat;
  readonly onBadRow?: (row: BadRow) => void;
}

export interface ConvertOptions extends DataOperation {
  readonly sink: RowSink;
  readonly format: DataFormat;
}

/**
 * Writes the good rows of a file in another format. CSV and Parquet are read twice, for their columns.
 *
 * @throws HpsError USAGE when standard input would have to be read twice
 */
export async function convertData(options: ConvertOptions): Promise<RowsReport> {
  const columns = needsColumns(options.format) ? await findColumns(options) : undefined;
  const writer = createRowWriter(options.sink, options.format, columns);
  const report = await eachRow(options, (row) => writer.write(row));
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
  const input = await eachRow(options, (row) => {
    if (row.kind === 'pair') pairs.push(row);
    else {
      const { raters: _, ...rest } = row;
      absolutes.push({ ...rest, score: humanScore(row), ratings: [] });
    }
  });
  const { rows, ...summary } = consensus(pairs, options);
  const output = [...rows, ...absolutes];
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
  const columns = needsColumns(options.format) ? await findColumns(options) : undefined;
  const parts = new Map<string, { writer: RowWriter; rows: number; clusters: Set<string> }>();
  for (const name of Object.keys(options.fractions)) {
    const sink = options.sinks[name];
    if (!sink) throw new RangeError(`no sink for the part ${name}`);
    parts.set(name, { writer: createRowWriter(sink, options.format, columns), rows: 0, clusters: new Set() });
  }
  const input = await eachRow(options, async (row) => {
    const part = parts.get(partOf(row.promptId))!;
    part.rows++;
    part.clusters.add(row.promptId);
    await part.writer.write(row);
  });
  for (const { writer } of parts.values()) await writer.finish();
  const counted = [...parts].map(([name, { rows, clusters }]) => [name, { rows, clusters: clusters.size }] as const);
  return { input, parts: Object.fromEntries(counted) };
}

async function findColumns(options: DataOperation): Promise<string[]> {
  if (!options.input.isRepeatable) {
    throw new HpsError('USAGE', `${options.input.name}: cannot be read twice, which CSV and Parquet output needs`, {
      hint: 'Give the path of a file, or write JSONL.',
    });
  }
  const columns = new ColumnSet();
  await eachRow({ input: options.input, inputFormat: options.inputFormat }, (row) => columns.add(row));
  return columns.columns();
}

/** Calls `visit` with every good row in order; the bad ones are counted, and of each id the first row is taken. */
async function eachRow(options: DataOperation, visit: (row: DataRow) => void | Promise<void>): Promise<RowsReport> {
  const counts = new RowCounts(options.onBadRow);
  const { ignored, votes } = counts;
  for await (const batch of readRows(options.input, { format: options.inputFormat, ignored, votes })) {
    for (const result of batch) {
      if (result.row) {
        if (counts.isRepeated(result.row.id, result.line)) continue;
        counts.rows++;
        await visit(result.row);
      } else counts.addBad(result);
    }
  }
  return counts.report();
}
