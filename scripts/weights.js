// Checkpoints as plain arrays, for demonstrations that change weights by hand.
import { withAtomicOutput } from '../dist/core/bytes/output.js';
import { openCheckpoint } from '../dist/core/checkpoint/open.js';
import { writeSafetensors } from '../dist/core/checkpoint/write-safetensors.js';
import { readTensor, tensorFromBytes } from '../dist/core/tensor/tensor.js';
import { castTensor } from '../dist/core/tensor/transform.js';
import { asFloat32, bytesOf } from '../dist/core/tensor/values.js';

/** Float weights of a checkpoint in float32, by name: `{shape, values}`. */
export async function weightsOf(path) {
  const checkpoint = await openCheckpoint(path);
  try {
    const weights = new Map();
    for (const tensor of checkpoint.tensors.values()) {
      if (!['F32', 'F16', 'BF16'].includes(tensor.dtype)) continue;
      weights.set(tensor.name, { shape: tensor.shape, values: asFloat32(await readTensor(castTensor(tensor, 'F32'))) });
    }
    return weights;
  } finally {
    checkpoint.close();
  }
}

/** Writes weights, with the configuration of their model, whole or not at all. */
export async function saveWeights(path, weights, config) {
  const tensors = Array.from(weights, ([name, { shape, values }]) =>
    tensorFromBytes({ name, dtype: 'F32', shape }, bytesOf(values)),
  );
  await withAtomicOutput(path, { force: true }, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, tensors, new Map([['config', JSON.stringify(config)]]));
    await sink.finish();
  });
}

/** New weights, each value made by `make(value, name, place)`. */
export const mapWeights = (weights, make) =>
  new Map(
    Array.from(weights, ([name, { shape, values }]) => [
      name,
      { shape, values: values.map((value, i) => make(value, name, i)) },
    ]),
  );
