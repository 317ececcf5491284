import { rm } from 'node:fs/promises';
import { StagedOutput } from '../bytes/output.js';
import type { FileSink } from '../bytes/sink.js';
import { FileSource } from '../bytes/source.js';
import { type DataInput, fileInput, streamInput } from './input.js';
import type { BadRow } from './rows.js';
import type { RowSink } from './write-rows.js';

/** Stands for standard input or output where a path is due. */
export const STANDARD_STREAM = '-';

/** The standard streams, as the command has them: core does not reach for them itself. */
export interface StandardStreams {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: RowSink;
}

/** The streams that a path of `-` stands for. @throws TypeError where the caller gave none */
export function givenStreams(streams: StandardStreams | undefined): StandardStreams {
  if (streams) return streams;
  throw new TypeError(`a path of ${STANDARD_STREAM} needs the option streams, which says what it stands for`);
}

/** Runs `use` over the rows of a file, or of standard input. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE */
export async function withInput<T>(
  path: string,
  streams: StandardStreams | undefined,
  use: (input: DataInput) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (path === STANDARD_STREAM) return use(streamInput(givenStreams(streams).stdin, 'stdin', signal));
  const source = FileSource.open(path);
  try {
    return await use(fileInput(source, signal));
  } finally {
    source.close();
  }
}

export interface WriteOptions {
  readonly force: boolean;
  readonly inputs: readonly string[];
}

/** What was written: null for standard output, which keeps no name, and where there was no row to write. */
export type WrittenRows =
  | { readonly out: string; readonly sha256: string }
  | { readonly out: null; readonly sha256: null };

/**
 * Runs `write` over a file that appears whole or not at all, or over standard output.
 *
 * @param write - gives the number of rows beside its report; where there are none, no file appears
 * @throws HpsError the OUTPUT_… codes
 */
export async function withRowOutput<T>(
  path: string,
  streams: StandardStreams | undefined,
  options: WriteOptions,
  write: (sink: RowSink) => Promise<readonly [rows: number, report: T]>,
): Promise<T & WrittenRows> {
  if (path === STANDARD_STREAM) {
    const [, report] = await write(givenStreams(streams).stdout);
    return { ...report, out: null, sha256: null };
  }
  const output = await StagedOutput.open(path, options);
  try {
    const sink = await output.create();
    const [rows, report] = await write(sink);
    if (rows === 0) return { ...report, out: null, sha256: null };
    const { name, sha256 } = await sink.finish();
    await output.commit();
    return { ...report, out: name, sha256 };
  } finally {
    await output.discard(); // what was committed is no longer staged
  }
}

/** Where refused rows go by default: `OUT.errors.jsonl`; nowhere where nothing is written, or to standard output. */
export const errorsOf = (out: string | undefined | null): string | undefined =>
  out === undefined || out === null || out === STANDARD_STREAM
    ? undefined
    : `${out.replace(/[/\\]+$/, '')}.errors.jsonl`;

/** Text collected before it is written. */
const FLUSH_CHARACTERS = 64 * 1024;

/**
 * Refused rows as JSONL: `{"line":…,"code":…,"message":…}`, and `file` first where a command reads several. The file is opened
 * with the first; reading goes on while they are written.
 */
export class ErrorRows {
  private count = 0;
  private text = '';
  private opened: Promise<{ readonly output: StagedOutput; readonly sink: FileSink }> | undefined;
  private written: Promise<void> = Promise.resolve();

  /** @param path - undefined where refused rows are only counted */
  constructor(
    private readonly path: string | undefined,
    private readonly options: WriteOptions,
  ) {}

  readonly add = ({ line, code, message }: BadRow, file?: string): void => {
    this.count++;
    if (this.path === undefined) return;
    this.text += `${JSON.stringify({ file, line, code, message })}\n`;
    if (this.text.length >= FLUSH_CHARACTERS) this.flush(this.path);
  };

  /**
   * Writes what is left; the file appears with `commit`.
   *
   * @returns its base name, or null where there is none
   * @throws HpsError the OUTPUT_… codes
   */
  async finish(): Promise<string | null> {
    if (this.path === undefined || this.count === 0) return null;
    this.flush(this.path);
    await this.written;
    const { output, sink } = await this.opened!;
    await sink.finish();
    return output.name;
  }

  /** An earlier run's file does not stay where this run has nothing to say and may replace it. */
  async commit(): Promise<void> {
    if (this.path !== undefined && this.count === 0 && this.options.force) await rm(this.path, { force: true });
    await (await this.opened)?.output.commit();
  }

  async discard(): Promise<void> {
    const opened = await this.opened?.catch(() => undefined); // an output that was refused has nothing to discard
    await opened?.output.discard();
  }

  private flush(path: string): void {
    const bytes = Buffer.from(this.text);
    this.text = '';
    this.opened ??= this.open(path);
    const opened = this.opened;
    this.written = this.written.then(async () => (await opened).sink.write(bytes));
    this.written.catch(() => undefined); // awaited in finish; until then it must not count as unhandled
  }

  private async open(path: string): Promise<{ output: StagedOutput; sink: FileSink }> {
    const output = await StagedOutput.open(path, this.options);
    return { output, sink: await output.create() };
  }
}

/** Runs `work`, which finishes the error rows before its own output appears; their file appears with it. */
export async function withErrorRows<T>(
  path: string | undefined,
  options: WriteOptions,
  work: (errors: ErrorRows) => Promise<T>,
): Promise<T> {
  const errors = new ErrorRows(path, options);
  try {
    const result = await work(errors);
    await errors.commit();
    return result;
  } catch (error) {
    await errors.discard();
    throw error;
  }
}
