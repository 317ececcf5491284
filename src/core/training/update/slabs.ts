import { numel } from '../../tensor/shape.js';

/** A trained tensor, as the graph holds it: a weight that the graph multiplies transposed is transposed here too. */
export interface TrainedTensor {
  /** Name of the initializer it stands for. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Whether weight decay applies. */
  readonly decayed: boolean;
  /** Tensors that are always used together have the same, such as the modalities that read them. */
  readonly group: string;
}

export interface SlabEntry extends TrainedTensor {
  /** In elements. */
  readonly offset: number;
}

/**
 * Trained tensors laid one after the other in one vector. A few vectors instead of hundreds of tensors: fewer values travel
 * and fewer operators run a step, and one vector still fits into a core's cache while AdamW passes over it.
 */
export interface Slab {
  readonly name: string;
  readonly length: number;
  readonly entries: readonly SlabEntry[];
  readonly decayed: boolean;
}

/** Elements of one slab: 512 KiB of float32, half of the second-level cache of a recent core. */
const SLAB_ELEMENTS = 128 * 1024;
/** A tensor of so many elements is a slab of its own: cutting it out and putting its gradient back would cost more than one value more. */
const ALONE_ELEMENTS = 8 * 1024;

/** Packs tensors in their order; tensors of one slab share group and decay. */
export function packSlabs(tensors: readonly TrainedTensor[], capacity = SLAB_ELEMENTS): Slab[] {
  const slabs: { name: string; length: number; entries: SlabEntry[]; decayed: boolean }[] = [];
  const open = new Map<string, (typeof slabs)[number]>();
  for (const tensor of tensors) {
    const key = `${tensor.decayed}/${tensor.group}`;
    const size = numel(tensor.shape);
    const isAlone = size >= ALONE_ELEMENTS;
    let slab = isAlone ? undefined : open.get(key);
    if (slab === undefined || slab.length + size > capacity) {
      slab = { name: `slab.${slabs.length}`, length: 0, entries: [], decayed: tensor.decayed };
      slabs.push(slab);
      if (!isAlone) open.set(key, slab);
    }
    slab.entries.push({ ...tensor, offset: slab.length });
    slab.length += size;
  }
  return slabs;
}

/** The part of a slab's vector that one of its tensors is. */
export const entryOf = (vector: Float32Array, { offset, shape }: SlabEntry): Float32Array =>
  vector.subarray(offset, offset + numel(shape));
