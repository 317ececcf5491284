import { readdirSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { ITEM_PARTS, type ItemPart, PARTS } from '../modality.js';

/** One file that is an item. */
export interface ItemFile {
  /** Its path from the folder that all of them lie in, with slashes. */
  readonly id: string;
  readonly path: string;
  readonly part: ItemPart;
}

/** Files that are the items themselves, instead of a file of rows that names them. */
export interface ItemFiles {
  /** What errors call them, as they were given. */
  readonly name: string;
  /** The folder that all of them lie in. */
  readonly root: string;
  /** In the order of their ids. */
  readonly files: readonly ItemFile[];
  /** Files that are no item of any kind. */
  readonly others: readonly string[];
}

const TEXT_FILE = /\.txt$/i;

/** What kind of item a file is by the end of its name; undefined for none. */
export const partOfFile = (name: string): ItemPart | undefined =>
  TEXT_FILE.test(name) ? 'text' : ITEM_PARTS.find((part) => PARTS[part].endings?.test(name));

/**
 * The items that are meant by paths, folders and patterns (`*`, `**`, `?`, `[…]`, `{a,b}`); null where one path is meant that is no
 * item, and so a file of rows or a stream. A folder stands for all files in it, those of its folders too, without hidden ones.
 *
 * @throws HpsError FILE_NOT_FOUND for what names nothing; USAGE for a file of rows among others
 */
export function itemFilesOf(given: readonly string[]): ItemFiles | null {
  const [first] = given;
  if (given.length === 1 && !isItems(first)) return null;
  const paths = [...new Set(given.flatMap(filesMeant))];
  const known = paths.map((path) => ({ path, part: partOfFile(path) }));
  const stray = given.find((path) => statOf(path)?.isFile() && partOfFile(path) === undefined);
  if (stray !== undefined) {
    throw new HpsError('USAGE', `${basename(stray)}: is no item, and stands among others`, {
      hint: 'Give one file of rows, or files and folders of pictures, texts (.txt), sounds or clips.',
      details: { file: basename(stray) },
    });
  }
  const root = commonFolder(given.length === 1 && statOf(first)?.isDirectory() ? [join(first, 'x')] : paths);
  const idOf = (path: string): string => relative(root, resolve(path)).split(sep).join('/');
  const files = known.flatMap(({ path, part }) => (part === undefined ? [] : [{ id: idOf(path), path, part }]));
  return {
    name: given.length === 1 ? first : `${given.length} inputs`,
    root,
    files: files.sort((a, b) => (a.id < b.id ? -1 : 1)),
    others: known.flatMap(({ path, part }) => (part === undefined ? [idOf(path)] : [])),
  };
}

function isItems(path: string): boolean {
  const stat = statOf(path);
  if (stat === undefined) return hasPattern(path);
  // A text by itself may be rows of any format, as its content tells.
  return stat.isDirectory() || (partOfFile(path) ?? 'text') !== 'text';
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function filesMeant(path: string): string[] {
  const stat = statOf(path);
  if (stat?.isDirectory()) return [...filesBelow(path)];
  if (stat !== undefined) return [path];
  const found = hasPattern(path) ? filesMatching(path) : [];
  if (found.length > 0) return found;
  throw new HpsError('FILE_NOT_FOUND', `${path}: ${hasPattern(path) ? 'no file matches' : 'no such file'}`, {
    hint: 'Check the path.',
    details: { file: path },
  });
}

/** Without hidden ones; links to folders are not followed. */
function* filesIn(folder: string, onFolder?: (path: string) => Generator<string>): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* onFolder?.(path) ?? [];
    else if (entry.isFile() || (entry.isSymbolicLink() && statOf(path)?.isFile())) yield path;
  }
}

function* filesBelow(folder: string): Generator<string> {
  let count = 0;
  const below = (path: string): Generator<string> => filesIn(path, below);
  for (const path of below(folder)) {
    if (++count > LIMITS.itemFiles) throw tooMany(folder);
    yield path;
  }
}

const tooMany = (folder: string): HpsError =>
  new HpsError('USAGE', `${basename(folder)}: holds more than ${LIMITS.itemFiles} files`, {
    hint: 'Give a file of rows that names them.',
    details: { limit: LIMITS.itemFiles },
  });

const PATTERN = /[*?[{]/;
const hasPattern = (path: string): boolean => PATTERN.test(path);

/** Files below the part of the path that has no pattern. */
function filesMatching(pattern: string): string[] {
  const steps = pattern.split('/');
  const fixed = steps.slice(0, steps.findIndex(hasPattern)).join('/');
  const folder = fixed === '' ? (pattern.startsWith('/') ? '/' : '.') : fixed;
  if (!statOf(folder)?.isDirectory()) return [];
  const rest = steps.slice(steps.findIndex(hasPattern));
  const matches = globExpression(rest.join('/'));
  const candidates = rest.length > 1 ? [...filesBelow(folder)] : [...filesIn(folder)];
  return candidates.filter((path) => matches.test(relative(folder, path).split(sep).join('/')));
}

/** A pattern of a shell as a regular expression over a path: `*` and `?` keep to one folder, `**` does not. */
function globExpression(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|\?|\[!?[^\]/]*\]|\{[^{}/]*\}|[\\^$.|+()[\]{}]/g, (piece) => {
    if (piece === '**/') return '(?:[^/]+/)*';
    if (piece === '**') return '.*';
    if (piece === '*') return '[^/]*';
    if (piece === '?') return '[^/]';
    if (piece.length > 1 && piece.startsWith('[')) return piece.replace(/^\[!/, '[^').replaceAll('\\', '\\\\');
    if (piece.length > 1 && piece.startsWith('{')) return `(?:${piece.slice(1, -1).split(',').map(escaped).join('|')})`;
    return escaped(piece);
  });
  return new RegExp(`^${source}$`, 'u');
}

const escaped = (text: string): string => text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&');

function commonFolder(paths: readonly string[]): string {
  const folders = paths.map((path) => dirname(resolve(path)).split(sep));
  const [first = ['']] = folders;
  let length = first.length;
  for (const folder of folders) while (first.slice(0, length).some((step, i) => step !== folder[i])) length--;
  return first.slice(0, length).join(sep) || sep;
}
