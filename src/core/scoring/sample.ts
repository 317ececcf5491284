import { realpath, stat } from 'node:fs/promises';
import { basename, resolve, sep } from 'node:path';
import { sha256Hex } from '../bytes/hash.js';
import { HpsError, systemErrorCode } from '../errors.js';
import type { MediaItem, MediaSource } from '../media/item.js';
import type { Modality } from '../onnx/manifest.js';

/** Bytes in memory instead of a file. */
export interface MediaBytes {
  readonly bytes: Uint8Array;
  /** What errors call it. */
  readonly name: string;
}

/** One item as a program or a row has it: a path (inline text for a model of text), or one of these for each part. */
export type ItemInput =
  | string
  | {
      readonly image?: string | MediaBytes;
      readonly text?: string;
      readonly audio?: string | MediaBytes;
      readonly video?: string | MediaBytes;
    };

type Part = 'image' | 'text' | 'audio' | 'video';

export interface ResolveOptions {
  readonly modality: Modality;
  /** The text of an item that has none of its own, where the model reads text beside another part. */
  readonly context?: string;
  /** Paths are taken from here, and must not lead out of it. Without it they are the caller's own. */
  readonly mediaRoot?: string;
}

export interface ResolvedItem {
  readonly media: MediaItem;
  /** Equal for equal content: files by device, inode, size and time of change, all else by hash. */
  readonly key: string;
}

export const partsOf = (modality: Modality): Part[] => modality.split('-') as Part[];

/**
 * What a model of this modality reads of an item.
 * @throws HpsError DATA_INVALID for a missing part, an address, or a path out of `mediaRoot`; FILE_NOT_FOUND, FILE_UNREADABLE
 */
export async function resolveItem(item: ItemInput, options: ResolveOptions): Promise<ResolvedItem> {
  const parts = partsOf(options.modality);
  const keys: string[] = [];
  const media: { -readonly [P in keyof MediaItem]: MediaItem[P] } = {};
  for (const part of parts) {
    const content = contentOf(item, part, parts, options.context);
    if (part === 'text') {
      media.text = content as string;
      keys.push(`text:${sha256Hex(Buffer.from(content as string))}`);
    } else {
      const { source, key } = await openSource(content, options.mediaRoot);
      media[part] = source;
      keys.push(`${part}:${key}`);
    }
  }
  return { media, key: keys.join('|') };
}

/** A string is the first part; the text beside it is the context. */
function contentOf(
  item: ItemInput,
  part: Part,
  parts: readonly Part[],
  context: string | undefined,
): string | MediaBytes {
  const own = typeof item === 'string' ? (part === parts[0] ? item : undefined) : item[part];
  const content = own ?? (part === 'text' && parts.length > 1 ? context : undefined);
  if (content !== undefined) return content;
  const rule = part === 'text' && parts.length > 1 ? 'no text and no context' : `no ${part}`;
  throw new HpsError('DATA_INVALID', `an item has ${rule}, and the model reads ${parts.join(' and ')}`, {
    hint: part === 'text' ? 'Give the row a context, or the item a text.' : `Give the item an object with "${part}".`,
    details: { missing: part },
  });
}

async function openSource(
  content: string | MediaBytes,
  root: string | undefined,
): Promise<{ source: MediaSource; key: string }> {
  if (typeof content !== 'string') return { source: content, key: sha256Hex(content.bytes) };
  refuseAddress(content);
  const path = root === undefined ? await realPath(content, content) : await pathInside(root, content);
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
  return { source: { path }, key: `${dev}:${ino}:${size}:${mtimeNs}` };
}

const ADDRESS = /^([a-z][a-z0-9+.-]+):\/{1,2}/i;

function refuseAddress(content: string): void {
  const scheme = ADDRESS.exec(content)?.[1].toLowerCase();
  if (scheme === undefined && !content.includes('\0')) return;
  if (scheme === undefined) throw invalidPath('a path', 'holds a NUL character', 'Correct the path.');
  throw invalidPath(
    `${scheme}://…`,
    'is a remote address, and fetching is not built into this version',
    'Download the file first, and give its path under --media-root.',
  );
}

async function realPath(path: string, given: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    const name = basename(given);
    if (systemErrorCode(cause) === 'ENOENT') {
      throw new HpsError('FILE_NOT_FOUND', `${name}: no such file`, {
        hint: 'Check the path; paths in rows are taken from --media-root.',
        details: { file: name },
        cause,
      });
    }
    throw new HpsError('FILE_UNREADABLE', `${name}: cannot be opened (${systemErrorCode(cause)})`, {
      hint: 'Check the path and its permissions.',
      details: { file: name },
      cause,
    });
  }
}

/** Looks at the name first, so that nothing outside is even asked for; then links are followed, so that none leads out. */
async function pathInside(root: string, given: string): Promise<string> {
  const named = resolve(root, given);
  assertInside(named, resolve(root), given);
  const path = await realPath(named, given);
  assertInside(path, await realPath(root, root), given);
  return path;
}

function assertInside(path: string, root: string, given: string): void {
  if (path === root || path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)) return;
  throw invalidPath(
    basename(given),
    'lies outside the media folder',
    'Give --media-root a folder that holds all media of the file.',
  );
}

const invalidPath = (name: string, rule: string, hint: string): HpsError =>
  new HpsError('DATA_INVALID', `${name}: ${rule}`, { hint, details: { file: name, rule } });
