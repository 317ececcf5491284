import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { StagedOutput } from '../../bytes/output.js';
import { outputError } from '../../bytes/output-error.js';
import type { FileSink } from '../../bytes/sink.js';
import type { ConsensusOptions } from '../../data/consensus.js';
import { type DataStats, dataStats } from '../../data/data-stats.js';
import type { DataFormat } from '../../data/formats.js';
import type { DataInput } from '../../data/input.js';
import type { LayoutChoice } from '../../data/layouts/apply.js';
import type { OutputLayout } from '../../data/layouts/write.js';
import {
  type ConsensusReport,
  type ConvertReport,
  consensusData,
  convertData,
  type SplitReport,
  splitData,
} from '../../data/operations.js';
import { formatOfName, outputFormat } from '../../data/recognise.js';
import { type RowsReport, refuseEmpty } from '../../data/row-counts.js';
import {
  type ErrorRows,
  errorsOf,
  STANDARD_STREAM,
  type StandardStreams,
  type WriteOptions,
  type WrittenRows,
  withErrorRows,
  withInput,
  withRowOutput,
} from '../../data/row-files.js';
import { DEFAULT_SPLIT, type SplitFractions } from '../../data/split.js';
import { DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { type RemoteFileOptions, withAddresses } from '../../hub/with-addresses.js';
import type { Run } from '../../run.js';

/** What `hpsv3 data` does with files. */

export interface DataFileOptions extends Run, LayoutChoice {
  /** Path of the input, or `-`. */
  readonly input: string;
  /** Without it, what the input's name says. */
  readonly from?: DataFormat;
  /** File for refused rows; by default `OUT.errors.jsonl`. */
  readonly errors?: string;
  /** How files on other machines are reached, where an option names one: hf://, https://, s3://. */
  readonly remote?: RemoteFileOptions;
  /** Replace the files that are written. */
  readonly force?: boolean;
  /** What a path of `-` stands for. */
  readonly streams?: StandardStreams;
}

export const DATA_DEFAULTS = { force: false } as const satisfies Partial<DataFileOptions>;

export interface WriteDataOptions extends DataFileOptions {
  /** Path of the output, or `-`. */
  readonly out: string;
  /** Without it, what the output's name says. */
  readonly to?: DataFormat;
  /** Writes pairs as others lay them out, in JSON; not with `to`. */
  readonly toLayout?: OutputLayout;
}

/** Beside the rows' own counts: what was written where. */
export type DataFileReport = WrittenRows & {
  readonly format: DataFormat;
  /** Base name of the file with the refused rows; null where there is none. */
  readonly errors: string | null;
};

const layoutOf = ({ layout, map, seed }: LayoutChoice): LayoutChoice => ({ layout, map, seed });
const inputsOf = ({ input }: DataFileOptions): string[] => (input === STANDARD_STREAM ? [] : [input]);
const writing = (options: DataFileOptions): WriteOptions => ({
  force: options.force ?? DATA_DEFAULTS.force,
  inputs: inputsOf(options),
});

export type ConvertFileReport = DataFileReport & { readonly kind: ConvertReport['kind']; readonly input: RowsReport };

/** Writes the good rows of a file in another format. @throws HpsError DATA_INVALID, USAGE, and the OUTPUT_… codes */
export function convertFile(options: WriteDataOptions): Promise<ConvertFileReport> {
  return writeRows(options, async (operation) => {
    const { kind, ...input } = await convertData(operation);
    return [input.rows, { kind, input }];
  });
}

export interface ConsensusFileOptions extends WriteDataOptions, Partial<ConsensusOptions> {}

export const CONSENSUS_DEFAULTS = {
  ...DATA_DEFAULTS,
  method: 'majority',
} as const satisfies Partial<ConsensusFileOptions>;

export type ConsensusFileReport = DataFileReport & ConsensusReport;

/** Writes one answer a row. @throws HpsError as `convertFile` */
export function consensusFile(given: ConsensusFileOptions): Promise<ConsensusFileReport> {
  const options = filled(given, CONSENSUS_DEFAULTS);
  const { method, minAgreement } = options;
  return writeRows(options, async (operation) => {
    const report = await consensusData({ ...operation, method, minAgreement });
    return [report.written, report];
  });
}

type WriteReport<T> = (operation: Parameters<typeof convertData>[0]) => Promise<readonly [rows: number, report: T]>;

function writeRows<T extends { readonly input: RowsReport }>(
  given: WriteDataOptions,
  write: WriteReport<T>,
): Promise<T & DataFileReport> {
  return withAddresses(given, { files: ['input'] }, (options) => writeRowsOf(options, write));
}

async function writeRowsOf<T extends { readonly input: RowsReport }>(
  options: WriteDataOptions,
  write: WriteReport<T>,
): Promise<T & DataFileReport> {
  const { out, to, from, toLayout, errors = errorsOf(out), streams } = options;
  const format = toLayout ? 'jsonl' : outputFormat(out, to);
  const layout = layoutOf(options);
  return withErrorRows(errors, writing(options), (refused) =>
    withInput(
      options.input,
      streams,
      (input) =>
        withRowOutput(out, streams, writing(options), async (sink) => {
          const operation = { input, inputFormat: from, ...layout, onBadRow: refused.add, sink, format, toLayout };
          const [rows, report] = await write(operation);
          refuseEmpty(input.name, report.input.rows + report.input.badRows);
          return [rows, { ...report, format, errors: await refused.finish() }];
        }),
      options.signal,
    ),
  );
}

export interface SplitFileOptions extends Omit<WriteDataOptions, 'out'> {
  /** Folder that gets one file for each part; made where it is missing. */
  readonly out: string;
  /** The share of clusters that each part gets, by the names of the parts. */
  readonly fractions?: SplitFractions;
  readonly seed?: number;
}

export const SPLIT_DEFAULTS = {
  ...DATA_DEFAULTS,
  fractions: DEFAULT_SPLIT,
  seed: DEFAULT_SEED,
} as const satisfies Partial<SplitFileOptions>;

export type SplitFileReport = SplitReport & {
  readonly format: DataFormat;
  /** By part: base name and hash of its file; empty where there was no row to write. */
  readonly files: Readonly<Record<string, { readonly name: string; readonly sha256: string }>>;
  readonly errors: string | null;
};

/** Writes each row to the file of its part, by cluster; all files appear together. @throws HpsError as `convertFile` */
export function splitFile(given: SplitFileOptions): Promise<SplitFileReport> {
  return withAddresses(given, { files: ['input'] }, splitLocally);
}

async function splitLocally(given: SplitFileOptions): Promise<SplitFileReport> {
  const options = filled(given, SPLIT_DEFAULTS);
  const { out, streams, errors = errorsOf(out) } = options;
  const format = options.to ?? options.from ?? formatOfName(options.input);
  const [first] = Object.keys(options.fractions);
  const isNew = makeFolder(out);
  const writeInto = async (input: DataInput, refused: ErrorRows): Promise<SplitFileReport> => {
    const output = await StagedOutput.open(join(out, nameOf(first, format)), writing(options));
    try {
      return await writeParts(input, output, refused, { ...options, format });
    } finally {
      await output.discard(); // what was committed is no longer staged
    }
  };
  try {
    return await withErrorRows(errors, writing(options), (refused) =>
      withInput(options.input, streams, (input) => writeInto(input, refused), options.signal),
    );
  } finally {
    if (isNew && readdirSync(out).length === 0) rmdirSync(out);
  }
}

const nameOf = (part: string, format: DataFormat): string => `${part}.${format}`;

async function writeParts(
  input: DataInput,
  output: StagedOutput,
  refused: ErrorRows,
  {
    from,
    layout: name,
    map,
    fractions,
    seed,
    format,
  }: Filled<SplitFileOptions, typeof SPLIT_DEFAULTS> & { readonly format: DataFormat },
): Promise<SplitFileReport> {
  const layout = { layout: name, map };
  const sinks = new Map<string, FileSink>();
  for (const part of Object.keys(fractions)) sinks.set(part, await output.create(nameOf(part, format)));
  const operation = { input, inputFormat: from, ...layout, onBadRow: refused.add, fractions, seed, format };
  const report = await splitData({ ...operation, sinks: Object.fromEntries(sinks) });
  refuseEmpty(input.name, report.input.rows + report.input.badRows);
  const files: Record<string, { name: string; sha256: string }> = {};
  if (report.input.rows > 0) {
    for (const [part, sink] of sinks) {
      const { name, sha256 } = await sink.finish();
      files[part] = { name, sha256 };
    }
  }
  const errors = await refused.finish();
  if (report.input.rows > 0) await output.commit();
  return { ...report, format, files, errors };
}

/** Makes a folder; false where it was there. */
function makeFolder(path: string): boolean {
  if (path === STANDARD_STREAM || path === '') {
    throw new HpsError('USAGE', '`out` must be a folder: each part gets a file in it', { hint: 'Give `out` FOLDER.' });
  }
  try {
    return mkdirSync(path, { recursive: true }) !== undefined;
  } catch (error) {
    throw outputError(basename(path), error);
  }
}

export type DataStatsReport = DataStats & { readonly file: string; readonly errors: string | null };

/** What a data file holds. @throws HpsError as `convertFile` */
export function statsOfFile(given: DataFileOptions): Promise<DataStatsReport> {
  return withAddresses(given, { files: ['input'] }, statsLocally);
}

function statsLocally(options: DataFileOptions): Promise<DataStatsReport> {
  const { input: path, from, errors, streams } = options;
  return withErrorRows(errors, writing(options), (rows) =>
    withInput(
      path,
      streams,
      async (input) => ({
        file: input.name,
        ...(await dataStats(input, { format: from, ...layoutOf(options), onBadRow: rows.add })),
        errors: await rows.finish(),
      }),
      options.signal,
    ),
  );
}
