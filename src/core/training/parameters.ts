import type { Checkpoint } from '../checkpoint/checkpoint.js';
import type { ParameterTransform } from '../onnx/graph-core.js';
import { float32Value, type TensorValue } from '../runtime/value.js';
import { readTensor, type Tensor, tensorFromBytes } from '../tensor/tensor.js';
import { castTensor, transposeMatrix } from '../tensor/transform.js';
import { asFloat32, bytesOf } from '../tensor/values.js';
import type { OptimizerState } from './adamw.js';
import type { ForwardModel } from './forward.js';
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

/** What is trained, over all modalities: the tensors in slabs, and their values. */
export class Parameters {
  private constructor(
    readonly states: readonly SlabState[],
    /** Slabs that each modality's graph reads. */
    readonly slabsOf: ReadonlyMap<string, readonly Slab[]>,
    private readonly transforms: ReadonlyMap<string, ParameterTransform>,
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
    const tensors = Array.from(users, ([key, { transform, modalities }]): TrainedTensor => {
      const { shape } = tensorIn(checkpoint, key);
      return {
        name: key,
        shape: transform === 'transpose' ? shape.toReversed() : shape,
        decayed: options.decayVectors || shape.length > 1,
        group: modalities.join('+'),
      };
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
    const result = new Parameters(states, slabsOf, transforms);
    await result.set(checkpoint);
    return result;
  }

  /** Takes the values of a checkpoint that has all trained tensors; averages start there anew. */
  async set(checkpoint: Pick<Checkpoint, 'tensors'>): Promise<void> {
    for (const { slab, parameters, average } of this.states) {
      for (const entry of slab.entries) {
        const cast = castTensor(tensorIn(checkpoint, entry.name), 'F32');
        const tensor = this.transforms.get(entry.name) === 'transpose' ? transposeMatrix(cast) : cast;
        entryOf(parameters, entry).set(asFloat32(await readTensor(tensor)));
      }
      average?.set(parameters);
    }
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

  /** The trained tensors as the checkpoint has them, by name: the averages where they are kept, else the weights themselves. */
  tensors(): Map<string, Tensor> {
    const result = new Map<string, Tensor>();
    for (const { slab, parameters, average } of this.states) {
      const values = average ?? parameters;
      for (const entry of slab.entries) {
        const info = { name: entry.name, dtype: 'F32' as const, shape: entry.shape };
        const tensor = tensorFromBytes(info, bytesOf(entryOf(values, entry)));
        result.set(entry.name, this.transforms.get(entry.name) === 'transpose' ? transposeMatrix(tensor) : tensor);
      }
    }
    return result;
  }
}

function tensorIn({ tensors }: Pick<Checkpoint, 'tensors'>, key: string): Tensor {
  const tensor = tensors.get(key);
  if (tensor === undefined) throw new RangeError(`the checkpoint has no tensor ${key}`);
  return tensor;
}
