import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { FileSource } from '../../bytes/source.js';
import { fileInput } from '../../data/input.js';
import type { OnRefused } from '../../data/judged-scores.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { readRows } from '../../data/read-rows.js';
import { RowCounts, type RowsReport, rowsWarnings } from '../../data/row-counts.js';
import { type AbsoluteRow, type DataRow, humanScore, type PairRow } from '../../data/rows.js';
import { idHash } from '../../data/shard.js';
import { clusterSplit } from '../../data/split.js';
import { HpsError } from '../../errors.js';
import type { MediaItem } from '../../media/item.js';
import type { ContractInput, Modality } from '../../onnx/manifest.js';
import { counter, type Run } from '../../run.js';
import { openPreparerPool } from '../../samples/preparer-pool.js';
import { type ItemInput, resolveItem } from '../../samples/resolve.js';
import { modalityOf } from '../../samples/row-modality.js';
import type { AbsoluteExample, ModalityData, PairExample, TrainingItem } from './dataset.js';
import { type Packed, packersOf } from './packed.js';
import { cacheFile, readPrepared, writePrepared } from './prepared-cache.js';

/** A file of labels, and the folder that its media paths are taken from. */
export interface LabelSource extends LabelLayout {
  readonly path: string;
  readonly mediaRoot: string;
}

/** The label files of a folder that `hpsv3 synth` or somebody like it wrote. */
const FOLDER_FILES = ['labels.jsonl', 'absolute.jsonl'];

/**
 * What a path given as training data stands for: a file of labels, or a folder with labels.jsonl, absolute.jsonl or both.
 * @throws HpsError FILE_NOT_FOUND
 */
export function labelSources(path: string, mediaRoot?: string, { layout, map }: LabelLayout = {}): LabelSource[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
    return [{ path, mediaRoot: mediaRoot ?? dirname(resolve(path)), layout, map }];
  const files = FOLDER_FILES.map((name) => join(path, name)).filter((file) => existsSync(file));
  if (files.length > 0) return files.map((file) => ({ path: file, mediaRoot: mediaRoot ?? path }));
  throw new HpsError('FILE_NOT_FOUND', `${basename(path)}: has neither ${FOLDER_FILES.join(' nor ')}`, {
    hint: 'Give a folder that hpsv3 synth wrote, or a file of labels.',
    details: { folder: basename(path) },
  });
}

/** A labelled row with where it stands, and where its media are. */
interface SourcedRow {
  readonly row: DataRow;
  readonly line: number;
  readonly mediaRoot: string;
  /** Of its file. */
  readonly counts: RowCounts;
}

/** What one modality's model reads. */
export interface ModalityContract {
  readonly inputs: readonly ContractInput[];
  readonly tokenizer: string | null;
}

export interface TrainingDataOptions extends Run {
  readonly sources: readonly LabelSource[];
  readonly contracts: ReadonlyMap<Modality, ModalityContract>;
  /** How examples are put into strata: `label`, `none`, or the name of a group. */
  readonly balance: string;
  /** Lowest and highest score of the labels: they become utility -1 and 1. */
  readonly scoreRange: readonly [number, number];
  /** Classes of each auxiliary head. */
  readonly classes: { readonly quality: number };
  /** Folder where prepared pictures, sounds and clips are kept for the next run. */
  readonly cache?: string;
  /** Receives every row that is refused, with the base name of its file. */
  readonly onRefused?: OnRefused;
}

export interface TrainingData {
  readonly modalities: readonly ModalityData[];
  /** What reading came to, file by file. */
  readonly rows: readonly FileRows[];
  /** Rows that nothing is wrong with and that are of no use here, by reason. */
  readonly unused: ReadonlyMap<string, number>;
}

/** What reading one file came to. Rows whose media could not be read count as refused. */
export interface FileRows extends RowsReport {
  /** Base name. */
  readonly file: string;
}

/** What a report says of the rows that were left out. */
export interface LeftOutRows {
  /** Rows by why they were left out: a code for those that were refused, words for those of no use. */
  readonly skippedRows: Readonly<Record<string, number>>;
  readonly rows: readonly FileRows[];
  /** Rows refused. */
  readonly failed: number;
}

/** The rows left out of all that was read. */
export function leftOutRows(read: readonly TrainingData[]): LeftOutRows {
  const counts = new Map<string, number>();
  const add = (reason: string, more: number): void => void counts.set(reason, (counts.get(reason) ?? 0) + more);
  const rows = read.flatMap((data) => data.rows);
  for (const { badRowsByCode } of rows) for (const [code, count] of Object.entries(badRowsByCode)) add(code, count);
  for (const { unused } of read) for (const [reason, count] of unused) add(reason, count);
  const failed = rows.reduce((sum, { badRows }) => sum + badRows, 0);
  return { skippedRows: Object.fromEntries(counts), rows, failed };
}

/** What of the rows a reader should know, one sentence each. */
export function leftOutWarnings(read: readonly TrainingData[]): string[] {
  return read.flatMap(({ rows, unused }) => [
    ...rows.flatMap((report) => rowsWarnings(report.file, report)),
    ...[...unused].map(([reason, count]) => `${count} ${count === 1 ? 'row is' : 'rows are'} not used: ${reason}.`),
  ]);
}

/** Why rows were left out, as the end of a sentence; empty where none were. */
export function whyLeftOut(read: readonly TrainingData[]): string {
  const reasons = leftOutWarnings(read).join(' ');
  return reasons === '' ? '' : `. ${reasons.slice(0, -1)}`;
}

/**
 * Labelled rows with every distinct item prepared once.
 * @throws HpsError DATA_INVALID where nothing can be trained on, or a label is none the model has
 */
export async function readTrainingData(options: TrainingDataOptions): Promise<TrainingData> {
  const unused = new Map<string, number>();
  const skip = (reason: string): void => void unused.set(reason, (unused.get(reason) ?? 0) + 1);
  const rows = new Map<Modality, SourcedRow[]>();
  const files: { readonly file: string; readonly counts: RowCounts }[] = [];
  for (const source of options.sources) {
    const file = basename(source.path);
    const counts = new RowCounts((row) => options.onRefused?.(row, file));
    files.push({ file, counts });
    for await (const sourced of labelledRows(source, counts, skip, options.signal)) {
      const modality = modalityOf(sourced.row);
      if (!options.contracts.has(modality)) skip(`${modality}: not trained here`);
      else {
        if (!rows.has(modality)) rows.set(modality, []);
        rows.get(modality)!.push(sourced);
      }
    }
  }
  const modalities: ModalityData[] = [];
  for (const [modality, { inputs, tokenizer }] of options.contracts) {
    const own = rows.get(modality);
    if (own) modalities.push(await prepareModality(modality, own, { inputs, tokenizer }, options));
  }
  return { modalities, rows: files.map(({ file, counts }) => ({ file, ...counts.report() })), unused };
}

async function* labelledRows(
  { path, mediaRoot, layout, map }: LabelSource,
  counts: RowCounts,
  skip: (reason: string) => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<SourcedRow> {
  const source = FileSource.open(path);
  try {
    const { ignored, votes } = counts;
    for await (const batch of readRows(fileInput(source, signal), { ignored, votes, layout, map })) {
      for (const result of batch) {
        if (!result.row) counts.addBad(result);
        else if (!isLabelled(result.row)) skip('no label');
        else if (!counts.isRepeated(result.row.id, result.line)) {
          counts.rows++;
          yield { row: result.row, line: result.line, mediaRoot, counts };
        }
      }
    }
  } finally {
    source.close();
  }
}

const isLabelled = (row: DataRow): boolean =>
  row.kind === 'pair' ? row.votes.length > 0 : humanScore(row) !== undefined || row.aux !== undefined;

async function prepareModality(
  modality: Modality,
  rows: readonly SourcedRow[],
  contract: ModalityContract,
  options: TrainingDataOptions,
): Promise<ModalityData> {
  const preparer = await openPreparerPool(contract);
  const labels = options.sources.map(({ path }) => resolve(path));
  const cache =
    options.cache === undefined || modality === 'text'
      ? null
      : cacheFile({ folder: options.cache, contractSha256: preparer.contractSha256, labels });
  const before = cache === null ? new Map<string, TrainingItem>() : await readPrepared(cache);
  const used = new Map<string, TrainingItem>();
  const packers = packersOf(contract.inputs);
  const items: TrainingItem[] = [];
  const indices = new Map<string, Promise<number>>();
  const prepare = async (item: ItemInput, row: DataRow, mediaRoot: string): Promise<number> => {
    const { media, key } = await resolveItem(item, { modality, mediaRoot, context: row.context });
    const known = indices.get(key);
    if (known) return known;
    const index = itemOf(key, media).then((prepared) => {
      used.set(key, prepared);
      return items.push(prepared) - 1;
    });
    indices.set(key, index);
    return index;
  };
  const itemOf = async (key: string, media: MediaItem): Promise<TrainingItem> => {
    const known = before.get(key);
    if (known) return known;
    const { inputs, tokens, samples } = await preparer.prepare(media);
    const packed = new Map<string, Packed>();
    for (const packer of packers) {
      const values = packer.pack(inputs.get(packer.name)!);
      if (values) packed.set(packer.name, values);
    }
    return { packed, tokens: tokens ?? 0, samples: samples ?? 0 };
  };
  const count = counter(options, `Preparing ${modality}`, 'rows', rows.length);
  const indexOf = async (item: ItemInput, { row, mediaRoot }: SourcedRow): Promise<number | HpsError> => {
    try {
      return await prepare(item, row, mediaRoot);
    } catch (error) {
      if (!(error instanceof HpsError) || error.exitCode !== 2) throw error;
      return error;
    }
  };
  try {
    const prepared = await inWindows(rows, async (sourced) => {
      const { row } = sourced;
      const sides = row.kind === 'pair' ? [row.left, row.right] : [row.item];
      const indices = await Promise.all(sides.map((side) => indexOf(side as ItemInput, sourced)));
      options.signal?.throwIfAborted();
      count();
      return { ...sourced, indices };
    });
    const isNew = used.size !== before.size || [...used.keys()].some((key) => !before.has(key));
    if (cache !== null && isNew) await writePrepared(cache, used);
    return inOrder(modality, contract.inputs, items, prepared, options);
  } finally {
    await preparer.close();
  }
}

/** Rows being prepared at a time: enough to keep every thread busy. */
const WINDOW = 64;

async function inWindows<T, R>(values: readonly T[], use: (value: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < values.length; at += WINDOW)
    results.push(...(await Promise.all(values.slice(at, at + WINDOW).map(use))));
  return results;
}

/** A row with its items, or with why they could not be prepared. */
interface PreparedRow extends SourcedRow {
  readonly indices: readonly (number | HpsError)[];
}

/** Items in the order of the rows that name them first: which thread was done first must not matter. */
function inOrder(
  modality: Modality,
  inputs: readonly ContractInput[],
  items: readonly TrainingItem[],
  prepared: readonly PreparedRow[],
  options: TrainingDataOptions,
): ModalityData {
  const places = new Map<number, number>();
  const ordered: TrainingItem[] = [];
  const placeOf = (index: number): number => {
    const known = places.get(index);
    if (known !== undefined) return known;
    places.set(index, ordered.length);
    return ordered.push(items[index]) - 1;
  };
  const pairs: PairExample[] = [];
  const absolutes: AbsoluteExample[] = [];
  for (const { row, line, counts, indices } of prepared) {
    const failure = indices.find((index) => index instanceof HpsError);
    if (failure) {
      counts.rows--;
      counts.addBad({ line, code: failure.code, message: failure.message });
      continue;
    }
    const [first, second] = (indices as readonly number[]).map(placeOf);
    if (row.kind === 'pair') {
      // What was chosen stands on the left as rows are read: here on either side, so that no side is taught, nor missing.
      const swapped = row.preference === true && idHash(row.id) % 2n === 1n;
      const votes = swapped ? row.votes.map((vote) => 1 - vote) : row.votes;
      const [left, right] = swapped ? [second, first] : [first, second];
      pairs.push(pairExample({ ...row, votes }, left, right, options.balance));
    } else absolutes.push(absoluteExample(row, first, options));
  }
  return { modality, inputs, items: ordered, pairs, absolutes };
}

function pairExample(row: PairRow, left: number, right: number, balance: string): PairExample {
  const { votes } = row;
  const share = (part: (vote: number) => number): number =>
    votes.reduce((sum, vote) => sum + part(vote), 0) / votes.length;
  const tie = share((vote) => Number(vote === 0.5));
  const ofLeft = share((vote) => (vote === 0.5 ? 0 : vote));
  const shares = [ofLeft, 1 - ofLeft - tie, tie] as const;
  const winner = ['left', 'right', 'tie'][shares.indexOf(Math.max(...shares))];
  return { left, right, votes: shares, cluster: row.promptId, stratum: stratumOf(row, balance, winner) };
}

function absoluteExample(row: AbsoluteRow, item: number, options: TrainingDataOptions): AbsoluteExample {
  const { scoreRange, classes, balance } = options;
  const score = humanScore(row);
  const [low, high] = scoreRange;
  if (score !== undefined && !(score >= low && score <= high)) {
    throw new HpsError('DATA_INVALID', `row ${row.id}: score ${score} lies outside ${low} to ${high}`, {
      hint: 'Give the range of the scores as training.score_range: [lowest, highest].',
      details: { row: row.id, score, range: scoreRange },
    });
  }
  const quality = row.aux?.quality;
  if (quality !== undefined && quality >= classes.quality) {
    throw new HpsError(
      'DATA_INVALID',
      `row ${row.id}: quality ${quality}, the model has classes 0 to ${classes.quality - 1}`,
      {
        hint: 'Set model.quality_classes to the number of classes in the labels.',
        details: { row: row.id, quality, classes: classes.quality },
      },
    );
  }
  return {
    item,
    score: score === undefined ? undefined : (2 * (score - low)) / (high - low) - 1,
    aux: row.aux ?? {},
    cluster: row.promptId,
    stratum: stratumOf(row, balance, quality === undefined ? 'scored' : `quality ${quality}`),
  };
}

function stratumOf({ groups }: DataRow, balance: string, label: string): string {
  if (balance === 'none') return '';
  return balance === 'label' ? label : (groups.get(balance) ?? '');
}

/** Splits examples by cluster: the same cluster is held out whatever else the data hold. Items are shared. */
export function splitData(
  data: readonly ModalityData[],
  fraction: number,
  seed: number,
): { train: ModalityData[]; validation: ModalityData[] } {
  const partOf = clusterSplit({ train: 1 - fraction, validation: fraction }, seed);
  const part = (name: string): ModalityData[] =>
    data.map((each) => ({
      ...each,
      pairs: each.pairs.filter(({ cluster }) => partOf(cluster) === name),
      absolutes: each.absolutes.filter(({ cluster }) => partOf(cluster) === name),
    }));
  return { train: part('train'), validation: part('validation') };
}

/**
 * Pairs that are all ties say nothing of either side; and where every vote is for one side, a model learns the side, and no figure
 * of ranking tells.
 *
 * @param what - of the labels, for the message
 * @throws HpsError DATA_INVALID
 */
export function refuseOneSided({ pairs, absolutes }: Pick<ModalityData, 'pairs' | 'absolutes'>, what: string): void {
  const [hasLeft, hasRight] = [0, 1].map((side) => pairs.some(({ votes }) => votes[side] > 0));
  if (pairs.length === 0 || (hasLeft && hasRight) || (!hasLeft && !hasRight && absolutes.length > 0)) return;
  const details = { pairs: pairs.length };
  if (!hasLeft && !hasRight) {
    throw new HpsError('DATA_INVALID', `every pair ${what} is tied: there is nothing to learn a preference from`, {
      hint: 'Give labels with a preference in them.',
      details,
    });
  }
  const side = hasLeft ? 'left' : 'right';
  throw new HpsError(
    'DATA_INVALID',
    `every vote ${what} is for the ${side}: that teaches the side, not the preference`,
    {
      hint: 'Check how votes are coded; or swap the sides of half of the pairs, each with its votes.',
      details: { ...details, side },
    },
  );
}
