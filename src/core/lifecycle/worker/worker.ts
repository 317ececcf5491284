import { parseJsonlRow, tooLarge } from '../../data/jsonl.js';
import { forEachLine, readLineBlocks } from '../../data/lines.js';
import { type IgnoredFields, parseDataRow } from '../../data/parse-row.js';
import { idOf, type RowFields } from '../../data/row-json.js';
import type { DataRow } from '../../data/rows.js';
import type { RowSink } from '../../data/write-rows.js';
import { formatScore } from '../../data/write-scores.js';
import { DEFAULT_BATCH_SIZE, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { type RemoteOptions, RemoteStore } from '../../media/remote/store.js';
import type { Run } from '../../run.js';
import type { RuntimeInfo } from '../../scoring/model.js';
import { chooseScorer, sampleOf } from '../../scoring/row-sample.js';
import { HPSv3Scorer, type ScorerOptions } from '../../scoring/scorer.js';
import { loadScorers } from '../score/load-scorers.js';
import { withProfile } from '../score/with-profile.js';
import { untilAsked } from './until-asked.js';

/** Raised with every change that a host could notice. */
export const WORKER_PROTOCOL = 1;

export interface WorkerOptions extends Run, Omit<ScorerOptions, 'contract' | 'batchSize' | 'remote'> {
  /** One for each modality of the rows. */
  readonly models: readonly string[];
  readonly contract?: ScorerOptions['contract'];
  readonly remote?: RemoteOptions;
  /** A profile of the first model: its recommended batch size and optimisation level. */
  readonly profile?: string;
  /** Rows of every batch; a batch that is not full is filled up. What `profile` recommends where omitted, else 16. */
  readonly batchSize?: number;
  /** Answers hold the pooled latents instead of a score. */
  readonly embed?: boolean;
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Takes the protocol's lines and nothing else. A host that does not read holds the work up; nothing piles up. */
  readonly stdout: RowSink;
}

export const WORKER_DEFAULTS = {
  batchSize: DEFAULT_BATCH_SIZE,
  embed: false,
} as const satisfies Partial<WorkerOptions>;

export interface WorkerReport {
  readonly frames: number;
  readonly rows: number;
  readonly failed: number;
  readonly runtime: RuntimeInfo;
  readonly seconds: number;
}

/** A line of the host: a row, a row that cannot be read, or the empty line that closes a frame. */
type HostLine =
  | { readonly id: string | null; readonly row: DataRow }
  | { readonly id: string | null; readonly error: { readonly code: string; readonly message: string } }
  | typeof FRAME_END;

const FRAME_END = 'end of a frame';

/**
 * Scores rows that a host writes, one line each, and answers each with one line, in order: a scoring process for engines
 * that bring their own queue. The first line says that it is ready and with what; an empty line closes a frame and is
 * echoed once every row before it is answered. It ends with the input; where `signal` asks it to, it answers what it has
 * read, to the end of the frame it is in.
 * @throws HpsError for a model that cannot be used. A row that cannot be scored is answered with its error.
 */
export async function runWorker(given: WorkerOptions): Promise<WorkerReport> {
  const options = filled(await withProfile(given), WORKER_DEFAULTS);
  const started = performance.now();
  const { models, stdin, stdout, signal, embed } = options;
  const remote = options.remote && RemoteStore.open(options.remote); // one for all models
  const scorers = await loadScorers(models, { ...options, mediaRoot: options.mediaRoot ?? '.', remote });
  try {
    const write = (line: string): Promise<void> => stdout.write(Buffer.from(line));
    await write(readyLine(scorers, embed));
    const counts = { frames: 0, rows: 0, failed: 0 };
    const scored = HPSv3Scorer.each(scorers, readHost(stdin, signal), (line) => answer(line, scorers, embed));
    for await (const { sample, result, error } of scored) {
      if (sample === FRAME_END) {
        counts.frames++;
        await write('\n');
        continue;
      }
      counts.rows++;
      if (error) counts.failed++;
      await write(error ? errorLine(sample.id, 'error' in sample ? sample.error : error) : result);
    }
    return { ...counts, runtime: scorers[0].runtime, seconds: (performance.now() - started) / 1000 };
  } finally {
    await Promise.all([...scorers.map((scorer) => scorer.close()), remote?.close()]);
  }
}

const readyLine = (scorers: readonly HPSv3Scorer[], embed: boolean): string =>
  `${JSON.stringify({
    ready: true,
    protocol: WORKER_PROTOCOL,
    answers: embed ? 'embedding' : 'score',
    ...modelFacts(scorers[0]),
    models: scorers.map(modelFacts),
    calibrator: scorers[0].calibratorSha256,
    runtime: scorers[0].runtime,
  })}\n`;

const modelFacts = ({ sha256, modality, preprocessingSha256 }: HPSv3Scorer) => ({
  model: sha256,
  modality,
  preprocessing: preprocessingSha256,
});

const errorLine = (id: string | null, { code, message }: { readonly code: string; readonly message: string }): string =>
  `${JSON.stringify({ id, error: { code, message } })}\n`;

/** The line that answers a row. @throws HpsError for one that cannot be scored */
async function answer(line: HostLine, scorers: readonly HPSv3Scorer[], embed: boolean): Promise<string> {
  if (line === FRAME_END) return '';
  if ('error' in line) throw new HpsError('DATA_INVALID', line.error.message); // its place is kept; `sample` knows its own code
  const { id, row } = line;
  const scorer = chooseScorer(row, scorers);
  const sample = sampleOf(row);
  if (!embed) return formatScore({ id, ...(await scorer.scoreSample(sample)) } as Parameters<typeof formatScore>[0]);
  if (!('item' in sample)) {
    throw new HpsError('DATA_INVALID', 'is a pair, and an embedding is of one item', {
      hint: 'Write each side as a row of its own.',
    });
  }
  const { embedding, truncated } = await scorer.latentsOf(sample);
  return `${JSON.stringify({ id, embedding: Array.from(embedding), truncated, model: scorer.sha256 })}\n`;
}

async function* readHost(stdin: AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncGenerator<HostLine> {
  const frame = { isOpen: false, everClosed: false };
  const blocks = readLineBlocks(signal ? untilAsked(stdin, signal, () => frame.isOpen && frame.everClosed) : stdin);
  for await (const block of blocks) {
    const lines: HostLine[] = [];
    if (block.tooLong) lines.push({ id: null, error: tooLarge() });
    forEachLine(block, (start, end, line) => lines.push(parseLine(block.bytes.subarray(start, end), line)));
    for (const line of lines) {
      frame.isOpen = line !== FRAME_END;
      frame.everClosed ||= !frame.isOpen;
      yield line;
      if (signal?.aborted && !(frame.isOpen && frame.everClosed)) return;
    }
  }
}

/** What people said of a sample is not read: it changes no score, and one line cannot tell how votes are coded. */
const JUDGEMENTS = new Set(['label', 'labels', 'raters', 'score', 'ratings', 'aux']);

function parseLine(bytes: Buffer, line: number): HostLine {
  const ignored: IgnoredFields = new Map();
  let id: string | null = null;
  const parsed = parseJsonlRow(bytes, line, (fields: RowFields) => {
    id = idOf(fields);
    const sample = new Map([...fields].filter(([name]) => !JUDGEMENTS.has(name)));
    return parseDataRow(sample, line, ignored);
  });
  if (parsed === null) return FRAME_END;
  if (parsed.row) return { id: parsed.row.id, row: parsed.row };
  return { id, error: { code: parsed.code, message: parsed.message } };
}
