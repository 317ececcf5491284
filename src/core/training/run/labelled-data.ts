import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { FileSource } from '../../bytes/source.js';
import { fileInput } from '../../data/input.js';
import { readRows } from '../../data/read-rows.js';
import { type AbsoluteRow, type DataRow, humanScore, type PairRow } from '../../data/rows.js';
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
export interface LabelSource {
  readonly path: string;
  readonly mediaRoot: string;
}

/** The label files of a folder that `hpsv3 synth` or somebody like it wrote. */
const FOLDER_FILES = ['labels.jsonl', 'absolute.jsonl'];

/**
 * What a path given as training data stands for: a file of labels, or a folder with labels.jsonl, absolute.jsonl or both.
 * @throws HpsError FILE_NOT_FOUND
 */
export function labelSources(path: string, mediaRoot?: string): LabelSource[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
    return [{ path, mediaRoot: mediaRoot ?? dirname(resolve(path)) }];
  const files = FOLDER_FILES.map((name) => join(path, name)).filter((file) => existsSync(file));
  if (files.length > 0) return files.map((file) => ({ path: file, mediaRoot: mediaRoot ?? path }));
  throw new HpsError('FILE_NOT_FOUND', `${basename(path)}: has neither ${FOLDER_FILES.join(' nor ')}`, {
    hint: 'Give a folder that hpsv3 synth wrote, or a file of labels.',
    details: { folder: basename(path) },
  });
}

/** A labelled row with where its media are. */
interface SourcedRow {
  readonly row: DataRow;
  readonly mediaRoot: string;
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
}

export interface TrainingData {
  readonly modalities: readonly ModalityData[];
  /** Rows that are left out, by reason. */
  readonly skipped: ReadonlyMap<string, number>;
}

/**
 * Labelled rows with every distinct item prepared once.
 * @throws HpsError DATA_INVALID where nothing can be trained on, or a label is none the model has
 */
export async function readTrainingData(options: TrainingDataOptions): Promise<TrainingData> {
  const skipped = new Map<string, number>();
  const skip = (reason: string): void => void skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
  const rows = new Map<Modality, SourcedRow[]>();
  for (const source of options.sources) {
    for await (const row of labelledRows(source, skip, options.signal)) {
      const modality = modalityOf(row);
      if (!options.contracts.has(modality)) skip(`${modality}: not trained here`);
      else rows.set(modality, [...(rows.get(modality) ?? []), { row, mediaRoot: source.mediaRoot }]);
    }
  }
  const modalities: ModalityData[] = [];
  for (const [modality, { inputs, tokenizer }] of options.contracts) {
    const own = rows.get(modality);
    if (own) modalities.push(await prepareModality(modality, own, { inputs, tokenizer }, options, skip));
  }
  return { modalities, skipped };
}

async function* labelledRows(
  { path }: LabelSource,
  skip: (reason: string) => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<DataRow> {
  const source = FileSource.open(path);
  try {
    for await (const batch of readRows(fileInput(source, signal))) {
      for (const result of batch) {
        if (!result.row) skip(result.message);
        else if (isLabelled(result.row)) yield result.row;
        else skip('no label');
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
  skip: (reason: string) => void,
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
  const indices = new Map<string, Promise<number | null>>();
  const prepare = async (item: ItemInput, row: DataRow, mediaRoot: string): Promise<number | null> => {
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
  const indexOf = async (item: ItemInput, { row, mediaRoot }: SourcedRow): Promise<number | null> => {
    try {
      return await prepare(item, row, mediaRoot);
    } catch (error) {
      if (!(error instanceof HpsError) || error.exitCode !== 2) throw error;
      skip(error.code);
      return null;
    }
  };
  try {
    const prepared = await inWindows(rows, async (sourced) => {
      const { row } = sourced;
      const sides = row.kind === 'pair' ? [row.left, row.right] : [row.item];
      const found = await Promise.all(sides.map((side) => indexOf(side as ItemInput, sourced)));
      options.signal?.throwIfAborted();
      count();
      return found.every((index) => index !== null) ? { row, indices: found as number[] } : null;
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

/** Items in the order of the rows that name them first: which thread was done first must not matter. */
function inOrder(
  modality: Modality,
  inputs: readonly ContractInput[],
  items: readonly TrainingItem[],
  prepared: readonly ({ readonly row: DataRow; readonly indices: readonly number[] } | null)[],
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
  for (const each of prepared) {
    if (!each) continue;
    const [first, second] = each.indices.map(placeOf);
    if (each.row.kind === 'pair') pairs.push(pairExample(each.row, first, second, options.balance));
    else absolutes.push(absoluteExample(each.row, first, options));
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
