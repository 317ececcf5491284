import { isUtf8 } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';
import { relative } from 'node:path';
import { crc32 } from 'node:zlib';
import type { ItemFile, ItemFiles } from '../../data/item-files.js';
import type { AbsoluteRow } from '../../data/rows.js';
import { idHash, isInShard, type Shard } from '../../data/shard.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { type Modality, partsOf } from '../../modality.js';
import type { InputProgress, InputRow } from './input-rows.js';

export interface ReadItemsOptions {
  readonly shard?: Shard;
  /** Of the models: a file is an item of the first part of one of them. */
  readonly modalities: readonly Modality[];
  /** Where paths of rows start. */
  readonly mediaRoot: string;
  readonly onWarning?: (warning: string) => void;
}

/** The files that a model of these modalities reads, and what is said of the rest. @throws HpsError DATA_INVALID for none */
export function readableItems(items: ItemFiles, modalities: readonly Modality[]): readonly ItemFile[] {
  const parts = new Set(modalities.map((modality) => partsOf(modality)[0]));
  const files = items.files.filter(({ part }) => parts.has(part));
  if (files.length > 0) return files;
  throw new HpsError('DATA_INVALID', `${items.name}: holds no ${[...parts].join(' and no ')}`, {
    hint: 'Pictures end in .jpg, .png, .bmp or .webp, texts in .txt, sounds in .wav, clips in .mp4 or .webm.',
    details: { parts: [...parts], files: items.files.length + items.others.length },
  });
}

/** A row for each file, in the order of their names; its id is the name. Files that no model reads are left out, which is said. */
export async function* readItemRows(
  items: ItemFiles,
  { shard, modalities, mediaRoot, onWarning }: ReadItemsOptions,
  progress: InputProgress,
): AsyncGenerator<InputRow[]> {
  const files = readableItems(items, modalities);
  const left = items.files.length + items.others.length - files.length;
  if (left > 0) {
    const example = items.others[0] ?? items.files.find((file) => !files.includes(file))!.id;
    onWarning?.(
      `${items.name}: ${left} file${left === 1 ? ' is' : 's are'} left out that no model here reads, such as ${example}.`,
    );
  }
  for (const [i, file] of files.entries()) {
    progress.rows++;
    if (shard && !isInShard(idHash(file.id), shard)) continue;
    yield [await rowOf(file, i + 1, mediaRoot)];
  }
}

async function rowOf({ id, path, part }: ItemFile, line: number, mediaRoot: string): Promise<InputRow> {
  try {
    const content = part === 'text' ? await readText(path) : relative(mediaRoot, path) || path;
    const row: AbsoluteRow = {
      kind: 'absolute',
      id,
      promptId: id,
      groups: new Map(),
      ratings: [],
      modality: part,
      item: { [part]: content },
    };
    return { line, crc: crc32(`${id}\n${content}`), row };
  } catch (error) {
    if (!(error instanceof HpsError)) throw error;
    return { line, crc: crc32(`${id}\n${error.code}`), error: { line, id, code: error.code, message: error.message } };
  }
}

async function readText(path: string): Promise<string> {
  const refuse = (code: 'DATA_INVALID' | 'FILE_UNREADABLE', rule: string, cause?: unknown) =>
    new HpsError(code, `is no text: ${rule}`, { hint: 'Give texts as UTF-8.', cause });
  const bytes = await stat(path).then(
    async ({ size }) => {
      if (size > LIMITS.rowBytes)
        throw refuse('DATA_INVALID', `it has ${size} bytes, and at most ${LIMITS.rowBytes} are read`);
      return readFile(path);
    },
    (error) => {
      throw refuse('FILE_UNREADABLE', 'it cannot be read', error);
    },
  );
  if (!isUtf8(bytes)) throw refuse('DATA_INVALID', 'it is not UTF-8');
  const text = bytes
    .toString()
    .replace(/^\uFEFF/, '')
    .trimEnd();
  if (text === '') throw refuse('DATA_INVALID', 'it is empty');
  return text;
}
