import { SourceCursor } from '../bytes/cursor.js';
import { corruptFile, unsafeFile } from '../bytes/refusal.js';
import type { FileSource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { CheckpointFormat, RawCheckpoint } from './format.js';
import { TorchStorage, TorchTensor } from './pickle/torch-values.js';
import { PickleDict, PickleList, PickleTuple, type PickleValue } from './pickle/values.js';
import { readTorchPickle, SAVE_STATE_DICT } from './torch-pickle.js';
import type { StorageBytes } from './torch-storage.js';
import { torchTree } from './torch-tree.js';

/** torch.serialization.MAGIC_NUMBER. */
const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;
/** Each storage follows its length: a 64-bit count of elements. */
const LENGTH_BYTES = 8;

/**
 * What `torch.save` wrote before torch 1.6, and writes with `_use_new_zipfile_serialization=False`: five pickles (magic number,
 * protocol version, system, object, storage keys), then the storages in the order of their keys.
 * Any pickle is taken, so that a hostile one is refused by the name of what it asks for.
 */
export const torchLegacy: CheckpointFormat = {
  id: 'torch-legacy',
  label: 'PyTorch before 1.6 (.pt, .pth)',
  sniff: (head) => isBinaryPickle(head) || isTextPickle(head),
  open: async (source) => openTorchLegacy(source),
};

const isBinaryPickle = (head: Uint8Array): boolean => head[0] === 0x80 && head[1] >= 2 && head[1] <= 5;

/** Protocol 0 or 1: a name to import, or the start of a dict, list or instance. */
const isTextPickle = (head: Uint8Array): boolean =>
  /^(c[\w.]+\n[\w.]+\n|\((?:[dlt]p?\d*\n|i[\w.]+\n)|[}\]]q)/.test(
    Buffer.from(head.subarray(0, 256)).toString('latin1'),
  );

function openTorchLegacy(source: FileSource): RawCheckpoint {
  const cursor = new SourceCursor(source, LIMITS.pickleBytes);
  if (!isBinaryPickle(cursor.bytes))
    throw unsafeFile(source.name, 'a text pickle (protocol 0 or 1), which torch never writes', SAVE_STATE_DICT);
  const magic = readTorchPickle(cursor);
  if (magic !== MAGIC_NUMBER) throw notTorch(source);
  const version = readTorchPickle(cursor);
  if (version !== PROTOCOL_VERSION)
    throw corruptFile(source.name, `torch's protocol version is ${String(version)}, expected ${PROTOCOL_VERSION}`);
  refuseBigEndian(source, readTorchPickle(cursor));
  const value = readTorchPickle(cursor);
  const keys = readTorchPickle(cursor);

  const storages = collectStorages(value, source.name);
  const located = locateStorages(source, cursor.offset, storageKeys(source, keys), storages);
  const root = torchTree(value, source.name, (storage) => located.get(storage.key)!);
  return { root, files: [source.path], ignored: [], close: () => source.close() };
}

function notTorch(source: FileSource): HpsError {
  return new HpsError('CHECKPOINT_UNSUPPORTED', `${source.name}: a plain pickle, not a file of torch.save`, {
    hint: 'Save the tensors with torch.save, or as safetensors.',
    details: { file: source.name },
  });
}

function refuseBigEndian(source: FileSource, system: PickleValue): void {
  const littleEndian = system instanceof PickleDict ? system.entries.get('little_endian') : undefined;
  if (littleEndian === true) return;
  if (littleEndian !== false) throw corruptFile(source.name, 'the description of the system that saved it is missing');
  throw new HpsError('CHECKPOINT_UNSUPPORTED', `${source.name}: was saved on a big-endian machine`, {
    hint: 'Load it with torch and save it again on a little-endian machine.',
    details: { file: source.name },
  });
}

function storageKeys(source: FileSource, keys: PickleValue): string[] {
  const items = keys instanceof PickleList ? keys.items : [null];
  const names = items.filter((key) => typeof key === 'string');
  if (names.length !== items.length || new Set(names).size !== names.length) {
    throw corruptFile(source.name, 'the list of storage keys is no list of different texts');
  }
  return names;
}

/** Every storage the object refers to, by key. Needed before the tree is made: lengths in the file count elements of its dtype. */
function collectStorages(root: PickleValue, file: string): Map<string, TorchStorage> {
  const storages = new Map<string, TorchStorage>();
  const seen = new Set<PickleValue>();
  const pending: PickleValue[] = [root];
  while (pending.length > 0) {
    const value = pending.pop()!;
    const storage = value instanceof TorchTensor ? value.storage : value;
    if (storage instanceof TorchStorage) {
      const known = storages.get(storage.key);
      if (known && (known.numel !== storage.numel || known.elementBytes !== storage.elementBytes)) {
        throw corruptFile(file, `storage ${JSON.stringify(storage.key)} is described in two ways`);
      }
      storages.set(storage.key, storage);
      continue;
    }
    if (seen.has(value)) continue;
    seen.add(value);
    for (const child of childrenOf(value)) pending.push(child);
  }
  return storages;
}

function childrenOf(value: PickleValue): Iterable<PickleValue> {
  if (value instanceof PickleDict) return value.entries.values();
  return value instanceof PickleList || value instanceof PickleTuple ? value.items : [];
}

function locateStorages(
  source: FileSource,
  start: number,
  keys: readonly string[],
  storages: ReadonlyMap<string, TorchStorage>,
): Map<string, StorageBytes> {
  const located = new Map<string, StorageBytes>();
  let offset = start;
  for (const key of keys) {
    const storage = storages.get(key);
    if (storage === undefined) throw corruptFile(source.name, `storage ${JSON.stringify(key)} belongs to no tensor`);
    const byteLength = storage.numel * storage.elementBytes;
    if (offset + LENGTH_BYTES + byteLength > source.byteLength) {
      throw corruptFile(
        source.name,
        `storage ${JSON.stringify(key)} of ${byteLength} bytes goes on after the end of the file`,
      );
    }
    const stated = Buffer.from(source.readSync(offset, LENGTH_BYTES)).readBigInt64LE();
    if (stated !== BigInt(storage.numel)) {
      throw corruptFile(
        source.name,
        `storage ${JSON.stringify(key)} has ${stated} elements, the pickle says ${storage.numel}`,
      );
    }
    located.set(key, { source: source.slice(offset + LENGTH_BYTES, byteLength), id: `${source.name}/${key}` });
    offset += LENGTH_BYTES + byteLength;
  }
  for (const key of storages.keys()) {
    if (!located.has(key)) throw corruptFile(source.name, `storage ${JSON.stringify(key)} is not in the file`);
  }
  if (offset !== source.byteLength)
    throw unsafeFile(source.name, `${source.byteLength - offset} bytes follow the last storage`);
  return located;
}
