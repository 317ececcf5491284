import { DATA_TYPE, type NodeProto, type OnnxModel, type TensorProto } from '../../onnx/model.js';
import { tensorOf } from '../../onnx/tensor-data.js';
import { valueFromBytes } from '../../runtime/value.js';
import { readTensor } from '../../tensor/tensor.js';
import { bytesOf } from '../../tensor/values.js';

/**
 * Buffers on the wide side of one operator. A shader may bind 8 wherever there is WebGPU (maxStorageBuffersPerShaderStage), and
 * the other side takes one; onnxruntime does not divide a Split that needs more, but refuses it.
 */
const MOST_BUFFERS = 7;

/** The model with each Split into many parts as several, for WebGPU. */
export async function limitBuffers(model: OnnxModel): Promise<OnnxModel> {
  const constants = new Map(model.graph.initializer.map((tensor) => [tensor.name ?? '', tensor]));
  const added: TensorProto[] = [];
  const node: NodeProto[] = [];
  for (const each of model.graph.node) {
    const sizes =
      each.opType === 'Split' && each.output.length > MOST_BUFFERS ? constants.get(each.input[1]) : undefined;
    if (!sizes) {
      node.push(each);
      continue;
    }
    const lengths = valueFromBytes('I64', sizes.dims, await readTensor(tensorOf(sizes))).data as BigInt64Array;
    node.push(...splitInSteps(each, [...lengths], added));
  }
  return { ...model, graph: { ...model.graph, node, initializer: [...model.graph.initializer, ...added] } };
}

/** A Split as a tree of Splits, the first first; the constants they need go to `added`. */
function splitInSteps(split: NodeProto, lengths: readonly bigint[], added: TensorProto[]): NodeProto[] {
  const { output } = split;
  if (output.length <= MOST_BUFFERS) return [withSizes(split, lengths, added)];
  const starts = Array.from({ length: Math.ceil(output.length / MOST_BUFFERS) }, (_, i) => i * MOST_BUFFERS);
  const groups = starts.map((start) => `${output[start]}/group.${output.length}`);
  const groupOf = <T>(values: readonly T[], i: number): T[] => values.slice(starts[i], starts[i] + MOST_BUFFERS);
  const parts = groups.map((name, i) => {
    const part = { ...split, name: `${name}/split`, input: [name], output: groupOf(output, i) };
    return withSizes(part, groupOf(lengths, i), added);
  });
  const sums = groups.map((_, i) => groupOf(lengths, i).reduce((a, b) => a + b, 0n));
  return [...splitInSteps({ ...split, output: groups }, sums, added), ...parts];
}

function withSizes(split: NodeProto, lengths: readonly bigint[], added: TensorProto[]): NodeProto {
  const name = `${split.output[0]}/sizes.${added.length}`;
  added.push({
    name,
    dims: [lengths.length],
    dataType: DATA_TYPE.INT64,
    rawData: bytesOf(BigInt64Array.from(lengths)),
  });
  return { ...split, input: [split.input[0], name] };
}
