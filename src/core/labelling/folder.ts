import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { withAtomicOutput } from '../bytes/output.js';
import { FileSource } from '../bytes/source.js';
import { fileInput } from '../data/input.js';
import { formatJsonlRow } from '../data/jsonl.js';
import { readRows } from '../data/read-rows.js';
import { RowCounts, type RowsReport } from '../data/row-counts.js';
import { type StandardStreams, withInput } from '../data/row-files.js';
import type { PairRow } from '../data/rows.js';
import { type DocumentOf, defineDocument, formatDocument, readDocument } from '../documents/define.js';
import { positive, share } from '../documents/parts.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';
import { EXPORTS, type ExportName, judgedPairs, type LeftOut, writeExport } from './exports.js';
import type { Session } from './session.js';
import { KEY_BYTES } from './tickets.js';
import { RATER_ID } from './vote.js';

/** What a session is: the file that tells its folder from others. */
export const labelDocument = defineDocument(
  'hpsv3/label-session@1',
  z.strictObject({
    votes_per_pair: positive,
    seed: z.int(),
    gold_share: share,
    repeat_share: share,
    /** In their places of the design; null where whoever comes takes part. */
    raters: z.array(z.string().regex(RATER_ID)).nullable(),
    /** What is asked instead of what the rows say. */
    question: z.string().nullable(),
    consent: z.strictObject({ version: z.string(), text: z.string() }).nullable(),
    /** Folder that paths of rows start in. */
    media_root: z.string().nullable(),
  }),
  { what: 'a labelling session', made: 'hpsv3 label', limit: LIMITS.configBytes },
);
export type LabelSettings = Omit<DocumentOf<typeof labelDocument>, 'schema'>;

export const FILES = {
  session: 'label.json',
  pairs: 'pairs.jsonl',
  gold: 'gold.jsonl',
  votes: 'votes.jsonl',
  raters: 'raters.jsonl',
  key: '.key',
} as const;

/** Writes one file of the folder, whole or not at all. */
export const writeFolderFile = (folder: string, name: string, content: string | Uint8Array): Promise<unknown> =>
  withAtomicOutput(join(folder, name), { force: true }, (output) => output.writeFile(name, content));

/** Makes what is not there yet of the files that grow. */
export async function prepareFolder(folder: string): Promise<void> {
  const key = join(folder, FILES.key);
  if (!existsSync(key)) {
    await writeFolderFile(folder, FILES.key, randomBytes(KEY_BYTES));
    chmodSync(key, 0o600);
  }
  for (const name of [FILES.votes, FILES.raters]) {
    if (!existsSync(join(folder, name))) await writeFolderFile(folder, name, '');
  }
}

export const writeSettings = (folder: string, settings: LabelSettings): Promise<unknown> =>
  writeFolderFile(folder, FILES.session, formatDocument({ schema: labelDocument.id, ...settings }));

/** @throws HpsError FILE_NOT_FOUND for a folder that is none of a session; as `readDocument` */
export function readSettings(folder: string): LabelSettings {
  const path = join(folder, FILES.session);
  if (!existsSync(path)) {
    const name = basename(resolve(folder));
    const rule = existsSync(folder) ? `no session of \`hpsv3 label\`: no ${FILES.session} in it` : 'no such folder';
    throw new HpsError('FILE_NOT_FOUND', `${name}: ${rule}`, {
      hint: 'Give the folder that `hpsv3 label` wrote as `out`: that of a session.',
      details: { file: FILES.session },
    });
  }
  const { schema: _, ...settings } = readDocument(labelDocument, path).document;
  return settings;
}

export const readKey = (folder: string): Uint8Array => readFileSync(join(folder, FILES.key));

export const writePairs = (folder: string, name: string, rows: readonly PairRow[]): Promise<unknown> =>
  writeFolderFile(folder, name, rows.map(formatJsonlRow).join(''));

/** Pairs that the session was made of; none where the file is not there. */
export async function readFolderPairs(folder: string, name: string): Promise<readonly PairRow[]> {
  const path = join(folder, name);
  return existsSync(path) ? (await readPairs(path, undefined)).rows : [];
}

/**
 * The pairs of a file in any layout. Rows that cannot be read and repeated ids are counted, absolute rows too.
 * @throws HpsError DATA_INVALID where there is no pair
 */
export async function readPairs(
  path: string,
  streams: StandardStreams | undefined,
): Promise<{ readonly rows: PairRow[]; readonly report: RowsReport }> {
  return withInput(path, streams, async (input) => {
    const counts = new RowCounts();
    const rows: PairRow[] = [];
    for await (const batch of readRows(input, counts)) {
      for (const result of batch) {
        if (!result.row) counts.addBad(result);
        else if (result.row.kind !== 'pair') counts.otherKind++;
        else if (!counts.isRepeated(result.row.id, result.line)) rows.push(result.row);
      }
    }
    counts.rows = rows.length;
    if (rows.length > 0) return { rows, report: counts.report() };
    throw new HpsError('DATA_INVALID', `${input.name}: has no pairs`, {
      hint: 'Give rows with a left and a right side.',
      details: { file: input.name },
    });
  });
}

/** A queue of `hpsv3 select`: ids in the order of asking, each with the probability that it was chosen, where that is stated. */
export async function readQueue(path: string): Promise<ReadonlyMap<string, number | null>> {
  const source = FileSource.open(path);
  try {
    const queue = new Map<string, number | null>();
    const { name } = source;
    const text = Buffer.concat(await collect(fileInput(source).chunks())).toString('utf8');
    for (const [i, line] of text.split('\n').entries()) {
      if (line.trim() === '') continue;
      const row = parsed(line);
      if (typeof row?.id !== 'string' && typeof row?.id !== 'number') throw noQueue(name, i + 1);
      const propensity = row.propensity;
      const isShare = typeof propensity === 'number' && propensity > 0 && propensity <= 1;
      if (!queue.has(String(row.id))) queue.set(String(row.id), isShare ? propensity : null);
    }
    return queue;
  } finally {
    source.close();
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const chunk of chunks) pieces.push(Buffer.from(chunk));
  return pieces;
}

function parsed(line: string): { readonly id?: unknown; readonly propensity?: unknown } | null {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

const noQueue = (file: string, line: number): HpsError =>
  new HpsError('DATA_INVALID', `${file}, line ${line}: has no id`, {
    hint: 'Give the queue that `hpsv3 select` wrote.',
    details: { file, line },
  });

/** What an export has no place for, by its name. */
export type LeftOutByFile = Readonly<Partial<Record<ExportName, LeftOut>>>;

/** Writes every form of what was collected. */
export async function writeExports(
  folder: string,
  session: Session,
  pairs: readonly PairRow[],
): Promise<LeftOutByFile> {
  const judged = judgedPairs(pairs, session.ballots);
  const report: { [name in ExportName]?: LeftOut } = {};
  for (const name of EXPORTS) {
    await withAtomicOutput(join(folder, name), { force: true }, async (output) => {
      const sink = await output.create();
      const leftOut = await writeExport(name, judged, sink);
      if (leftOut) report[name] = leftOut;
      await sink.finish();
    });
  }
  return report;
}
