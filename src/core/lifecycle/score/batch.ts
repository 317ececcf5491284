import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { checkOutput, StagedOutput, withAtomicOutput } from '../../bytes/output.js';
import type { DataFormat } from '../../data/formats.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { outputFormat } from '../../data/recognise.js';
import { refuseEmpty } from '../../data/row-counts.js';
import { givenStreams, STANDARD_STREAM, type StandardStreams } from '../../data/row-files.js';
import type { DataRow, ScoreRow } from '../../data/rows.js';
import type { Shard } from '../../data/shard.js';
import { DEFAULT_BATCH_SIZE, type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { type RemoteOptions, RemoteStore } from '../../media/remote/store.js';
import { type ItemPart, partsOf } from '../../modality.js';
import type { Progress, Run } from '../../run.js';
import { underWay, watchMemory } from '../../runtime/memory-watch.js';
import { ReadAhead } from '../../samples/read-ahead.js';
import { flattened, oneByOne } from '../../scoring/in-order.js';
import type { RuntimeInfo } from '../../scoring/model.js';
import type { Score } from '../../scoring/result.js';
import { chooseScorer, sampleOf } from '../../scoring/row-sample.js';
import { HPSv3Scorer, type Outcome, type ScorerOptions } from '../../scoring/scorer.js';
import { VERSION } from '../../version.js';
import { embeddingHeadOf, runEmbeddingBatch } from './batch-embeddings.js';
import { FinishedRun } from './finished-run.js';
import { type Extent, type GivenRows, givenRows, withGivenRows } from './given-rows.js';
import type { InputProgress, InputRow } from './input-rows.js';
import { Journal, type JournalEntry, journalPath, type RunIdentity, readJournal, scoreLinesOf } from './journal.js';
import { loadScorers } from './load-scorers.js';
import {
  formatManifest,
  MANIFEST_SUFFIX,
  type ScoreSettings,
  type ScoresManifest,
  scoreWriterFor,
  settingsOf,
} from './manifest.js';
import { type ErrorRecord, formatErrorRecord, withoutRuntime } from './score-rows.js';
import { withProfile } from './with-profile.js';

export interface BatchOptions
  extends Run,
    LabelLayout,
    Omit<ScorerOptions, 'contract' | 'batchSize' | 'remote' | 'ahead'> {
  /** One for each modality in the input. */
  readonly models: readonly string[];
  readonly contract?: ScorerOptions['contract'];
  /** Hosts and buckets that rows may name; without it addresses are refused. */
  readonly remote?: RemoteOptions;
  /** Path, or `-`; or files, folders and patterns of files that are items themselves. */
  readonly input: string | readonly string[];
  /** Without it, what the input's name says. */
  readonly from?: DataFormat;
  /** Path, or `-`. */
  readonly out: string;
  /** Without it, what the output's name says. */
  readonly to?: DataFormat;
  /** File for rows without a score; by default `OUT.errors.jsonl`. */
  readonly errors?: string;
  /** Most rows of a batch; one that is not full is filled up. What `profile` recommends where omitted, else 16. */
  readonly batchSize?: number;
  /** A profile of the first model: its recommended batch size and optimisation level. */
  readonly profile?: string;
  readonly shard?: Shard;
  /** Go on with an unfinished run; one that is finished is left as it is. */
  readonly resume?: boolean;
  /** Try the rows again that failed in a finished run of the same input, and keep the scores that it has. */
  readonly retryErrors?: boolean;
  /**
   * Reads the media of rows before their turn, many at a time, and holds them in memory up to a bound: for slow disks, buckets and
   * hosts. It changes no score.
   */
  readonly preload?: boolean;
  /**
   * Bytes of memory that this program and its processes should take at most. Where they, or the container, come near a limit, half as
   * many rows are under way from there on, and a warning says so; a model that needs more by itself runs all the same. It changes no
   * score.
   */
  readonly maxMemory?: number;
  /** Replace `out`. */
  readonly force?: boolean;
  /** What a path of `-` stands for. */
  readonly streams?: StandardStreams;
}

export const BATCH_DEFAULTS = {
  batchSize: DEFAULT_BATCH_SIZE,
  resume: false,
  retryErrors: false,
  preload: false,
  force: false,
} as const satisfies Partial<BatchOptions>;

type Settled = Filled<BatchOptions, typeof BATCH_DEFAULTS>;

export interface BatchReport {
  /** Base name; null for standard output, and where no row has a score. */
  readonly out: string | null;
  readonly sha256: string | null;
  readonly format: DataFormat;
  readonly rows: number;
  readonly failed: number;
  readonly failedByCode: Readonly<Record<string, number>>;
  /** Base name of the file with the failed rows; null where there is none. */
  readonly errors: string | null;
  /** Base name of the file that says what the scores were computed with; null where there is no file of scores. */
  readonly manifest: string | null;
  /** Rows taken over from an unfinished run. */
  readonly resumed: number;
  /** Rows whose context no model input reads. */
  readonly contextIgnored: number;
  /** Scored rows that each mark holds of, and that any does; absent without `marks`. */
  readonly marked?: { readonly rows: number; readonly by: Readonly<Record<string, number>> };
  readonly shard: Shard | null;
  readonly models: readonly { readonly file: string; readonly sha256: string; readonly modality: string }[];
  readonly runtime: RuntimeInfo;
  /** Most sessions of one model that ran side by side. */
  readonly sessions: number;
  readonly seconds: number;
  /** Scores of this run a second of the whole; null where there are none. */
  readonly rowsPerSecond: number | null;
  /** Worth knowing before the scores are used, one sentence each; not what is wrong with single rows. */
  readonly warnings: readonly string[];
}

/**
 * Scores the rows of a file, in bounded memory whatever their number. The output appears when all is done; until then a
 * journal beside it holds what there is, so that a killed run can go on.
 * A score head reads a file of embeddings (.npy, .safetensors, .parquet) instead.
 * @throws HpsError for a model, input or output that cannot be used. Rows that cannot be scored are counted.
 */
export async function runBatch(given: BatchOptions): Promise<BatchReport> {
  const started = performance.now();
  const options = filled(await withProfile(given), BATCH_DEFAULTS);
  const rows = givenRows(options.input, options.mediaRoot);
  const embeddings = rows.path === null ? null : { ...options, input: rows.path };
  const head = embeddings && embeddingHeadOf(embeddings);
  if (embeddings && head) return runEmbeddingBatch(embeddings, head);
  const { out } = options;
  const format = outputFormat(out, options.to);
  if (out === STANDARD_STREAM && (options.resume || options.retryErrors)) {
    const option = options.resume ? '`resume`' : '`retryErrors`';
    throw new HpsError('USAGE', `${option} needs an output file`, { hint: 'Give `out` FILE instead of -.' });
  }
  const finished = out === STANDARD_STREAM ? null : await FinishedRun.find(options);
  const inputs = [...options.models, ...rows.files];
  const outputs = out === STANDARD_STREAM ? null : await openOutputs(options, inputs, finished !== null);
  try {
    if (outputs) refuseUnfinished(options);
    const fetchesAhead = options.preload ? { connections: LIMITS.readsAhead, timeoutMs: LIMITS.remoteAheadMs } : {};
    const remote = options.remote && RemoteStore.open({ ...fetchesAhead, ...options.remote }); // one for all models
    const ahead = options.preload ? new ReadAhead({ mediaRoot: rows.mediaRoot, remote }) : undefined;
    const warnings: string[] = [];
    const onWarning = (warning: string): void => {
      warnings.push(warning);
      options.onWarning?.(warning);
    };
    const scorers = await loadScorers(options.models, {
      ...options,
      mediaRoot: rows.mediaRoot,
      remote,
      ahead,
      onWarning,
    });
    const halve = (): string | null => {
      const before = Math.max(...scorers.map(({ window }) => window));
      ahead?.halve();
      const now = Math.max(...scorers.map((scorer) => scorer.halveWindow()));
      return now < before ? underWay(now) : null;
    };
    const endWatch = watchMemory({
      maxMemory: options.maxMemory,
      halve,
      least: 'with one batch at a time',
      onWarning,
    });
    try {
      if (finished) finished.assertSame(scorers);
      const run = new BatchRun(options, rows, scorers, { fetches: remote?.rules ?? null, ahead }, onWarning);
      const written = await writtenBy(run, outputs, format, finished);
      const seconds = (performance.now() - started) / 1000;
      return {
        ...written,
        format,
        ...run.figures,
        shard: options.shard ?? null,
        models: scorers.map((scorer, i) => ({
          file: basename(options.models[i]),
          sha256: scorer.sha256,
          modality: scorer.modality,
        })),
        runtime: scorers[0].runtime,
        sessions: Math.max(...scorers.map(({ sessions }) => sessions)),
        seconds,
        rowsPerSecond: run.scored === 0 ? null : run.scored / seconds,
        warnings,
      };
    } finally {
      endWatch();
      await Promise.all([...scorers.map((scorer) => scorer.close()), remote?.close()]);
    }
  } finally {
    // What was committed is no longer staged.
    await outputs?.scores.discard();
    await outputs?.errors.discard();
  }
}

/** Both are held from the start: a second writer is refused now, and a file that is in the way is found before the work. */
interface Outputs {
  readonly scores: StagedOutput;
  readonly errors: StagedOutput;
}

/** @param replaces - what a finished run wrote, which this one is of */
async function openOutputs(options: Settled, inputs: readonly string[], replaces: boolean): Promise<Outputs> {
  const { out, errors = `${out}.errors.jsonl`, resume } = options;
  const force = options.force || replaces;
  const scores = await StagedOutput.open(out, { force, inputs });
  try {
    checkOutput(out, { force, inputs }, [MANIFEST_SUFFIX]);
    return { scores, errors: await StagedOutput.open(errors, { force: force || resume, inputs }) };
  } catch (error) {
    await scores.discard();
    throw error;
  }
}

function refuseUnfinished({ out, resume, force }: Settled): void {
  if (resume || force || !Journal.exists(journalPath(out))) return;
  throw new HpsError('OUTPUT_EXISTS', `${basename(out)}: an unfinished run is there`, {
    hint: 'Set `resume` to go on with it, or `force` to start again.',
    details: { file: basename(journalPath(out)) },
  });
}

/** Which of the rows are scored. */
type Select = (rows: AsyncGenerator<InputRow[]>) => AsyncGenerator<InputRow[]>;

/** Where results go, in the order of the rows. */
type Take = (entries: readonly JournalEntry[]) => Promise<void>;

/** The pass over the input, with its counts. */
class BatchRun {
  private readonly read: InputProgress = { rows: 0, bytes: 0 };
  private readonly failedByCode = new Map<string, number>();
  private rows = 0;
  private failed = 0;
  /** Rows that this run itself gave a score. */
  scored = 0;
  private resumed = 0;
  private contextIgnored = 0;
  private markedRows = 0;
  private readonly marked = new Map<string, number>();
  private extent: Extent = { bytes: null, rows: null };

  constructor(
    readonly options: Settled,
    private readonly given: GivenRows,
    private readonly scorers: readonly HPSv3Scorer[],
    /** What is fetched, as the store says it, null for nothing; and what reads rows ahead. */
    private readonly reading: { readonly fetches: string | null; readonly ahead: ReadAhead | undefined },
    /** Of what concerns more than one row. */
    private readonly onWarning: (warning: string) => void,
  ) {
    for (const mark of scorers[0].markedBy) this.marked.set(mark, 0);
  }

  get figures() {
    const { rows, failed, resumed, contextIgnored } = this;
    const byCode = [...this.failedByCode].sort(([a], [b]) => (a < b ? -1 : 1));
    const marked = { rows: this.markedRows, by: Object.fromEntries(this.marked) };
    return {
      ...{ rows, failed, failedByCode: Object.fromEntries(byCode), resumed, contextIgnored },
      ...(this.marked.size > 0 ? { marked } : {}),
    };
  }

  /** All that decides the output. */
  get identity(): RunIdentity {
    const { models, batchSize, shard, contract, to, out } = this.options;
    const [{ runtime }] = this.scorers;
    const threads = Math.max(...this.scorers.map((scorer) => scorer.runtime.threads));
    return {
      tool: VERSION,
      models: this.scorers.map(({ sha256 }) => sha256).join(' '),
      preprocessing: this.scorers.map(({ preprocessingSha256 }) => preprocessingSha256).join(' '),
      calibrator: this.scorers[0].calibratorSha256,
      contract: contract ? JSON.stringify(contract.value) : null,
      batchSize,
      ...(this.options.abstain ? { abstain: 'margin' } : {}),
      ...(this.marked.size > 0 ? { marks: [...this.marked.keys()].join(' ') } : {}),
      ...(this.scorers.some(({ windowRule }) => windowRule)
        ? { windows: JSON.stringify(this.scorers.map(({ windowRule }) => windowRule)) }
        : {}),
      shard: shard ? `${shard.index}/${shard.count}` : null,
      format: outputFormat(out, to),
      files: models.length,
      remote: this.reading.fetches,
      ...runtime,
      threads,
    };
  }

  get settings(): ScoreSettings {
    return settingsOf(this.scorers, this.options);
  }

  /** What stands beside the output, whose hash and format are given. */
  manifestOf(written: Pick<ScoresManifest, 'sha256' | 'format'>): string {
    const { rows, failed, settings } = this;
    const { shard = null } = this.options;
    return formatManifest({ ...written, rows: rows - failed, failed, shard, settings });
  }

  /** Scores the rows that `select` leaves of all, and gives them to `take` in order. */
  async score(take: Take, select: Select = (rows) => rows): Promise<void> {
    const { signal, onProgress } = this.options;
    await withGivenRows(
      this.given,
      { ...this.options, modalities: this.scorers.map(({ modality }) => modality), onWarning: this.onWarning },
      this.read,
      async (given, extent) => {
        this.extent = extent;
        const rows = this.watched(given);
        const { ahead } = this.reading;
        const chosen = select(rows);
        const ready = ahead ? oneByOne(ahead.rows(flattened(chosen), (row) => this.filesOf(row))) : chosen;
        for await (const outcomes of HPSv3Scorer.eachOfMany(this.scorers, ready, (row) => this.scoreRow(row))) {
          signal?.throwIfAborted();
          const entries = outcomes.map(entryOf);
          for (const entry of entries) {
            this.count(entry);
            if (entry.score) this.scored++;
          }
          await take(entries);
          onProgress?.({ stage: 'Scoring', done: this.rows, ...this.expectedRows(), unit: 'rows' });
        }
        refuseEmpty(this.given.name, this.read.rows);
      },
    );
  }

  private scoreRow({ row, error }: InputRow): Promise<Score> {
    // Said again by `score`, which knows the row's own error: this one only keeps its place.
    const scored = row ? this.scoreOf(row) : Promise.reject(new HpsError('DATA_INVALID', error!.message));
    const { ahead } = this.reading;
    return ahead ? scored.finally(() => ahead.done(this.filesOf({ row }))) : scored;
  }

  private scoreOf(row: DataRow): Promise<Score> {
    try {
      return chooseScorer(row, this.scorers).scoreSample(sampleOf(row, this.options.signal));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Paths and addresses of what the models may read of a row. */
  private filesOf({ row }: Pick<InputRow, 'row'>): string[] {
    if (!row) return [];
    const items = row.kind === 'pair' ? [row.left, row.right] : [row.item];
    const [first, ...others] = this.partsReadOf(row);
    return items.flatMap((item) => {
      if (typeof item === 'string') return first && first !== 'text' ? [item] : [];
      return [first, ...others].flatMap((part) => (part && part !== 'text' ? (item[part] ?? []) : []));
    });
  }

  private partsReadOf(row: DataRow): readonly ItemPart[] {
    try {
      return partsOf(chooseScorer(row, this.scorers).modality);
    } catch {
      return []; // said when it is scored
    }
  }

  private async *watched(batches: AsyncIterable<InputRow[]>): AsyncGenerator<InputRow[]> {
    const readsText = this.scorers.some(({ modality }) => partsOf(modality).includes('text'));
    for await (const rows of batches) {
      if (!readsText) this.contextIgnored += rows.filter(({ row }) => row?.context !== undefined).length;
      yield rows;
    }
  }

  /** Skips the rows of an unfinished run, after checking that they are the same rows. */
  async *withoutDone(
    batches: AsyncGenerator<InputRow[]>,
    done: AsyncIterator<JournalEntry>,
  ): AsyncGenerator<InputRow[]> {
    let finished = await done.next();
    for await (const rows of batches) {
      let known = 0;
      for (; known < rows.length && !finished.done; known++) {
        const { line, crc } = rows[known];
        if (finished.value.line !== line || finished.value.crc !== crc) throw changedInput(this.given.name, line);
        this.count(finished.value);
        this.resumed++;
        finished = await done.next();
      }
      if (known < rows.length) yield rows.slice(known);
    }
    if (!finished.done) throw changedInput(this.given.name, finished.value.line);
  }

  /** Those that a finished run gave no score, after checking that they are the same rows. */
  async *withoutScored(
    batches: AsyncGenerator<InputRow[]>,
    scored: AsyncGenerator<ScoreRow & { readonly row: number }>,
  ): AsyncGenerator<InputRow[]> {
    let next = await scored.next();
    for await (const row of flattened(batches)) {
      if (next.done || next.value.row !== row.line) yield [row];
      else {
        if (row.row?.id !== next.value.id) throw changedInput(this.given.name, row.line);
        this.rows++;
        this.resumed++;
        this.countMarks(next.value);
        next = await scored.next();
      }
    }
    if (!next.done) throw changedInput(this.given.name, next.value.row);
  }

  /** Counts a finished run as this one's, nothing being left to do. */
  async takeOver(finished: FinishedRun): Promise<void> {
    const { rows, failed } = finished.manifest;
    this.rows = rows + failed;
    this.failed = failed;
    this.resumed = this.rows;
    if (this.marked.size > 0) for await (const score of finished.scores()) this.countMarks(score);
  }

  private countMarks({ marks = [] }: Pick<ScoreRow, 'marks'>): void {
    if (marks.length > 0) this.markedRows++;
    for (const mark of marks) this.marked.set(mark, (this.marked.get(mark) ?? 0) + 1);
  }

  private count({ score, error }: JournalEntry): void {
    this.rows++;
    if (score) this.countMarks(score);
    if (!error) return;
    this.failed++;
    this.failedByCode.set(error.code, (this.failedByCode.get(error.code) ?? 0) + 1);
  }

  /** Rows of the whole input, known or guessed by the size of those read so far; null where it has no known size. */
  private expectedRows(): Pick<Progress, 'total' | 'isEstimate'> {
    const { read, extent, options } = this;
    const parts = options.shard?.count ?? 1;
    if (extent.rows !== null) return { total: Math.round(extent.rows / parts), isEstimate: parts > 1 };
    if (extent.bytes === null || read.bytes === 0) return { total: null };
    const all = Math.round((read.rows * extent.bytes) / read.bytes);
    return { total: Math.max(this.rows, Math.round(all / parts)), isEstimate: true };
  }
}

/** What the journal has of a row. */
function entryOf({ sample, result, error }: Outcome<InputRow>): JournalEntry {
  const { line, crc, row } = sample;
  const id = row?.id ?? sample.error?.id ?? null;
  if (result) return { line, crc, score: { ...result, id: id!, row: line } };
  return { line, crc, error: sample.error ?? { line, id, code: error.code, message: error.message } };
}

function changedInput(name: string, line: number): HpsError {
  return new HpsError('USAGE', `${name}: line ${line} is not what the unfinished run has read there`, {
    hint: 'Give the same input to go on with the run, or `force` to start again.',
    details: { file: name, line },
  });
}

type Written = Pick<BatchReport, 'out' | 'sha256' | 'errors' | 'manifest'>;

async function writtenBy(
  run: BatchRun,
  outputs: Outputs | null,
  format: DataFormat,
  finished: FinishedRun | null,
): Promise<Written> {
  if (!outputs) return toStream(run, format);
  if (!finished) return toFile(run, outputs, format);
  if (run.options.retryErrors) return retry(run, outputs, format, finished);
  await run.takeOver(finished);
  return finished.files;
}

/** The scores of a finished run, and those that its failed rows have now, in their order. */
async function retry(run: BatchRun, outputs: Outputs, format: DataFormat, finished: FinishedRun): Promise<Written> {
  const tried: JournalEntry[] = [];
  await run.score(
    async (entries) => {
      tried.push(...entries);
    },
    (rows) => run.withoutScored(rows, finished.scores()),
  );
  const sink = await outputs.scores.create();
  const writer = scoreWriterFor(run.settings, sink, format);
  const gained = tried.flatMap(({ score }) => (score ? [score] : []))[Symbol.iterator]();
  let next = gained.next();
  for await (const score of finished.scores()) {
    for (; !next.done && next.value.row < score.row; next = gained.next()) await writer.write(next.value);
    await writer.write(score);
  }
  for (; !next.done; next = gained.next()) await writer.write(next.value);
  await writer.finish();
  const failed = tried.flatMap(({ error }) => (error ? [error] : []));
  const { name, sha256 } = await sink.finish();
  const manifest = await outputs.scores.writeFile(`${name}${MANIFEST_SUFFIX}`, run.manifestOf({ sha256, format }));
  await outputs.scores.commit();
  if (failed.length > 0) await writeErrors(outputs.errors, failed);
  else await rm(finished.errorsPath, { force: true });
  return { out: name, sha256, errors: failed.length > 0 ? outputs.errors.name : null, manifest: manifest.name };
}

async function toFile(run: BatchRun, outputs: Outputs, format: DataFormat): Promise<Written> {
  const { out, resume, force } = run.options;
  const path = journalPath(out);
  const goesOn = resume && !force && Journal.exists(path);
  const journal = goesOn ? await Journal.resume(path, run.identity) : Journal.begin(path, run.identity);
  try {
    await run.score(
      (entries) => journal.append(entries),
      goesOn ? (rows) => run.withoutDone(rows, readJournal(path)) : undefined,
    );
    await journal.flush(); // of a shard without rows too, as it is read now
  } finally {
    await journal.close();
  }
  const { rows, failed } = run.figures;
  const errors = failed === 0 ? null : await writeErrors(outputs.errors, errorsIn(path));
  // A shard is a part of a whole, which whoever merges looks for: it is there without a score too.
  if (rows === failed && run.options.shard === undefined) {
    await journal.remove();
    return { out: null, sha256: null, errors, manifest: null };
  }
  const sink = await outputs.scores.create();
  const writer = scoreWriterFor(run.settings, sink, format);
  if (format === 'jsonl') for await (const lines of scoreLinesOf(path)) await sink.write(lines);
  else for await (const { score } of readJournal(path)) if (score) await writer.write(withoutRuntime(score));
  await writer.finish();
  const { name, sha256 } = await sink.finish();
  const manifest = await outputs.scores.writeFile(`${name}${MANIFEST_SUFFIX}`, run.manifestOf({ sha256, format }));
  await outputs.scores.commit();
  await journal.remove();
  return { out: name, sha256, errors, manifest: manifest.name };
}

async function* errorsIn(journal: string): AsyncGenerator<ErrorRecord> {
  for await (const { error } of readJournal(journal)) if (error) yield error;
}

async function writeErrors(
  output: StagedOutput,
  errors: AsyncIterable<ErrorRecord> | Iterable<ErrorRecord>,
): Promise<string> {
  const sink = await output.create();
  for await (const error of errors) await sink.write(Buffer.from(formatErrorRecord(error)));
  await sink.finish();
  await output.commit();
  return output.name;
}

/** Without a file there is nothing to go on with: results go out as they come. */
async function toStream(run: BatchRun, format: DataFormat): Promise<Written> {
  const { errors, force, streams } = run.options;
  const writer = scoreWriterFor(run.settings, givenStreams(streams).stdout, format);
  const score = async (onError: (error: ErrorRecord) => Promise<void>): Promise<void> => {
    await run.score(async (entries) => {
      for (const { score, error } of entries) {
        if (score) await writer.write(withoutRuntime(score));
        if (error) await onError(error);
      }
      if (format === 'jsonl') await writer.finish(); // a reader may be waiting for it
    });
    if (format !== 'jsonl') await writer.finish();
  };
  if (errors === undefined) {
    await score(async ({ line, code, message }) => run.options.onWarning?.(`Line ${line}: ${message} (${code})`));
    return { out: null, sha256: null, errors: null, manifest: null };
  }
  return withAtomicOutput(errors, { force }, async (output) => {
    const sink = await output.create();
    await score((error) => sink.write(Buffer.from(formatErrorRecord(error))));
    const { name } = await sink.finish();
    return { out: null, sha256: null, errors: name, manifest: null };
  });
}
