import { createHash } from 'node:crypto';
import { opendir } from 'node:fs/promises';
import { basename, extname, join, relative, sep } from 'node:path';
import { Random } from '../bytes/random.js';
import { HpsError, systemErrorCode } from '../errors.js';
import type { SynthModality } from './modality.js';

/** What comparisons are made of: a clean item, and the cluster that all of its comparisons share. */
export interface Source<T> {
  /** Also part of file names: letters, digits, `-`, `.` and `_`. */
  readonly id: string;
  readonly clean: T;
}

/** A file that could not be a source, and why. */
export interface SkippedFile {
  readonly file: string;
  readonly rule: string;
}

/** Sources of a modality's own making, without end: the same for the same seed, whatever else is drawn. */
export async function* drawSources<T>(modality: SynthModality<T>, seed: number): AsyncGenerator<Source<T>> {
  for (let index = 0; ; index++) {
    const id = `${modality.id}-${seed}-${String(index).padStart(5, '0')}`;
    yield { id, clean: modality.draw(new Random(`synth:${id}`)) };
  }
}

/** Sources from files; a cluster is named after its path within the folder, whatever the seed. */
export async function* readSources<T>(
  modality: SynthModality<T>,
  folder: string,
  paths: readonly string[],
): AsyncGenerator<Source<T>> {
  for (const path of paths) {
    yield { id: `${modality.id}-${pathId(relative(folder, path))}`, clean: await modality.read(path) };
  }
}

/**
 * Files of a folder that can be sources, in an order drawn from the seed. Each is read once to know that it can be, and is
 * read again when its turn comes: memory holds one at a time.
 *
 * @throws HpsError FILE_NOT_FOUND or FILE_UNREADABLE for the folder; BACKEND_UNAVAILABLE where clips cannot be decoded
 */
export async function findUsableFiles(
  modality: SynthModality<unknown>,
  folder: string,
  { seed, needed }: { readonly seed: number; readonly needed: number },
): Promise<{ readonly paths: readonly string[]; readonly skipped: readonly SkippedFile[] }> {
  const files = await findFiles(folder, modality.endings);
  const order = new Random(`synth:${seed}:${modality.id}:files`).permutation(files.length);
  const paths: string[] = [];
  const skipped: SkippedFile[] = [];
  for (const i of order) {
    if (paths.length === needed) break;
    const path = files[i];
    try {
      await modality.read(path);
      paths.push(path);
    } catch (error) {
      if (!(error instanceof HpsError) || error.code === 'BACKEND_UNAVAILABLE') throw error;
      skipped.push({ file: basename(path), rule: error.message });
    }
  }
  return { paths, skipped };
}

/**
 * Regular files under a folder with one of these endings, in the order of their names. Links are not followed.
 * @throws HpsError FILE_NOT_FOUND or FILE_UNREADABLE
 */
export async function findFiles(folder: string, endings: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const entry of await opendir(folder, { recursive: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && endings.includes(extname(entry.name).toLowerCase())) found.push(path);
    }
  } catch (cause) {
    throw unreadableFolder(folder, cause);
  }
  return found.sort((a, b) => (a < b ? -1 : 1));
}

const ID_CHARACTERS = 40;

/** The path in the characters of an id, and the start of its hash, since different paths may look alike then. */
function pathId(path: string): string {
  const portable = path.split(sep).join('/');
  const readable = portable
    .replace(/\.[^.]*$/, '')
    .replace(/[^A-Za-z0-9_-]+/g, '_')
    .slice(-ID_CHARACTERS);
  return `${readable}-${createHash('sha256').update(portable).digest('hex').slice(0, 8)}`;
}

function unreadableFolder(folder: string, cause: unknown): HpsError {
  const name = basename(folder);
  const missing = systemErrorCode(cause) === 'ENOENT';
  const rule = missing ? 'does not exist' : systemErrorCode(cause) === 'ENOTDIR' ? 'is not a folder' : 'cannot be read';
  return new HpsError(missing ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE', `${name}: ${rule}`, {
    hint: 'Give `source` the path of a folder with pictures, texts or sounds.',
    details: { file: name, rule },
    cause,
  });
}
