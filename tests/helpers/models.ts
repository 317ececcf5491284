import { fileURLToPath } from 'node:url';
import { FileSource } from '../../src/core/bytes/source.js';
import { safetensors } from '../../src/core/checkpoint/safetensors.js';
import type { Tensor } from '../../src/core/tensor/tensor.js';

/** Path of a model made by tests/golden/FOLDER/make.py. */
export const goldenModel = (folder: string, name: string): string =>
  fileURLToPath(new URL(`../golden/${folder}/${name}.onnx`, import.meta.url));

/** The tensors of a safetensors file, by name. */
export async function readTensors(path: string): Promise<Map<string, Tensor>> {
  const { root } = await safetensors.open(FileSource.open(path));
  const tensors = new Map<string, Tensor>();
  if (root.kind === 'map')
    for (const [name, node] of root.entries) if (node.kind === 'tensor') tensors.set(name, node.tensor);
  return tensors;
}
