import { mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256Hex } from '../../bytes/hash.js';
import { withAtomicOutput } from '../../bytes/output.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { writeSafetensors } from '../../checkpoint/write-safetensors.js';
import type { Dtype } from '../../tensor/dtype.js';
import { readTensor, type Tensor, tensorFromBytes } from '../../tensor/tensor.js';
import { bytesOf } from '../../tensor/values.js';
import type { TrainingItem } from './dataset.js';
import type { Packed } from './packed.js';

/** What a file of prepared items is for: other labels or another contract have a file of their own. */
export interface CacheFileOptions {
  readonly folder: string;
  /** Of the preparer: two with the same hash make the same inputs of the same item. */
  readonly contractSha256: string;
  /** Paths of the labels whose items these are. */
  readonly labels: readonly string[];
}

/** One item's place in the file: its tensors are `NUMBER/INPUT`. */
interface IndexEntry {
  readonly key: string;
  readonly tokens: number;
  readonly samples: number;
  readonly inputs: readonly string[];
}

const INDEX = 'index';
const ARRAYS = [
  ['U8', Uint8Array],
  ['I16', Int16Array],
  ['U32', Uint32Array],
  ['F32', Float32Array],
] as const satisfies readonly (readonly [Dtype, unknown])[];

export const cacheFile = ({ folder, contractSha256, labels }: CacheFileOptions): string =>
  join(
    folder,
    `prepared-${sha256Hex(Buffer.from(JSON.stringify([contractSha256, ...labels]))).slice(0, 32)}.safetensors`,
  );

/**
 * The items that were prepared before, by their keys: by device, inode, size and time of change for files, so that a changed
 * file is prepared anew. Empty where there is no file yet, or it cannot be read: nothing depends on it but time.
 */
export async function readPrepared(path: string): Promise<Map<string, TrainingItem>> {
  const items = new Map<string, TrainingItem>();
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return items;
  try {
    const file = await openCheckpoint(path);
    try {
      const tensorOf = (name: string): Tensor => {
        const tensor = file.tensors.get(name);
        if (tensor) return tensor;
        throw new RangeError(`no tensor ${name}`);
      };
      const index = JSON.parse(Buffer.from(await readTensor(tensorOf(INDEX))).toString()) as IndexEntry[];
      for (const [number, { key, tokens, samples, inputs }] of index.entries()) {
        const packed = new Map<string, Packed>();
        for (const input of inputs) packed.set(input, await readPacked(tensorOf(`${number}/${input}`)));
        items.set(key, { packed, tokens, samples });
      }
      return items;
    } finally {
      file.close();
    }
  } catch {
    return new Map();
  }
}

async function readPacked(tensor: Tensor): Promise<Packed> {
  const found = ARRAYS.find(([dtype]) => dtype === tensor.dtype);
  if (!found) throw new RangeError(`${tensor.name}: ${tensor.dtype} is not a type of prepared items`);
  const [, Values] = found;
  const { buffer } = (await readTensor(tensor)).slice(); // of its own: no element lies askew, and no larger buffer is kept
  return new Values(buffer, 0, buffer.byteLength / Values.BYTES_PER_ELEMENT);
}

/** Replaces the file by these items. */
export async function writePrepared(path: string, items: ReadonlyMap<string, TrainingItem>): Promise<void> {
  const index: IndexEntry[] = [];
  const tensors: Tensor[] = [];
  const sorted = [...items].sort(([a], [b]) => (a < b ? -1 : 1)); // not in the order in which threads were done
  for (const [key, { packed, tokens, samples }] of sorted) {
    for (const [input, values] of packed) {
      const [dtype] = ARRAYS.find(([, Values]) => values instanceof Values)!;
      tensors.push(
        tensorFromBytes({ name: `${index.length}/${input}`, dtype, shape: [values.length] }, bytesOf(values)),
      );
    }
    index.push({ key, tokens, samples, inputs: [...packed.keys()] });
  }
  const json = Buffer.from(JSON.stringify(index));
  tensors.push(tensorFromBytes({ name: INDEX, dtype: 'U8', shape: [json.byteLength] }, json));
  mkdirSync(dirname(path), { recursive: true });
  await withAtomicOutput(path, { force: true }, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, tensors);
    await sink.finish();
  });
}
