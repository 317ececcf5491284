import { ByteCursor } from '../bytes/cursor.js';
import { fileKind } from '../bytes/file-kind.js';
import { corruptFile, unsafeFile } from '../bytes/refusal.js';
import type { FileSource } from '../bytes/source.js';
import { checkStoredEntry, looksLikeZip, openZip, otherCrc, readEntry, type ZipEntry } from '../bytes/zip.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { CheckpointFormat, RawCheckpoint } from './format.js';
import type { TorchStorage } from './pickle/torch-values.js';
import { readTorchPickle, SAVE_STATE_DICT } from './torch-pickle.js';
import type { StorageBytes } from './torch-storage.js';
import { torchTree } from './torch-tree.js';

/** Small text records: `version`, `byteorder`. */
const TEXT_RECORD_BYTES = 64;

/** What `torch.save` has written since torch 1.6: a zip of stored records, `NAME/data.pkl` and `NAME/data/KEY`. */
export const torchZip: CheckpointFormat = {
  id: 'torch-zip',
  label: 'PyTorch (.pt, .pth, .ckpt, .bin)',
  sniff: looksLikeZip,
  open: async (source) => openTorchZip(source),
};

function openTorchZip(source: FileSource): RawCheckpoint {
  const entries = openZip(source);
  const folder = topFolder(source, entries);
  refuseTorchScript(source, entries, folder);
  refuseBigEndian(source, entries.get(`${folder}/byteorder`));

  const pickle = readEntry(source, entries.get(`${folder}/data.pkl`)!, LIMITS.pickleBytes);
  const cursor = new ByteCursor(pickle, source.name);
  const value = readTorchPickle(cursor);
  if (cursor.remaining > 0) throw unsafeFile(source.name, `${cursor.remaining} bytes follow the end of the pickle`);

  const located = new Map<string, StorageBytes>();
  const locate = (storage: TorchStorage): StorageBytes => {
    const name = `${folder}/data/${storage.key}`;
    const known = located.get(name);
    const bytes = known ?? storageRecord(source, name, entries.get(name));
    located.set(name, bytes);
    const expected = storage.numel * storage.elementBytes;
    if (bytes.source.byteLength !== expected) {
      throw corruptFile(
        source.name,
        `storage ${JSON.stringify(storage.key)} is said to take ${expected} bytes, its record has ${bytes.source.byteLength}`,
      );
    }
    return bytes;
  };
  const root = torchTree(value, source.name, locate);
  return {
    root,
    files: [source.path],
    ignored: [],
    close: () => source.close(),
  };
}

/** The one top folder, whatever its name, that holds `data.pkl`. */
function topFolder(source: FileSource, entries: ReadonlyMap<string, ZipEntry>): string {
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length > 1) throw unsafeFile(source.name, `holds ${pickles.length} files data.pkl`);
  if (pickles.length === 1) return pickles[0].slice(0, pickles[0].indexOf('/'));
  const { what, hint } = fileKind(source)!;
  throw new HpsError('CHECKPOINT_UNRECOGNISED', `${source.name}: ${what}`, {
    hint,
    details: { file: source.name, entries: [...entries.keys()].slice(0, 10) },
  });
}

function refuseTorchScript(source: FileSource, entries: ReadonlyMap<string, ZipEntry>, folder: string): void {
  const script =
    entries.has(`${folder}/constants.pkl`) || [...entries.keys()].some((name) => name.startsWith(`${folder}/code/`));
  if (script) throw unsafeFile(source.name, 'holds a TorchScript program, not a state dict', SAVE_STATE_DICT);
}

function refuseBigEndian(source: FileSource, entry: ZipEntry | undefined): void {
  const byteOrder =
    entry === undefined ? 'little' : Buffer.from(readEntry(source, entry, TEXT_RECORD_BYTES)).toString('latin1');
  if (byteOrder !== 'little') {
    throw new HpsError(
      'CHECKPOINT_UNSUPPORTED',
      `${source.name}: was saved with the byte order ${JSON.stringify(byteOrder)}, only little is read`,
      {
        hint: 'Load it with torch and save it again on a little-endian machine.',
        details: { file: source.name, byteOrder },
      },
    );
  }
}

function storageRecord(source: FileSource, name: string, entry: ZipEntry | undefined): StorageBytes {
  if (entry === undefined) throw corruptFile(source.name, `the record ${JSON.stringify(name)} of a storage is missing`);
  if (entry.method !== 'stored') {
    throw new HpsError(
      'CHECKPOINT_UNSUPPORTED',
      `${source.name}: the record ${JSON.stringify(name)} is compressed, which torch does not do`,
      {
        hint: 'Zip the folder again without compression (`zip -0`), or save the checkpoint again with torch.',
        details: { file: source.name, record: name },
      },
    );
  }
  let verified: Promise<void> | undefined;
  return {
    source: source.slice(entry.offset, entry.size),
    id: `${source.name}/${name}`,
    check: {
      crc32: entry.crc32,
      damaged: () => otherCrc(source, entry),
      verify: () => (verified ??= checkStoredEntry(source, entry)),
    },
  };
}
