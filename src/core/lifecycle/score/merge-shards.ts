import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { checkOutput, StagedOutput } from '../../bytes/output.js';
import { FileSource } from '../../bytes/source.js';
import type { DataFormat } from '../../data/formats.js';
import { fileInput } from '../../data/input.js';
import { readJsonLines } from '../../data/json-lines.js';
import { readScoreRows } from '../../data/read-rows.js';
import { outputFormat, recogniseRows } from '../../data/recognise.js';
import { refuseEmpty } from '../../data/row-counts.js';
import type { ScoreRow } from '../../data/rows.js';
import { filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import type { Run } from '../../run.js';
import { flattened } from '../../scoring/in-order.js';
import { choiceOf } from '../../scoring/row-sample.js';
import * as z from '../../zod.js';
import { readInputRows } from './input-rows.js';
import { formatManifest, MANIFEST_SUFFIX, runtimeSchema, scoreWriterFor } from './manifest.js';
import { type ErrorRecord, formatErrorRecord, type ScoreRecord, withoutRuntime } from './score-rows.js';
import { SharedSettings } from './shared-settings.js';

export interface MergeOptions extends Run {
  /** Files that `batch --shard` wrote, in any of the formats; beside each lie its manifest, and its failed rows as `FILE.errors.jsonl`. */
  readonly shards: readonly string[];
  /** The file that was scored: what must be there, and in which order. */
  readonly input: string;
  readonly from?: DataFormat;
  readonly out: string;
  readonly to?: DataFormat;
  /** File for failed rows; by default `OUT.errors.jsonl`. */
  readonly errors?: string;
  /** Replace `out`. */
  readonly force?: boolean;
}

export const MERGE_SHARDS_DEFAULTS = { force: false } as const satisfies Partial<MergeOptions>;

export interface MergeReport {
  /** Base name; null where no row has a score. */
  readonly out: string | null;
  readonly sha256: string | null;
  readonly format: DataFormat;
  readonly shards: number;
  readonly rows: number;
  readonly failed: number;
  readonly errors: string | null;
  readonly manifest: string | null;
}

/**
 * Joins the outputs of shards in the order of their input, in bounded memory, and proves on the way that every row of the
 * input is there exactly once, under its own id, and rows of one kind by one model: to the bytes of one run, its manifest too.
 * @throws HpsError DATA_INVALID naming the row that is missing, repeated or another's; MODELS_INCOMPARABLE naming the setting that
 *   two shards do not share; the OUTPUT_… codes
 */
export async function mergeShards(given: MergeOptions): Promise<MergeReport> {
  const options = filled(given, MERGE_SHARDS_DEFAULTS);
  const { input, out, errors = errorsOf(out), force } = options;
  // A pattern such as `scores-*.jsonl` names the failed rows too, which are read with their shard.
  const shards = options.shards.filter((path) => !options.shards.some((other) => errorsOf(other) === path));
  const format = outputFormat(out, options.to);
  const inputs = [input, ...shards];
  const scores = await StagedOutput.open(out, { force, inputs });
  try {
    checkOutput(out, { force, inputs }, [MANIFEST_SUFFIX]);
    const settings = await SharedSettings.read(shards);
    const failures = await StagedOutput.open(errors, { force, inputs });
    try {
      const sink = await scores.create();
      const writer = scoreWriterFor(settings.agreed, sink, format);
      const errorSink = await failures.create();
      let rows = 0;
      let failed = 0;
      for await (const { score, error } of provenRows({ ...options, shards }, settings)) {
        rows++;
        if (score) await writer.write(withoutRuntime(score));
        else {
          failed++;
          await errorSink.write(Buffer.from(formatErrorRecord(error)));
        }
      }
      refuseEmpty(basename(input), rows);
      await writer.finish();
      const { name, sha256 } = await sink.finish();
      await errorSink.finish();
      const counts = { rows: rows - failed, failed, shard: null };
      const manifest = formatManifest({ sha256, format, ...counts, settings: settings.agreed });
      await scores.writeFile(`${name}${MANIFEST_SUFFIX}`, manifest);
      if (failed > 0) await failures.commit();
      const isAny = rows > failed;
      if (isAny) await scores.commit();
      return {
        ...(isAny ? { out: name, sha256 } : { out: null, sha256: null }),
        format,
        shards: shards.length,
        rows,
        failed,
        errors: failed > 0 ? failures.name : null,
        manifest: isAny ? `${name}${MANIFEST_SUFFIX}` : null,
      };
    } finally {
      await failures.discard();
    }
  } finally {
    await scores.discard();
  }
}

const errorsOf = (scores: string): string => `${scores}.errors.jsonl`;

/** A line of a shard: where it belongs, and what it says. */
type ShardRow = { readonly line: number; readonly id: string | null; readonly file: string } & (
  | { readonly score: ScoreRecord; readonly error?: undefined }
  | { readonly score?: undefined; readonly error: ErrorRecord }
);

async function* provenRows(
  { shards, input, from, signal }: MergeOptions,
  settings: SharedSettings,
): AsyncGenerator<ShardRow> {
  const source = FileSource.open(input);
  const merged = mergeByLine(shards.flatMap((shard) => partsOf(shard, settings)));
  const models = new Map<string, string>();
  try {
    const rows = flattened(readInputRows(fileInput(source, signal), { format: from }));
    for await (const { line, row, error } of rows) {
      const next = await merged.next();
      const id = row?.id ?? error?.id ?? null;
      if (next.done || next.value.line > line) throw unproven(`line ${line} of the input${named(id)} is in no shard`);
      const found: ShardRow = next.value;
      if (found.line < line)
        throw unproven(`line ${found.line} is in ${found.file} a second time, or is no row of the input`);
      if (found.id !== id)
        throw unproven(`line ${line} is${named(id)} in the input, and${named(found.id)} in ${found.file}`);
      if (row && found.score) {
        const choice = choiceOf(row);
        const { model } = found.score;
        if ((models.get(choice) ?? model) !== model) {
          throw unproven(`line ${line} in ${found.file} was scored by another model than those before it`);
        }
        models.set(choice, model);
      }
      yield found;
    }
    const rest = await merged.next();
    if (!rest.done) throw unproven(`line ${rest.value.line} in ${rest.value.file} is no row of the input`);
  } finally {
    await merged.return(undefined);
    source.close();
  }
}

const named = (id: string | null): string => (id === null ? ' (without an id)' : ` (id ${JSON.stringify(id)})`);

const partsOf = (shard: string, settings: SharedSettings): AsyncGenerator<ShardRow>[] => {
  const failures = errorsOf(shard);
  return [readScores(shard, settings), ...(existsSync(failures) ? [readErrors(failures)] : [])];
};

/** Several ordered streams as one; a line that two of them have comes twice. */
async function* mergeByLine(streams: readonly AsyncGenerator<ShardRow>[]): AsyncGenerator<ShardRow> {
  try {
    const heads: IteratorResult<ShardRow>[] = [];
    // One after another: which shard a message names first must not depend on which is read faster.
    for (const stream of streams) heads.push(await stream.next());
    for (;;) {
      let first = -1;
      for (const [i, head] of heads.entries()) {
        if (!head.done && (first < 0 || head.value.line < (heads[first].value as ShardRow).line)) first = i;
      }
      if (first < 0) return;
      yield heads[first].value as ShardRow;
      heads[first] = await streams[first].next();
    }
  } finally {
    for (const stream of streams) await stream.return(undefined);
  }
}

const errorLine = z.object({
  line: z.number().int().positive(),
  id: z.string().nullable(),
  code: z.string(),
  message: z.string(),
});

/** Rows of a shard with a score, in whichever format. */
async function* readScores(path: string, settings: SharedSettings): AsyncGenerator<ShardRow> {
  const file = basename(path);
  for await (const { line, row } of inOrder(file, scoresOf(path))) {
    if (!settings.covers(path)) {
      const runtime = runtimeSchema.safeParse(row.runtime); // in rows of 0.1.0
      if (!runtime.success)
        throw unproven(`${file}${MANIFEST_SUFFIX} is missing, so nothing says what its scores were computed with`);
      settings.take(row.model, runtime.data, file);
    }
    yield { line, id: row.id, file, score: row };
  }
}

/** Each row with a score, by the line of the input that it is of. */
async function* scoresOf(path: string): AsyncGenerator<Placed & { readonly row: ShardScore }> {
  const source = FileSource.open(path);
  try {
    if (source.byteLength === 0) return; // a shard without a score, as JSONL
    const rows = await recogniseRows(fileInput(source));
    for await (const batch of readScoreRows(rows, new Map()))
      for (const { row, line } of batch) {
        if (row?.row === undefined || row.model === undefined) throw noShard(basename(path), line);
        yield { line: row.row, at: line, row: recordOf(row) };
      }
  } finally {
    source.close();
  }
}

/** Rows of 0.1.0 say themselves what they were computed with. */
type ShardScore = ScoreRecord & { readonly runtime?: unknown };

/** A row as `batch` has it: a table holds nothing for what JSON says is null. */
const recordOf = (row: ScoreRow): ShardScore =>
  ({ ...row, ...(row.winner !== undefined && { confidence: row.confidence ?? null }) }) as ShardScore;

async function* readErrors(path: string): AsyncGenerator<ShardRow> {
  const file = basename(path);
  for await (const { line, error } of inOrder(file, errorsIn(path))) yield { line, id: error.id, file, error };
}

async function* errorsIn(path: string): AsyncGenerator<Placed & { readonly error: ErrorRecord }> {
  const source = FileSource.open(path);
  try {
    for await (const { value, line } of readJsonLines(source)) {
      const { success, data } = errorLine.safeParse(value);
      if (!success) throw noShard(basename(path), line);
      yield { line: data.line, at: line, error: data };
    }
  } finally {
    source.close();
  }
}

/** What a line of a shard's file is about. */
interface Placed {
  /** Line of the input. */
  readonly line: number;
  /** Line of the shard's file. */
  readonly at: number;
}

/** @throws HpsError DATA_INVALID for lines that are not in the order of the input */
async function* inOrder<T extends Placed>(file: string, rows: AsyncIterable<T>): AsyncGenerator<T> {
  let last = 0;
  for await (const row of rows) {
    if (row.line <= last) throw unproven(`${file}: line ${row.at} is not in the order of the input`);
    last = row.line;
    yield row;
  }
}

const noShard = (file: string, line: number): HpsError => unproven(`${file}: line ${line} is no line that batch wrote`);

const unproven = (message: string): HpsError =>
  new HpsError('DATA_INVALID', message, {
    hint: 'Give every shard of one run once, as `hpsv3 batch` wrote it, and the input they were made from.',
  });
