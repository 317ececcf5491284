import { realpath, stat } from 'node:fs/promises';
import { basename, isAbsolute, resolve, sep } from 'node:path';
import { sha256Hex } from '../bytes/hash.js';
import { HpsError, systemErrorCode } from '../errors.js';
import type { ChatMessage, MediaItem, MediaSource } from '../media/item.js';
import { schemeOf } from '../media/remote/location.js';
import type { RemoteStore } from '../media/remote/store.js';
import { type ItemPart, type Modality, PARTS, partsOf } from '../modality.js';
import { inlineMedia, isInline } from './inline-media.js';

/** Bytes in memory instead of a file. */
export interface MediaBytes {
  readonly bytes: Uint8Array;
  /** What errors call it. */
  readonly name: string;
}

/** One item as a program or a row has it: a path or a `data:` URL (inline text for a model of text), one of these for each part, or a conversation. */
export type ItemInput =
  | string
  | {
      readonly image?: string | MediaBytes;
      readonly text?: string;
      readonly audio?: string | MediaBytes;
      readonly video?: string | MediaBytes;
      readonly messages?: readonly ChatMessage[];
    };

export interface ResolveOptions {
  readonly modality: Modality;
  /** The text of an item that has none of its own, where the model reads text beside another part. */
  readonly context?: string;
  /** Whether a text model reads the context of an item before its text. */
  readonly readsContext?: boolean;
  /** Paths are taken from here, and must not lead out of it. Without it they are the caller's own; null refuses them all. */
  readonly mediaRoot?: string | null;
  /** Fetches what addresses name; without it they are refused. */
  readonly remote?: RemoteStore;
  /** Holds files that were read before their turn. */
  readonly ahead?: { contentOf(name: string): Uint8Array | undefined };
}

export interface ResolvedItem {
  readonly media: MediaItem;
  /** Equal for equal content: files by device, inode, size and time of change, all else by hash. */
  readonly key: string;
  /** Call it when the media have been read: fetched files may then go. */
  release(): void;
}

/**
 * What a model of this modality reads of an item.
 * @throws HpsError DATA_INVALID for a missing part, or a path out of `mediaRoot`; FILE_NOT_FOUND, FILE_UNREADABLE; for an
 *   address REMOTE_REFUSED, and as `RemoteStore.fetch`
 */
export async function resolveItem(item: ItemInput, options: ResolveOptions): Promise<ResolvedItem> {
  if (options.modality === 'text') return resolveText(item, options);
  const parts = partsOf(options.modality);
  // Before anything is fetched, so that a part that is missing leaves nothing behind.
  const contents = parts.map((part) => contentOf(item, part, parts, options.context));
  const opened = await Promise.all(
    contents.map((content, i) => {
      const part = parts[i];
      return part === 'text' ? inlineText(content as string) : openMedia(content, part, options);
    }),
  );
  const before = options.readsContext ? options.context : undefined;
  const sources = opened.map(({ source }, i) => [parts[i], source] as const);
  const keys = opened.map(({ key }, i) => `${parts[i]}:${key}`);
  return {
    media: Object.fromEntries(before === undefined ? sources : [...sources, ['context', before]]),
    key: (before === undefined ? keys : [...keys, `context:${inlineText(before).key}`]).join('|'),
    release: () => {
      for (const { release } of opened) release?.();
    },
  };
}

/** What a model of text reads of an item, as `resolveItem`. @throws HpsError DATA_INVALID for an item without a text */
export function resolveText(
  item: ItemInput,
  { context, readsContext }: Pick<ResolveOptions, 'context' | 'readsContext'>,
): ResolvedItem {
  const messages = typeof item === 'string' ? undefined : item.messages;
  if (messages) return { media: { messages }, key: `messages:${keyOf(JSON.stringify(messages))}`, release };
  const text = contentOf(item, 'text', ['text'], context) as string;
  if (!readsContext || context === undefined) return { media: { text }, key: `text:${keyOf(text)}`, release };
  return { media: { text, context }, key: `text:${keyOf(text)}|context:${keyOf(context)}`, release };
}

/** Nothing was fetched. */
const release = (): void => undefined;

/** A string is the first part; the text beside it is the context. */
function contentOf(
  item: ItemInput,
  part: ItemPart,
  parts: readonly ItemPart[],
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

interface OpenedPart<T> {
  readonly source: T;
  readonly key: string;
  readonly release?: () => void;
}

const inlineText = (text: string): OpenedPart<string> => ({ source: text, key: keyOf(text) });

/** A text up to this length is its own key: no hash is shorter to make or to keep. */
const OWN_KEY_CHARACTERS = 256;

/** Begins with a length, which no hash does. */
const keyOf = (text: string): string =>
  text.length <= OWN_KEY_CHARACTERS ? `${text.length}:${text}` : sha256Hex(Buffer.from(text));

/** A text where a file is due is told as one: no path has several words and no ending. */
async function openMedia(
  content: string | MediaBytes,
  part: Exclude<ItemPart, 'text'>,
  options: ResolveOptions,
): Promise<OpenedPart<MediaSource>> {
  try {
    return await openSource(content, options);
  } catch (error) {
    const isText = typeof content === 'string' && /\s/.test(content) && !PARTS[part].endings.test(content);
    if (!isText || !(error instanceof HpsError) || error.code !== 'FILE_NOT_FOUND') throw error;
    throw new HpsError('FILE_NOT_FOUND', `the row is text, the model reads ${PLURAL[part]}`, {
      hint: `Give the path of a file, such as a${PARTS[part].ending}, or a model that reads text.`,
      details: { part },
      cause: error,
    });
  }
}

const PLURAL = { image: 'images', audio: 'audio', video: 'videos' } as const;

async function openSource(
  given: string | MediaBytes,
  { mediaRoot, remote, ahead }: ResolveOptions,
): Promise<OpenedPart<MediaSource>> {
  const content = typeof given === 'string' && isInline(given) ? inlineMedia(given) : given;
  if (typeof content !== 'string') return { source: content, key: sha256Hex(content.bytes) };
  const scheme = schemeOf(content);
  if (scheme !== null) return openRemote(content, scheme, remote);
  if (content.includes('\0')) throw invalidPath('a path', 'holds a NUL character', 'Correct the path.');
  if (mediaRoot === null) throw refusedPath(content);
  const path = await resolvePath(content, mediaRoot);
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
  const bytes = ahead?.contentOf(content);
  return { source: bytes ? { bytes, name: basename(path) } : { path }, key: `${dev}:${ino}:${size}:${mtimeNs}` };
}

/** Where a path of a row leads. @throws HpsError DATA_INVALID for one out of `mediaRoot`, FILE_NOT_FOUND or FILE_UNREADABLE */
export const resolvePath = (path: string, mediaRoot: string | undefined): Promise<string> =>
  mediaRoot === undefined ? realPath(path, path, null) : pathInside(mediaRoot, path);

async function openRemote(
  address: string,
  scheme: string,
  remote: RemoteStore | undefined,
): Promise<OpenedPart<MediaSource>> {
  if (!remote) {
    const rule = 'is an address, and none is fetched unless it is allowed';
    throw new HpsError('REMOTE_REFUSED', `${scheme}://…: ${rule}`, {
      hint: 'Allow its host or bucket (`remote.hosts`, `remote.buckets`), or give the path of a file.',
      details: { scheme, rule },
    });
  }
  const { source, sha256, release } = await remote.fetch(address);
  return { source, key: sha256, release };
}

/** A path of a row is named as the row has it, but where it starts at the root of the machine; of the folder only the name is said. */
function notFound(given: string, root: string | null): string {
  if (isAbsolute(given)) return `${basename(given)}: no such file`;
  return `${given}: no such file${root === null ? '' : ` in the folder ${basename(resolve(root)) || '/'}`}`;
}

/** @param root - the folder that `given` starts at; null for the working directory */
async function realPath(path: string, given: string, root: string | null): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    const name = basename(given);
    if (systemErrorCode(cause) === 'ENOENT') {
      throw new HpsError('FILE_NOT_FOUND', notFound(given, root), {
        hint: 'Check the path; paths in rows are taken from `mediaRoot`.',
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
  const path = await realPath(named, given, root);
  assertInside(path, await realPath(root, root, null), given);
  return path;
}

function assertInside(path: string, root: string, given: string): void {
  if (path === root || path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)) return;
  throw invalidPath(
    basename(given),
    'lies outside the media folder',
    'Give `mediaRoot` a folder that holds all media of the file.',
  );
}

const refusedPath = (path: string): HpsError =>
  new HpsError('ACCESS_DENIED', `${basename(path)}: no files are read here`, {
    hint: 'Send the bytes themselves, or let a folder be read (`mediaRoot`).',
    details: { file: basename(path) },
  });

const invalidPath = (name: string, rule: string, hint: string): HpsError =>
  new HpsError('DATA_INVALID', `${name}: ${rule}`, { hint, details: { file: name, rule } });
