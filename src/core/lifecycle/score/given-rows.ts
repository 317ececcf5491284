import { basename, dirname, resolve } from 'node:path';
import type { DataFormat } from '../../data/formats.js';
import { type ItemFiles, itemFilesOf } from '../../data/item-files.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { STANDARD_STREAM, type StandardStreams, withInput } from '../../data/row-files.js';
import type { Shard } from '../../data/shard.js';
import type { Modality } from '../../modality.js';
import { type InputProgress, type InputRow, readInputRows } from './input-rows.js';
import { readableItems, readItemRows } from './item-rows.js';

/** What rows come from: one file or a stream of them, or files that are items themselves. */
export interface GivenRows {
  /** What errors call it. */
  readonly name: string;
  readonly path: string | null;
  readonly items: ItemFiles | null;
  /** Where paths of rows start. */
  readonly mediaRoot: string;
  /** Files that no output may replace. */
  readonly files: readonly string[];
}

/**
 * @param input - a path, `-`, or several paths, folders and patterns
 * @throws HpsError as `itemFilesOf`
 */
export function givenRows(input: string | readonly string[], mediaRoot: string | null | undefined): GivenRows {
  const given = typeof input === 'string' ? [input] : input;
  const items = itemFilesOf(given);
  if (items) return { name: items.name, path: null, items, mediaRoot: mediaRoot ?? items.root, files: [] };
  const [path] = given;
  const isStream = path === STANDARD_STREAM;
  return {
    name: isStream ? 'stdin' : basename(path),
    path,
    items: null,
    mediaRoot: mediaRoot ?? (isStream ? '.' : dirname(resolve(path))),
    files: isStream ? [] : [path],
  };
}

export interface ReadGivenOptions extends LabelLayout {
  readonly from?: DataFormat;
  readonly shard?: Shard;
  readonly streams?: StandardStreams;
  /** Of the models that the rows are for. */
  readonly modalities: readonly Modality[];
  readonly signal?: AbortSignal;
  readonly onWarning?: (warning: string) => void;
}

/** How much there is to read, where that is known: bytes of a file, or the very number of rows. */
export interface Extent {
  readonly bytes: number | null;
  readonly rows: number | null;
}

/** Runs `use` over the rows, in their order and several at a time. @throws HpsError as `readInputRows` and `readItemRows` */
export async function withGivenRows<T>(
  { path, items, mediaRoot }: GivenRows,
  options: ReadGivenOptions,
  progress: InputProgress,
  use: (rows: AsyncGenerator<InputRow[]>, extent: Extent) => Promise<T>,
): Promise<T> {
  const { from, shard, streams, modalities, signal, layout, map } = options;
  if (items) {
    const rows = readItemRows(items, { ...options, mediaRoot }, progress);
    return use(rows, { bytes: null, rows: readableItems(items, modalities).length });
  }
  return withInput(
    path!,
    streams,
    (data) =>
      use(readInputRows(data, { format: from, shard, layout, map }, progress), {
        bytes: data.source?.byteLength ?? null,
        rows: null,
      }),
    signal,
  );
}
