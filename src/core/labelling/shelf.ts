import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { sha256Hex } from '../bytes/hash.js';
import type { Item, PairRow, Turn } from '../data/rows.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { isWav } from '../media/audio/wav.js';
import { decodeImage } from '../media/image/decode.js';
import { sniffImage } from '../media/image/format.js';
import { mediaName, readMedia } from '../media/read-media.js';
import { invalidMedia } from '../media/refusal.js';
import type { RemoteStore } from '../media/remote/store.js';
import { sniffVideo } from '../media/video/format.js';
import { ITEM_PARTS, type ItemPart, partsOf } from '../modality.js';
import { resolveItem } from '../samples/resolve.js';
import { modalityOf } from '../samples/row-modality.js';
import type { ShownPart, ShownSide } from './wire.js';

export type MediaPart = Exclude<ItemPart, 'text'>;

export interface ShownPair {
  readonly left: ShownSide;
  readonly right: ShownSide;
}

/** A file that pages may ask for, by its hash and by nothing else. */
interface Shelved {
  readonly part: MediaPart;
  /** As the row names it. */
  readonly content: string;
  /** Of the content when it was looked at. */
  readonly key: string;
  readonly type: string;
  readonly sha256: string;
}

export interface OpenMedia {
  readonly type: string;
  readonly byteLength: number;
  /** @param end - the last byte that is wanted */
  read(start: number, end: number): Readable;
  release(): void;
}

const MOST_BYTES: Readonly<Record<MediaPart, number>> = {
  image: LIMITS.imageBytes,
  audio: LIMITS.audioBytes,
  video: LIMITS.videoBytes,
};

/** The media of a session: each is read, decoded and hashed before anybody sees it, and found again by its hash. */
export class Shelf {
  private readonly byHash = new Map<string, Shelved>();
  private readonly byKey = new Map<string, Promise<Shelved>>();

  constructor(private readonly options: { readonly mediaRoot: string | null; readonly remote?: RemoteStore }) {}

  /**
   * What a page shows of a pair.
   * @throws HpsError as `resolveItem`, and MEDIA_INVALID for what is no medium that a page can show
   */
  async show(row: PairRow): Promise<ShownPair> {
    const [left, right] = await Promise.all([row.left, row.right].map((item) => this.side(item, row)));
    return { left, right };
  }

  /** @throws HpsError FILE_NOT_FOUND where there is none of this hash, or it is not what it was any more */
  async open(sha256: string): Promise<OpenMedia> {
    const shelved = this.byHash.get(sha256);
    if (!shelved) throw gone();
    const { part, content, key, type } = shelved;
    const resolved = await this.resolve(part, content);
    const source = resolved.media[part]!;
    if (resolved.key !== key) {
      resolved.release();
      throw gone();
    }
    if ('bytes' in source) {
      const { bytes } = source;
      return {
        type,
        byteLength: bytes.byteLength,
        read: (start, end) => Readable.from([bytes.subarray(start, end + 1)]),
        release: resolved.release,
      };
    }
    return {
      type,
      byteLength: Number(key.split(':').at(-2)),
      read: (start, end) => createReadStream(source.path, { start, end }),
      release: resolved.release,
    };
  }

  /** All bytes of a medium, and their content type. */
  async read(sha256: string): Promise<{ readonly type: string; readonly bytes: Uint8Array }> {
    const { part, content, type } = this.byHash.get(sha256)!;
    const resolved = await this.resolve(part, content);
    try {
      return { type, bytes: await readMedia(resolved.media[part]!, MOST_BYTES[part]) };
    } finally {
      resolved.release();
    }
  }

  private async side(item: Item, row: PairRow): Promise<ShownSide> {
    const parts: ShownPart[] = [];
    for (const [part, content] of contentsOf(item, row)) {
      if (part === 'messages') parts.push({ kind: 'messages', messages: content });
      else if (part === 'text') parts.push({ kind: 'text', text: content });
      else parts.push({ kind: part, media: (await this.shelve(part, content)).sha256 });
    }
    return { parts, sha256: hashOf(parts) };
  }

  private async shelve(part: MediaPart, content: string): Promise<Shelved> {
    const { key, media, release } = await this.resolve(part, content);
    try {
      let shelved = this.byKey.get(key);
      if (!shelved) {
        shelved = lookAt(part, media[part]!).then((facts) => ({ part, content, key, ...facts }));
        this.byKey.set(key, shelved);
        shelved.catch(() => this.byKey.delete(key));
      }
      const found = await shelved;
      this.byHash.set(found.sha256, found);
      return found;
    } finally {
      release();
    }
  }

  private resolve(part: MediaPart, content: string) {
    return resolveItem({ [part]: content }, { modality: part, ...this.options, mediaRoot: this.options.mediaRoot });
  }
}

const gone = (): HpsError =>
  new HpsError('FILE_NOT_FOUND', 'there is no such medium, or it has changed since it was looked at', {
    hint: 'Load the page again.',
  });

type Content = [part: 'messages', content: readonly Turn[]] | [part: ItemPart, content: string];

/** What an item consists of; one that is a string is what its row's modality begins with. */
function contentsOf(item: Item, row: PairRow): Content[] {
  if (typeof item === 'string') return [[partsOf(modalityOf(row))[0], item]];
  if (item.messages) return [['messages', item.messages]];
  const pictures = (item.images ?? []).map((image): Content => ['image', image]);
  const parts = ITEM_PARTS.flatMap((part): Content[] => (item[part] === undefined ? [] : [[part, item[part]]]));
  return [...pictures, ...parts];
}

const hashOf = (parts: readonly ShownPart[]): string => {
  const hashes = parts.map((part) =>
    'media' in part ? part.media : sha256Hex(Buffer.from('text' in part ? part.text : JSON.stringify(part.messages))),
  );
  return hashes.length === 1 ? hashes[0] : sha256Hex(Buffer.from(hashes.join('\n')));
};

/** Reads all of it: what does not decode is not shown, and its type is what its bytes are, whatever it is called. */
async function lookAt(
  part: MediaPart,
  source: Parameters<typeof readMedia>[0],
): Promise<{ type: string; sha256: string }> {
  const bytes = await readMedia(source, MOST_BYTES[part]);
  const name = mediaName(source);
  return { type: await typeOf(part, bytes, name), sha256: sha256Hex(bytes) };
}

async function typeOf(part: MediaPart, bytes: Uint8Array, name: string): Promise<string> {
  if (part === 'image') {
    await decodeImage(bytes, name);
    return `image/${sniffImage(bytes)}`;
  }
  if (part === 'audio') {
    if (isWav(bytes)) return 'audio/wav';
    throw invalidMedia(name, 'is not a WAV file', 'Convert it to one.');
  }
  const format = sniffVideo(bytes);
  if (format) return `video/${format}`;
  throw invalidMedia(name, 'is not an MP4 or WebM clip', 'Convert it to one of these.');
}
