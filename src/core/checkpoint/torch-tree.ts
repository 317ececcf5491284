import { unsafeFile } from '../bytes/refusal.js';
import { LIMITS } from '../limits.js';
import type { CheckpointNode } from './format.js';
import { type TorchStorage, TorchTensor } from './pickle/torch-values.js';
import { describe } from './pickle/torch-vocabulary.js';
import { PickleDict, PickleList, PickleTuple, type PickleValue } from './pickle/values.js';
import { type StorageBytes, viewTensor } from './torch-storage.js';

/**
 * The tree a torch pickle describes, its tensors bound to the bytes of their storages.
 * A value met twice is counted twice, so a pickle that refers to itself, or doubles itself, ends at a limit.
 * @throws HpsError CHECKPOINT_UNSAFE at a limit, and what `viewTensor` throws
 */
export function torchTree(
  root: PickleValue,
  file: string,
  locate: (storage: TorchStorage) => StorageBytes,
): CheckpointNode {
  let nodes = 0;

  const convert = (value: PickleValue, path: string, depth: number): CheckpointNode => {
    if (depth > LIMITS.pickleDepth) throw unsafeFile(file, `the pickle nests deeper than ${LIMITS.pickleDepth}`);
    if (++nodes > LIMITS.pickleOpcodes)
      throw unsafeFile(file, `the pickle expands to over ${LIMITS.pickleOpcodes} values`);
    if (value instanceof TorchTensor) return { kind: 'tensor', tensor: viewTensor(path, value, locate(value.storage)) };
    if (value instanceof PickleDict) return convertDict(value, path, depth);
    if (value instanceof PickleList || value instanceof PickleTuple) {
      return { kind: 'list', items: value.items.map((item, i) => convert(item, join(path, String(i)), depth + 1)) };
    }
    if (value === null || typeof value === 'boolean' || typeof value === 'string') return { kind: 'value', value };
    if (typeof value === 'number' && Number.isFinite(value)) return { kind: 'value', value };
    return { kind: 'opaque', description: describe(value) };
  };

  const convertDict = (dict: PickleDict, path: string, depth: number): CheckpointNode => {
    const entries = new Map<string, CheckpointNode>();
    for (const [key, value] of dict.entries) {
      const name = keyName(key);
      if (name === null) return { kind: 'opaque', description: `a dict with ${describe(key)} as a key` };
      if (name.length > LIMITS.tensorNameLength)
        throw unsafeFile(file, `a key of the pickle has ${name.length} characters`);
      if (entries.has(name))
        throw unsafeFile(file, `two keys of the pickle read ${JSON.stringify(name.slice(0, 120))}`);
      entries.set(name, convert(value, join(path, name), depth + 1));
    }
    return { kind: 'map', entries };
  };

  return convert(root, '', 0);
}

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

/** Keys that are text or integers (optimizers number their parameters); null for others. */
const keyName = (key: PickleValue): string | null =>
  ['string', 'number', 'bigint'].includes(typeof key) ? String(key) : null;
