import { constants, inflateRawSync } from 'node:zlib';
import { corruptFile } from '../bytes/refusal.js';
import { type ByteSource, type FileSource, MemorySource } from '../bytes/source.js';
import { checkStoredEntry, looksLikeZip, openZip, readEntry, type ZipEntry } from '../bytes/zip.js';
import { LIMITS } from '../limits.js';
import type { CheckpointFormat, CheckpointNode, RawCheckpoint } from './format.js';
import { npyTensor, readNpyHeader } from './npy.js';

const SUFFIX = '.npy';
/** Positions in a zip's local header. */
const NAME_LENGTH_AT = 26;
const NAME_AT = 30;

/**
 * NumPy's archive of named arrays. Stored arrays are read by ranges; a compressed one is inflated whole when it is read,
 * as it cannot be entered in the middle.
 */
export const npz: CheckpointFormat = {
  id: 'npz',
  label: 'NumPy .npz',
  sniff,
  async open(source: FileSource): Promise<RawCheckpoint> {
    const nodes = new Map<string, CheckpointNode>();
    const ignored: { name: string; reason: string }[] = [];
    for (const entry of openZip(source).values()) {
      if (!entry.name.endsWith(SUFFIX)) {
        ignored.push({ name: entry.name, reason: 'not an array' });
        continue;
      }
      const name = entry.name.slice(0, -SUFFIX.length);
      const node = arrayNode(source, entry, name);
      if (node) nodes.set(name, node);
      else ignored.push({ name, reason: 'not an array of numbers' });
    }
    return {
      root: { kind: 'map', entries: nodes },
      files: [source.path],
      ignored,
      close: () => source.close(),
    };
  },
};

/** A zip whose first entry is an array. */
function sniff(head: Uint8Array): boolean {
  if (!looksLikeZip(head) || head.byteLength < NAME_AT) return false;
  const nameEnd = NAME_AT + new DataView(head.buffer, head.byteOffset).getUint16(NAME_LENGTH_AT, true);
  return Buffer.from(head.subarray(NAME_AT, nameEnd)).toString('latin1').endsWith(SUFFIX);
}

/** Null for an array that holds no numbers. */
function arrayNode(source: ByteSource, entry: ZipEntry, name: string): CheckpointNode | null {
  const what = `${source.name}: ${entry.name}`;
  const header = readNpyHeader(readHead(source, entry, what), entry.size, what);
  const { dtype, dataOffset } = header;
  if (dtype === null) return null;
  const openData = async () => (await openEntry(source, entry)).slice(dataOffset, entry.size - dataOffset);
  const verify = async (): Promise<void> => void (await openEntry(source, entry));
  return { kind: 'tensor', tensor: { ...npyTensor(name, { ...header, dtype }, openData), verify } };
}

/** The bytes of an entry, compared with its CRC-32. */
async function openEntry(source: ByteSource, entry: ZipEntry): Promise<ByteSource> {
  if (entry.method !== 'stored')
    return new MemorySource(readEntry(source, entry, LIMITS.zipInflatedBytes), source.name);
  await checkStoredEntry(source, entry);
  return source.slice(entry.offset, entry.size);
}

/** The first bytes of an entry, once inflated: enough for its header. */
function readHead(source: ByteSource, entry: ZipEntry, what: string): Uint8Array {
  // Deflate can store bytes as they are, at five bytes a block more, but never much longer.
  const length = Math.min(entry.compressedSize, LIMITS.npyHeaderBytes + 64);
  const raw = source.readSync(entry.offset, length);
  if (entry.method === 'stored') return raw;
  try {
    // Z_SYNC_FLUSH takes input that ends early; deflate expands at most 1032 times.
    return inflateRawSync(raw, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 1032 * raw.byteLength + 1024 });
  } catch {
    throw corruptFile(what, 'its compressed data are damaged');
  }
}
