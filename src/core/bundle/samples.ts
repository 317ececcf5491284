import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, dirname, extname, resolve } from 'node:path';
import { sha256Hex } from '../bytes/hash.js';
import { toPlainRow } from '../data/jsonl.js';
import { readRecognisedRows } from '../data/read-rows.js';
import { recogniseRows } from '../data/recognise.js';
import { withInput } from '../data/row-files.js';
import type { DataRow, Item } from '../data/rows.js';
import { VoteSpelling } from '../data/vote-coding.js';
import { HpsError } from '../errors.js';
import { type Modality, partsOf } from '../modality.js';
import { type MadeUpItem, madeUpItem } from '../samples/made-up.js';
import { resolveItem } from '../samples/resolve.js';
import { chooseScorer, sampleOf } from '../scoring/row-sample.js';
import type { HPSv3Scorer } from '../scoring/scorer.js';
import type { BundleFile } from './archive.js';
import { type RecordedOn, SAMPLES_FILE, type SampleScore } from './bundle-file.js';

/** Where the media of samples lie. */
const SAMPLES_FOLDER = 'samples';
/** By how much scores may differ on another machine. */
export const SAMPLE_TOLERANCE = 1e-4;
/** More would take longer than a demonstration should. */
const MOST_SAMPLES = 1000;

/** The pair that every modality is shown with: one of two kinds, and the same the other way round. */
const ORDERS = [
  ['a', 'b'],
  ['b', 'a'],
] as const;
const CONTEXT = 'two of a kind';

/** Made-up samples for models: for each a pair, and the same pair the other way round. */
export async function madeUpSamples(scorers: readonly HPSv3Scorer[]): Promise<BundleFile[]> {
  const rows: object[] = [];
  const files = new Map<string, Uint8Array>();
  for (const { modality } of scorers) {
    const items = await Promise.all([0, 1].map((seed) => madeUpItem(modality, seed)));
    const [a, b] = items.map((item, i) => written(item, `${modality}-${'ab'[i]}`, files));
    for (const [left, right] of ORDERS) {
      const side = { a, b };
      rows.push({
        id: `${modality}-${left}-${right}`,
        type: `pairwise_${modality.replaceAll('-', '_')}`,
        left: side[left],
        right: side[right],
        context: CONTEXT,
      });
    }
  }
  return [samplesFile(rows), ...[...files].map(([path, content]) => ({ path, content }))];
}

/** An item as a row names it: a text, a path, or one of these for each part. */
function written(item: MadeUpItem, name: string, files: Map<string, Uint8Array>): unknown {
  const parts = Object.entries(item).map(([part, content]) => {
    if (typeof content === 'string') return [part, content] as const;
    const path = `${SAMPLES_FOLDER}/${name}${extname(content.name)}`;
    files.set(path, content.bytes);
    return [part, path] as const;
  });
  return parts.length === 1 ? parts[0][1] : Object.fromEntries(parts);
}

/**
 * The rows of a file as samples of a release: their media are taken along.
 * @throws HpsError DATA_INVALID for a row that cannot be read or scored by these models, or that names an address
 */
export async function givenSamples(path: string, scorers: readonly HPSv3Scorer[]): Promise<BundleFile[]> {
  const rows = await readSampleRows(path);
  const files = new Map<string, Uint8Array>();
  const root = dirname(resolve(path));
  const plain: object[] = [];
  for (const row of rows) {
    const { modality } = chooseScorer(row, scorers);
    const moved = async (item: Item): Promise<Item> => taken(item, modality, root, files);
    const placed: DataRow =
      row.kind === 'pair'
        ? { ...row, left: await moved(row.left), right: await moved(row.right), votes: [] }
        : { ...row, item: await moved(row.item) };
    plain.push({ ...toPlainRow(placed), modality });
  }
  return [samplesFile(plain), ...[...files].map(([at, content]) => ({ path: at, content }))];
}

/** The same item with paths into the release. */
async function taken(item: Item, modality: Modality, root: string, files: Map<string, Uint8Array>): Promise<Item> {
  const [first] = partsOf(modality);
  const parts: Record<string, unknown> = typeof item === 'string' ? { [first]: item } : { ...item };
  const media = partsOf(modality).filter((part) => part !== 'text' && typeof parts[part] === 'string');
  for (const part of media) {
    const { media: opened, release } = await resolveItem(
      { [part]: parts[part] as string },
      { modality: part, mediaRoot: root },
    );
    try {
      const source = opened[part as 'image'];
      if (!source || !('path' in source)) continue; // in the row itself
      const bytes = readFileSync(source.path);
      const path = `${SAMPLES_FOLDER}/${sha256Hex(bytes).slice(0, 12)}${extname(basename(parts[part] as string)).toLowerCase()}`;
      files.set(path, bytes);
      parts[part] = path;
    } finally {
      release();
    }
  }
  return typeof item === 'string' ? (parts[first] as string) : (parts as Item);
}

const samplesFile = (rows: readonly object[]): BundleFile => ({
  path: SAMPLES_FILE,
  content: Buffer.from(`${JSON.stringify(rows, null, 2)}\n`),
});

/** @throws HpsError DATA_INVALID for a row that cannot be read, none at all, or too many */
async function readSampleRows(path: string): Promise<DataRow[]> {
  const name = basename(path);
  const rows = await withInput(path, undefined, async (input) => {
    const read: DataRow[] = [];
    const found = await recogniseRows(input);
    for await (const batch of readRecognisedRows(found, { ignored: new Map(), votes: new VoteSpelling() })) {
      for (const { line, row, ...refused } of batch) {
        if (row === undefined) throw invalid(name, `row ${line}: ${(refused as { message?: string }).message}`);
        read.push(row);
        if (read.length > MOST_SAMPLES) throw invalid(name, `has more than ${MOST_SAMPLES} rows`);
      }
    }
    return read;
  });
  if (rows.length === 0) throw invalid(name, 'has no rows');
  const ids = new Set(rows.map(({ id }) => id));
  if (ids.size < rows.length) throw invalid(name, 'two rows have the same id');
  return rows;
}

/** Scores the rows of a file, one at a time. @throws HpsError as `HPSv3Scorer.scoreSample` */
export async function scoreSamples(path: string, scorers: readonly HPSv3Scorer[]): Promise<SampleScore[]> {
  const scores: SampleScore[] = [];
  for (const row of await readSampleRows(path)) {
    const score = await chooseScorer(row, scorers).scoreSample(sampleOf(row));
    const { logit, model } = score;
    scores.push({
      id: row.id,
      model,
      logit,
      score: score.score,
      ...('winner' in score ? { winner: score.winner } : {}),
    });
  }
  return scores;
}

/** What this machine is, as far as scores go. */
export const thisMachine = (scorer: HPSv3Scorer): RecordedOn => ({
  platform: process.platform,
  arch: process.arch,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  onnxruntime: scorer.runtime.version,
});

/** A sample, what it scored when the release was made, and now. */
export interface ComparedSample {
  readonly id: string;
  /** Null for a sample that has no score recorded. */
  readonly recorded: SampleScore | null;
  readonly found: SampleScore | null;
  readonly same: boolean;
}

export interface SampleComparison {
  /** Whether scores had to be the same to the bit, or within `tolerance`. */
  readonly bitwise: boolean;
  readonly tolerance: number;
  readonly samples: readonly ComparedSample[];
  readonly passed: boolean;
}

/** Compares scores with recorded ones: to the bit on the kind of machine that recorded them, else within the tolerance. */
export function compareSamples(
  recorded: { readonly recorded: RecordedOn; readonly tolerance: number; readonly scores: readonly SampleScore[] },
  found: readonly SampleScore[],
  machine: RecordedOn,
): SampleComparison {
  const bitwise = (Object.keys(machine) as (keyof RecordedOn)[]).every(
    (key) => machine[key] === recorded.recorded[key],
  );
  const near = (a: number, b: number): boolean =>
    Object.is(a, b) || (!bitwise && Math.abs(a - b) <= recorded.tolerance);
  const ids = [...new Set([...recorded.scores, ...found].map(({ id }) => id))];
  const samples = ids.map((id): ComparedSample => {
    const [before = null, now = null] = [recorded.scores, found].map((scores) => scores.find((one) => one.id === id));
    const same =
      before !== null &&
      now !== null &&
      before.model === now.model &&
      near(before.logit, now.logit) &&
      near(before.score, now.score) &&
      (before.winner === now.winner || (!bitwise && Math.abs(before.logit) <= recorded.tolerance));
    return { id, recorded: before, found: now, same };
  });
  return { bitwise, tolerance: recorded.tolerance, samples, passed: samples.every(({ same }) => same) };
}

const invalid = (file: string, rule: string): HpsError =>
  new HpsError('DATA_INVALID', `${file}: ${rule}`, {
    hint: 'Samples are a few rows as `hpsv3 batch` reads them, with their media beside them.',
    details: { file },
  });
