import { type ByteSource, readChunks } from '../bytes/source.js';
import { LIMITS } from '../limits.js';
import { byteLength, type Tensor } from '../tensor/tensor.js';
import type { TensorProto, WeightSource } from './model.js';

/** Bytes of a file, read when asked for. */
export interface FileWeight extends WeightSource {
  readonly source: ByteSource;
}

/** All bytes of a source as a weight. */
export const weightOf = (source: ByteSource): FileWeight => ({
  source,
  byteLength: source.byteLength,
  chunks: () => readChunks(source, LIMITS.chunkBytes),
});

/** A tensor of a checkpoint as a weight, unread. */
export const weightOfTensor = (tensor: Tensor): WeightSource => ({
  byteLength: byteLength(tensor),
  chunks: () => tensor.chunks(),
});

/** The bytes of `rawData` in order, in memory or not. */
export async function* chunksOf(weight: NonNullable<TensorProto['rawData']>): AsyncGenerator<Uint8Array> {
  if (!(weight instanceof Uint8Array)) {
    yield* weight.chunks();
    return;
  }
  for (let at = 0; at < weight.byteLength; at += LIMITS.chunkBytes) yield weight.subarray(at, at + LIMITS.chunkBytes);
}
