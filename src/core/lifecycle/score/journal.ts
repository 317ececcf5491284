import { existsSync } from 'node:fs';
import { type FileHandle, open, rm, truncate } from 'node:fs/promises';
import { basename } from 'node:path';
import { outputError } from '../../bytes/output-error.js';
import { FileSource } from '../../bytes/source.js';
import { fileInput } from '../../data/input.js';
import { parseJsonLine, readJsonLines } from '../../data/json-lines.js';
import { forEachLine, readLineBlocks } from '../../data/lines.js';
import { formatScore, pushScoreJson } from '../../data/write-scores.js';
import { defineDocument, refuseNewer } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import * as z from '../../zod.js';
import { type ErrorRecord, type ScoreRecord, withoutRuntime } from './score-rows.js';

/** The first line of a journal. */
export const journalDocument = defineDocument(
  'hpsv3/batch-journal@1',
  z.strictObject({
    identity: z
      .record(z.string(), z.union([z.string(), z.number(), z.null()]))
      .describe(
        'All that decides the results; what is not named is null. A run is resumed under the same identity alone',
      ),
  }),
  { what: 'a journal of a batch', made: 'hpsv3 batch', code: 'DATA_INVALID' },
);

/** What came of one row of the input. */
export interface JournalEntry {
  /** 1-based line of a text file, or row of a Parquet file. */
  readonly line: number;
  /** CRC-32 of the row: a journal goes on only with the input it was begun with. */
  readonly crc: number;
  readonly score?: ScoreRecord;
  readonly error?: ErrorRecord;
}

/** What decides the results of a run; a journal of another identity is not gone on with. */
export type RunIdentity = Readonly<Record<string, string | number | null>>;

/** The journal of a run, beside its output. */
export const journalPath = (out: string): string => `${out}.journal`;

/**
 * Everything a run has done so far, on the disk: one line of JSON for each row, in the order of the input. A killed run
 * leaves whole lines and at most one torn one, which is cut off.
 */
export class Journal {
  private rows = 0;
  private writing: Promise<void> | undefined;
  private failure: unknown;
  /** When some was written last. */
  private written = 0;

  private constructor(
    private readonly path: string,
    private text: string,
    /** Null until there is a row to keep: an attempt that fails before leaves nothing behind. */
    private file: FileHandle | null,
  ) {}

  /** Begins a journal, over one that may be there, with its first row. */
  static begin(path: string, identity: RunIdentity): Journal {
    return new Journal(path, `${JSON.stringify({ schema: journalDocument.id, identity })}\n`, null);
  }

  /**
   * Goes on with a journal, its torn last line cut off.
   * @throws HpsError USAGE where model or options are others than those it was begun with; DATA_INVALID where it is damaged
   */
  static async resume(path: string, identity: RunIdentity): Promise<Journal> {
    let end = 0;
    for await (const { value, end: lineEnd, line } of linesOf(path)) {
      if (line === 1) assertSameRun(value, identity, path);
      else if (value === undefined) throw damaged(path, line);
      end = lineEnd;
    }
    if (end === 0) return Journal.begin(path, identity); // killed before its first line was whole
    await truncate(path, end);
    return new Journal(path, '', await openFile(path, 'a'));
  }

  /** Whether a run was begun here and not finished. */
  static exists(path: string): boolean {
    return existsSync(path);
  }

  /** @throws HpsError the OUTPUT_… codes */
  async append(entries: readonly JournalEntry[]): Promise<void> {
    const pieces: string[] = [];
    for (const entry of entries) pushEntry(pieces, entry);
    this.text += pieces.join('');
    this.rows += entries.length;
    if (this.isDue()) this.writing ??= this.write();
    if (this.failure || this.text.length >= WAITING_CHARACTERS) await this.flush();
  }

  private isDue(): boolean {
    if (this.text.length < FLUSH_CHARACTERS) return false;
    return this.text.length >= MOST_CHARACTERS || performance.now() >= this.written + FLUSH_MS;
  }

  /** Hands everything to the system, which keeps it though this process be killed. @throws HpsError the OUTPUT_… codes */
  async flush(): Promise<void> {
    await this.writing;
    await this.write();
    if (this.failure) throw this.failure;
  }

  /** What there is, while more may come. */
  private async write(): Promise<void> {
    const { text } = this;
    this.text = '';
    this.written = performance.now();
    try {
      if (text !== '') {
        this.file ??= await openFile(this.path, 'w');
        await this.file.appendFile(text);
      }
    } catch (error) {
      this.failure ??= outputError(basename(this.path), error);
    }
    this.writing = undefined;
  }

  async close(): Promise<void> {
    if (this.rows > 0) await this.flush();
    await this.file?.close();
  }

  /** The run is finished: its output is in place. */
  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
}

/** Text collected before it is written: some fifty rows, which a killed run then does again. */
const FLUSH_CHARACTERS = 16 * 1024;
/** Or more, of rows that take no longer than this together: where there are thousands a second, each write counts. */
const FLUSH_MS = 25;
const MOST_CHARACTERS = 256 * 1024;
/** Text that may wait while some is being written. */
const WAITING_CHARACTERS = 2 ** 20;

/** A score as it is in a file of scores, in front: what makes that file takes it over without reading it. */
function pushEntry(pieces: string[], entry: JournalEntry): void {
  if (!entry.score) {
    pieces.push(JSON.stringify(entry), '\n');
    return;
  }
  pieces.push(SCORE_START);
  pushScoreJson(pieces, entry.score);
  pieces.push(SCORE_END, String(entry.line), ',"crc":', String(entry.crc), '}\n');
}

const SCORE_START = '{"score":';
/** Within a string the quotes would be escaped. */
const SCORE_END = ',"line":';

/** The lines of a file of scores, those of many rows at a time. @throws HpsError DATA_INVALID */
export async function* scoreLinesOf(path: string): AsyncGenerator<Buffer> {
  const source = FileSource.open(path);
  try {
    for await (const block of readLineBlocks(fileInput(source).chunks())) {
      const lines: Buffer[] = [];
      forEachLine(block, (start, end, line) => {
        if (end === block.end || line === 1) return; // without a newline, or the identity
        lines.push(...scoreLineOf(block.bytes.subarray(start, end), path, line));
      });
      yield Buffer.concat(lines);
    }
  } finally {
    source.close();
  }
}

const NEWLINE = Buffer.from('\n');

/** Nothing of a row without a score. */
function scoreLineOf(bytes: Buffer, path: string, line: number): Buffer[] {
  const end = bytes.toString('latin1', 0, SCORE_START.length) === SCORE_START ? bytes.lastIndexOf(SCORE_END) : -1;
  if (end > 0) return [bytes.subarray(SCORE_START.length, end), NEWLINE];
  const entry = parseJsonLine(bytes) as JournalEntry | undefined; // as earlier versions wrote it
  if (entry === undefined) throw damaged(path, line);
  return entry.score ? [Buffer.from(formatScore(withoutRuntime(entry.score)))] : [];
}

/** What a journal holds, in order; a torn last line is left out. @throws HpsError DATA_INVALID */
export async function* readJournal(path: string): AsyncGenerator<JournalEntry> {
  for await (const { value, line } of linesOf(path)) {
    if (line === 1) continue;
    if (value === undefined) throw damaged(path, line);
    yield value as JournalEntry;
  }
}

async function* linesOf(path: string) {
  const source = FileSource.open(path);
  try {
    yield* readJsonLines(source);
  } finally {
    source.close();
  }
}

async function openFile(path: string, flags: 'w' | 'a'): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (error) {
    throw outputError(basename(path), error);
  }
}

/** Recorded and not compared: what a version of this program has scored, later ones score alike. */
const MADE_WITH = 'tool';

function assertSameRun(header: unknown, identity: RunIdentity, path: string): void {
  refuseNewer(journalDocument, header, basename(path));
  const parsed = journalDocument.schema.safeParse(header);
  if (!parsed.success) throw damaged(path, 1);
  const begun: RunIdentity = parsed.data.identity;
  const names = [...new Set([...Object.keys(begun), ...Object.keys(identity)])].filter((name) => name !== MADE_WITH);
  const changed = names.filter((name) => (begun[name] ?? null) !== (identity[name] ?? null));
  if (changed.length === 0) return;
  throw new HpsError('USAGE', `${basename(path)}: the run was begun with another ${changed.join(', ')}`, {
    hint: 'Give the same model, input and options to go on with it, or `force` to start again.',
    details: {
      changed: Object.fromEntries(
        changed.map((name) => [name, { begun: begun[name] ?? null, now: identity[name] ?? null }]),
      ),
    },
  });
}

const damaged = (path: string, line: number): HpsError =>
  new HpsError('DATA_INVALID', `${basename(path)}: line ${line} is no line of a journal`, {
    hint: 'Start again with `force`.',
    details: { file: basename(path), line },
  });
