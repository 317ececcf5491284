import { Random } from '../../bytes/random.js';
import { DATA_TYPE, type OnnxModel, type TensorProto } from '../../onnx/model.js';
import { tensorOf } from '../../onnx/tensor-data.js';
import { valueFromBytes } from '../../runtime/value.js';
import { numel } from '../../tensor/shape.js';
import { readTensor } from '../../tensor/tensor.js';
import { bytesOf } from '../../tensor/values.js';

/**
 * The model with some of its weights shuffled: those that are used last, from the head down (Adebayo and others 2018). Each tensor
 * keeps its numbers, and so its scale.
 * @param share - of the weight tensors
 */
export async function randomised(model: OnnxModel, share: number, seed: number): Promise<OnnxModel> {
  const weights = weightsFromHead(model);
  const chosen = new Set(weights.slice(0, Math.ceil(share * weights.length)));
  const initializer: TensorProto[] = [];
  for (const tensor of model.graph.initializer)
    initializer.push(chosen.has(tensor.name ?? '') ? await shuffled(tensor, seed) : tensor);
  return { ...model, graph: { ...model.graph, initializer } };
}

function weightsFromHead({ graph }: OnnxModel): string[] {
  const lastUse = new Map<string, number>();
  for (const [place, { input }] of graph.node.entries()) for (const name of input) lastUse.set(name, place);
  return graph.initializer
    .flatMap(({ name = '', dataType, dims }) =>
      dataType === DATA_TYPE.FLOAT && numel(dims) > 1 && lastUse.has(name) ? [name] : [],
    )
    .toSorted((a, b) => lastUse.get(b)! - lastUse.get(a)! || (a < b ? -1 : 1));
}

async function shuffled(tensor: TensorProto, seed: number): Promise<TensorProto> {
  const value = valueFromBytes('F32', tensor.dims, await readTensor(tensorOf(tensor)));
  const data = (value.data as Float32Array).slice();
  const random = new Random(`explain:cascade:${seed}:${tensor.name}`);
  for (let i = data.length - 1; i > 0; i--) {
    const j = random.integer(0, i + 1);
    [data[i], data[j]] = [data[j], data[i]];
  }
  return { name: tensor.name, dims: tensor.dims, dataType: tensor.dataType, rawData: bytesOf(data) };
}
