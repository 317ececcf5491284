import { crc32 } from 'node:zlib';
import { corruptFile, unsafeFile } from '../bytes/refusal.js';
import { type ByteSource, readChunks } from '../bytes/source.js';
import { LIMITS } from '../limits.js';
import { DTYPES } from '../tensor/dtype.js';
import { checkedNumel, contiguousStrides, formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { gather } from './gather.js';
import type { TorchTensor } from './pickle/torch-values.js';

/** Where the bytes of a storage lie. */
export interface StorageBytes {
  readonly source: ByteSource;
  /** Names the storage among all files of a checkpoint. */
  readonly id: string;
  /** What the container says of the bytes; absent where it says nothing. */
  readonly check?: StorageCheck;
}

/** The CRC-32 of a storage. */
export interface StorageCheck {
  readonly crc32: number;
  /** The error of a storage that has another one. */
  damaged(): Error;
  /** Reads the storage for its CRC-32, once. @throws that error */
  verify(): Promise<void>;
}

/**
 * The tensor a strided view of a storage stands for.
 * @throws HpsError CHECKPOINT_CORRUPT or CHECKPOINT_UNSAFE where the view reaches outside its storage
 */
export function viewTensor(name: string, view: TorchTensor, storage: StorageBytes): Tensor {
  const span = checkView(name, view, storage.source.name, storage.source.byteLength);
  const { dtype, shape, strides } = view;
  const { bytes: size } = DTYPES[dtype];
  const viewed = storage.source.slice(
    view.storage.view.offset * view.storage.elementBytes + view.offset * size,
    span * size,
  );
  return {
    name,
    dtype,
    shape,
    storageId: `${storage.id}@${view.storage.view.offset}+${view.offset}:${dtype}[${shape}][${strides}]`,
    ...(storage.check && { verify: () => storage.check!.verify() }),
    chunks: () => {
      if (!isContiguous(shape, strides)) return verified(storage.check, gather(viewed, { shape, strides, size }));
      const chunks = readChunks(viewed, LIMITS.chunkBytes);
      // Most storages are read by one tensor, from end to end: their bytes are looked at as they pass.
      if (storage.check && viewed.byteLength === storage.source.byteLength) return checked(storage.check, chunks);
      return verified(storage.check, chunks);
    },
  };
}

async function* checked(check: StorageCheck, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let crc = 0;
  for await (const chunk of chunks) {
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (crc !== check.crc32) throw check.damaged();
}

async function* verified(
  check: StorageCheck | undefined,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  await check?.verify();
  yield* chunks;
}

/** Elements from the first to the last one touched; 0 for an empty tensor. */
function checkView(
  name: string,
  { storage, dtype, offset, shape, strides }: TorchTensor,
  file: string,
  storageBytes: number,
): number {
  const size = DTYPES[dtype].bytes;
  const bytes = Math.min(
    storage.view.numel * storage.elementBytes,
    storageBytes - storage.view.offset * storage.elementBytes,
  );
  const numel = checkedNumel(shape);
  const what = `tensor ${JSON.stringify(name)} ${formatShape(shape)}`;
  if (numel === null) throw corruptFile(file, `${what} has more elements than can be`);
  if (strides.length !== shape.length) throw corruptFile(file, `${what} has ${strides.length} strides`);
  const span = numel === 0 ? 0 : shape.reduce((last, dim, axis) => last + (dim - 1) * strides[axis], 1);
  // Sums and products past 2^53 are inexact, but then they are also past every storage.
  if ((offset + span) * size > bytes)
    throw corruptFile(file, `${what} reaches ${offset + span} elements into a storage of ${Math.floor(bytes / size)}`);
  if (numel > span && numel * size > LIMITS.expandedTensorBytes)
    throw unsafeFile(file, `${what} repeats ${span} stored elements`);
  return span;
}

/** Whether the elements lie in row-major order without gaps; the stride of a dimension of one does not matter. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  const expected = contiguousStrides(shape);
  return shape.includes(0) || shape.every((dim, axis) => dim === 1 || strides[axis] === expected[axis]);
}
