import { join } from 'node:path';
import { withAtomicOutput } from '../../src/core/bytes/output.js';
import type { OnnxModel } from '../../src/core/onnx/model.js';
import { writeOnnx } from '../../src/core/onnx/write.js';
import { openSession } from '../../src/core/runtime/ort.js';
import type { OptimizationLevel } from '../../src/core/runtime/session.js';
import { floatsOf, type TensorValue } from '../../src/core/runtime/value.js';
import { type Tensor, tensorFromBytes } from '../../src/core/tensor/tensor.js';
import { bytesOf } from '../../src/core/tensor/values.js';

/** Writes a model into a folder and runs it once. */
export async function runModel(
  model: OnnxModel,
  folder: string,
  feeds: ReadonlyMap<string, TensorValue>,
  optimization: OptimizationLevel = 'all',
): Promise<Map<string, TensorValue>> {
  const path = join(folder, 'model.onnx');
  await withAtomicOutput(path, { force: true }, (output) => writeOnnx(model, output));
  const session = await openSession(path, { optimization, threads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

export const floatTensor = (name: string, shape: readonly number[], values: ArrayLike<number>): Tensor =>
  tensorFromBytes({ name, dtype: 'F32', shape }, bytesOf(Float32Array.from(values)));

export const floats = (values: ReadonlyMap<string, TensorValue>, name: string): Float32Array => {
  const value = values.get(name);
  if (!value) throw new RangeError(`the model has no output ${name}`);
  return floatsOf(value);
};
