import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import type { ParameterTransform } from '../../onnx/graph-core.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import { readTensor, type Tensor, tensorFromBytes } from '../../tensor/tensor.js';
import { castTensor, transposeMatrix } from '../../tensor/transform.js';
import { asFloat32, bytesOf } from '../../tensor/values.js';
import type { ForwardModel } from '../graph/forward.js';
import { isLoraFactor, loraNames, mergeFactors, startFactor } from '../graph/lora.js';
import type { OptimizerState } from './adamw.js';
import { entryOf, packSlabs, type Slab, type TrainedTensor } from './slabs.js';

/** A slab with what AdamW keeps of it. */
export interface SlabState extends OptimizerState {
  readonly slab: Slab;
  /** Average of the parameters over steps; null where none is kept. */
  readonly average: Float32Array | null;
  /** Updates so far. */
  updates: number;
}

/** Values that the model has and training does not touch: statistics of batch norms, tables of the audio tower. */
const BUFFERS = /(^|\.)(running_mean|running_var|num_batches_tracked)$|^audio\.(dft_cos|dft_sin|mel|pos)$/;

export const isBuffer = (key: string): boolean => BUFFERS.test(key);

interface AdaptedWeight {
  readonly base: Float32Array;
  readonly shape: readonly number[];
  readonly rank: number;
}

/** What is trained, over all modalities: the tensors in slabs, and their values. */
export class Parameters {
  private constructor(
    readonly states: readonly SlabState[],
    /** Slabs that each modality's graph reads. */
    readonly slabsOf: ReadonlyMap<string, readonly Slab[]>,
    private readonly transforms: ReadonlyMap<string, ParameterTransform>,
    /** Weights that low-rank factors are added to, in the orientation of the graph; by checkpoint name. */
    private readonly adapted: ReadonlyMap<string, AdaptedWeight>,
  ) {}

  /**
   * Reads the trained tensors of a checkpoint.
   * @param isTrained - by checkpoint name
   */
  static async read(
    checkpoint: Pick<Checkpoint, 'tensors'>,
    forwards: readonly ForwardModel[],
    options: {
      readonly isTrained: (key: string) => boolean;
      readonly decayVectors: boolean;
      readonly average: boolean;
      /** Rank of the factors that matrices are adapted by instead of being trained themselves; vectors then stay as they are. */
      readonly loraRank?: number;
    },
  ): Promise<Parameters> {
    const users = new Map<string, { transform: ParameterTransform; modalities: string[] }>();
    for (const { modality, parameters } of forwards) {
      for (const { key, transform } of parameters.values()) {
        if (isBuffer(key) || !options.isTrained(key)) continue;
        const known = users.get(key);
        if (known && known.transform !== transform)
          throw new RangeError(`${key} is used as it is by one modality and transposed by another`);
        if (known) known.modalities.push(modality);
        else users.set(key, { transform, modalities: [modality] });
      }
    }
    const { loraRank = 0 } = options;
    const adapted = new Map<string, AdaptedWeight>();
    const tensors = Array.from(users).flatMap(([key, { transform, modalities }]): TrainedTensor[] => {
      const stored = tensorIn(checkpoint, key).shape;
      const shape = transform === 'transpose' ? stored.toReversed() : stored;
      const group = modalities.join('+');
      if (loraRank === 0) return [{ name: key, shape, decayed: options.decayVectors || shape.length > 1, group }];
      if (shape.length !== 2) return [];
      const [rows, columns] = shape;
      const rank = Math.min(loraRank, rows, columns);
      adapted.set(key, { base: new Float32Array(rows * columns), shape, rank });
      const { a, b } = loraNames(key);
      return [
        { name: a, shape: [rows, rank], decayed: true, group },
        { name: b, shape: [rank, columns], decayed: true, group },
      ];
    });
    const slabs = packSlabs(tensors);
    const states = slabs.map(
      (slab): SlabState => ({
        slab,
        parameters: new Float32Array(slab.length),
        firstMoment: new Float32Array(slab.length),
        secondMoment: new Float32Array(slab.length),
        average: options.average ? new Float32Array(slab.length) : null,
        updates: 0,
      }),
    );
    const slabsOf = new Map(
      forwards.map(({ modality }) => [
        modality as string,
        slabs.filter(({ entries }) => entries[0].group.split('+').includes(modality)),
      ]),
    );
    const transforms = new Map(Array.from(users, ([key, { transform }]) => [key, transform] as const));
    const result = new Parameters(states, slabsOf, transforms, adapted);
    await result.set(checkpoint);
    return result;
  }

  /**
   * Takes the values of a checkpoint that has all trained tensors; averages start there anew, and so do low-rank factors that it has
   * not kept beside their weights (`factors`).
   */
  async set(checkpoint: Pick<Checkpoint, 'tensors'>): Promise<void> {
    const keeps = (key: string): boolean => checkpoint.tensors.has(loraNames(key).a);
    for (const [key, { base }] of this.adapted) if (!keeps(key)) await this.read(checkpoint, key, base);
    for (const { slab, parameters, average } of this.states) {
      for (const entry of slab.entries) {
        const values = entryOf(parameters, entry);
        const kept = isLoraFactor(entry.name) ? checkpoint.tensors.get(entry.name) : undefined;
        if (kept) values.set(asFloat32(await readTensor(kept)));
        else if (isLoraFactor(entry.name)) startFactor(entry.name, values, Math.min(...entry.shape));
        else await this.read(checkpoint, entry.name, values);
      }
      average?.set(parameters);
    }
  }

  /** A tensor of the checkpoint as the graph holds it. */
  private async read(checkpoint: Pick<Checkpoint, 'tensors'>, key: string, into: Float32Array): Promise<void> {
    const cast = castTensor(tensorIn(checkpoint, key), 'F32');
    const tensor = this.transforms.get(key) === 'transpose' ? transposeMatrix(cast) : cast;
    into.set(asFloat32(await readTensor(tensor)));
  }

  /** The vectors by slab, as feeds; the averages where they are kept and asked for. */
  feeds(averaged: boolean): Map<string, TensorValue> {
    return new Map(
      this.states.map(({ slab, parameters, average }) => [
        slab.name,
        float32Value([slab.length], (averaged && average) || parameters),
      ]),
    );
  }

  get count(): number {
    return this.states.reduce((sum, { slab }) => sum + slab.length, 0);
  }

  /** The low-rank factors under names of their own: what graphs that hold the weights as they were before read. */
  factors(): Tensor[] {
    return this.states.flatMap(({ slab, parameters, average }) =>
      slab.entries
        .filter(({ name }) => isLoraFactor(name))
        .map((entry) => {
          const { name, shape } = entry;
          return tensorFromBytes({ name, dtype: 'F32', shape }, bytesOf(entryOf(average ?? parameters, entry)));
        }),
    );
  }

  /** The trained tensors as the checkpoint has them, by name: the averages where they are kept, else the weights themselves. */
  tensors(): Map<string, Tensor> {
    const vectors = new Map<string, Float32Array>();
    const result = new Map<string, Tensor>();
    const add = (name: string, shape: readonly number[], values: Float32Array): void => {
      const tensor = tensorFromBytes({ name, dtype: 'F32', shape }, bytesOf(values));
      result.set(name, this.transforms.get(name) === 'transpose' ? transposeMatrix(tensor) : tensor);
    };
    for (const { slab, parameters, average } of this.states) {
      for (const entry of slab.entries) {
        const values = entryOf(average ?? parameters, entry);
        if (isLoraFactor(entry.name)) vectors.set(entry.name, values);
        else add(entry.name, entry.shape, values);
      }
    }
    for (const [key, { base, shape }] of this.adapted) {
      const { a, b } = loraNames(key);
      add(key, shape, mergeFactors(base, vectors.get(a)!, vectors.get(b)!, shape));
    }
    return result;
  }
}

function tensorIn({ tensors }: Pick<Checkpoint, 'tensors'>, key: string): Tensor {
  const tensor = tensors.get(key);
  if (tensor === undefined) throw new RangeError(`the checkpoint has no tensor ${key}`);
  return tensor;
}
