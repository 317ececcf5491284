import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { withAtomicOutput } from '../../bytes/output.js';
import { outputError } from '../../bytes/output-error.js';
import type { ConsensusOptions } from '../../data/consensus.js';
import { type DataStats, dataStats } from '../../data/data-stats.js';
import {
  type ConsensusReport,
  consensusData,
  convertData,
  type SplitReport,
  splitData,
} from '../../data/operations.js';
import { type DataFormat, formatOfName } from '../../data/recognise.js';
import type { RowsReport } from '../../data/row-counts.js';
import {
  errorsBeside,
  STANDARD_STREAM,
  type StandardStreams,
  type WriteOptions,
  type WrittenRows,
  withErrorRows,
  withInput,
  withRowOutput,
} from '../../data/row-files.js';
import type { SplitFractions } from '../../data/split.js';
import { HpsError } from '../../errors.js';
import type { Run } from '../../run.js';

/** What `hpsv3 data` does with files. */

export interface DataFileOptions extends Run {
  /** Path of the input, or `-`. */
  readonly input: string;
  /** Without it, what the input's name says. */
  readonly from?: DataFormat;
  /** File for refused rows; by default `errors.jsonl` beside the output. */
  readonly errors?: string;
  readonly force: boolean;
  readonly streams: StandardStreams;
}

export interface WriteDataOptions extends DataFileOptions {
  /** Path of the output, or `-`. */
  readonly out: string;
  /** Without it, what the output's name says. */
  readonly to?: DataFormat;
}

/** Beside the rows' own counts: what was written where. */
export type DataFileReport = WrittenRows & {
  readonly format: DataFormat;
  /** Base name of the file with the refused rows; null where there is none. */
  readonly errors: string | null;
};

const inputsOf = ({ input }: DataFileOptions): string[] => (input === STANDARD_STREAM ? [] : [input]);
const writing = (options: DataFileOptions): WriteOptions => ({ force: options.force, inputs: inputsOf(options) });

export type ConvertFileReport = DataFileReport & { readonly input: RowsReport };

/** Writes the good rows of a file in another format. @throws HpsError DATA_INVALID, USAGE, and the OUTPUT_… codes */
export function convertFile(options: WriteDataOptions): Promise<ConvertFileReport> {
  return writeRows(options, (operation) => convertData(operation).then((input) => ({ input })));
}

export type ConsensusFileReport = DataFileReport & ConsensusReport;

/** Writes one answer a row. @throws HpsError as `convertFile` */
export function consensusFile(options: WriteDataOptions & ConsensusOptions): Promise<ConsensusFileReport> {
  const { method, minAgreement } = options;
  return writeRows(options, (operation) => consensusData({ ...operation, method, minAgreement }));
}

async function writeRows<T>(
  options: WriteDataOptions,
  write: (operation: Parameters<typeof convertData>[0]) => Promise<T>,
): Promise<T & DataFileReport> {
  const { out, to, from, errors = errorsBeside(out), streams } = options;
  const format = to ?? formatOfName(out);
  return withErrorRows(errors, writing(options), (rows) =>
    withInput(
      options.input,
      streams,
      (input) =>
        withRowOutput(out, streams, writing(options), async (sink) => ({
          ...(await write({ input, inputFormat: from, onBadRow: rows.add, sink, format })),
          format,
          errors: await rows.finish(),
        })),
      options.signal,
    ),
  );
}

export interface SplitFileOptions extends Omit<WriteDataOptions, 'out'> {
  /** Folder that gets one file for each part; made where it is missing. */
  readonly out: string;
  readonly fractions: SplitFractions;
  readonly seed: number;
}

export type SplitFileReport = SplitReport & {
  readonly format: DataFormat;
  /** By part: base name and hash of its file. */
  readonly files: Readonly<Record<string, { readonly name: string; readonly sha256: string }>>;
  readonly errors: string | null;
};

/** Writes each row to the file of its part, by cluster; all files appear together. @throws HpsError as `convertFile` */
export async function splitFile(options: SplitFileOptions): Promise<SplitFileReport> {
  const { out, from, fractions, seed, streams, errors = join(out, 'errors.jsonl') } = options;
  const format = options.to ?? options.from ?? formatOfName(options.input);
  const parts = Object.keys(fractions);
  const nameOf = (part: string): string => `${part}.${format}`;
  makeFolder(out);
  return withErrorRows(errors, writing(options), (rows) =>
    withInput(
      options.input,
      streams,
      (input) =>
        withAtomicOutput(join(out, nameOf(parts[0])), writing(options), async (output) => {
          const sinks = new Map(
            await inOrder(parts, async (part) => [part, await output.create(nameOf(part))] as const),
          );
          const operation = {
            input,
            inputFormat: from,
            onBadRow: rows.add,
            fractions,
            seed,
            format,
            sinks: Object.fromEntries(sinks),
          };
          const report = await splitData(operation);
          const files = await inOrder([...sinks], async ([part, sink]) => {
            const { name, sha256 } = await sink.finish();
            return [part, { name, sha256 }] as const;
          });
          return { ...report, format, files: Object.fromEntries(files), errors: await rows.finish() };
        }),
      options.signal,
    ),
  );
}

async function inOrder<T, U>(items: readonly T[], make: (item: T) => Promise<U>): Promise<U[]> {
  const made: U[] = [];
  for (const item of items) made.push(await make(item));
  return made;
}

function makeFolder(path: string): void {
  if (path === STANDARD_STREAM || path === '') {
    throw new HpsError('USAGE', '--out must be a folder: each part gets a file in it', { hint: 'Give --out FOLDER.' });
  }
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw outputError(basename(path), error);
  }
}

export type DataStatsReport = DataStats & { readonly file: string; readonly errors: string | null };

/** What a data file holds. @throws HpsError as `convertFile` */
export function statsOfFile(options: DataFileOptions): Promise<DataStatsReport> {
  const { input: path, from, errors, streams } = options;
  return withErrorRows(errors, writing(options), (rows) =>
    withInput(
      path,
      streams,
      async (input) => ({
        file: input.name,
        ...(await dataStats(input, { format: from, onBadRow: rows.add })),
        errors: await rows.finish(),
      }),
      options.signal,
    ),
  );
}
