import { createHash } from 'node:crypto';
import type { TensorProto } from '../onnx/model.js';
import { rawBytesOf } from '../onnx/tensor-data.js';
import { chunksOf } from '../onnx/weight.js';

/** Initializers of which one is kept for all that are equal. */
export interface SharedInitializers {
  /** In their order, the first of each kind. */
  readonly kept: readonly TensorProto[];
  /** The name that each of the others is replaced by. */
  readonly replacedBy: ReadonlyMap<string, string>;
  /** Bytes that need not be stored. */
  readonly savedBytes: number;
}

/**
 * Finds initializers with equal dtype, shape and content. Weights are hashed as they stream; those whose dtype and shape no other
 * has are not read.
 *
 * @param initializers - with distinct names
 */
export async function shareInitializers(
  initializers: readonly TensorProto[],
  signal?: AbortSignal,
): Promise<SharedInitializers> {
  const alike = new Map<string, number>();
  for (const tensor of initializers) alike.set(kindOf(tensor), (alike.get(kindOf(tensor)) ?? 0) + 1);
  const firsts = new Map<string, string>();
  const kept: TensorProto[] = [];
  const replacedBy = new Map<string, string>();
  let savedBytes = 0;
  for (const tensor of initializers) {
    const kind = kindOf(tensor);
    const key = alike.get(kind) === 1 || tensor.stringData ? null : `${kind} ${await contentHash(tensor, signal)}`;
    const first = key === null ? undefined : firsts.get(key);
    if (first === undefined) {
      kept.push(tensor);
      if (key !== null) firsts.set(key, tensor.name ?? '');
    } else {
      replacedBy.set(tensor.name ?? '', first);
      savedBytes += rawBytesOf(tensor).byteLength;
    }
  }
  return { kept, replacedBy, savedBytes };
}

const kindOf = ({ dataType, dims }: TensorProto): string => `${dataType} ${dims.join('x')}`;

async function contentHash(tensor: TensorProto, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunksOf(rawBytesOf(tensor))) {
    signal?.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest('hex');
}
