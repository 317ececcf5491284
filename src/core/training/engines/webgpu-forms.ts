import { DATA_TYPE, intOf, type NodeProto, type OnnxModel, type TensorProto } from '../../onnx/model.js';
import { tensorOf } from '../../onnx/tensor-data.js';
import { valueFromBytes } from '../../runtime/value.js';
import { readTensor } from '../../tensor/tensor.js';
import { bytesOf } from '../../tensor/values.js';

/**
 * Buffers on the wide side of one operator. A shader may bind 8 wherever there is WebGPU (maxStorageBuffersPerShaderStage), and
 * the other side takes one; onnxruntime does not divide a Split that needs more, but refuses it.
 */
const MOST_BUFFERS = 7;

/**
 * The model in forms that onnxruntime computes on WebGPU: a Split into many parts as several, a Sum as additions, a LogSoftmax by its
 * parts. Sum and LogSoftmax it would leave to the processor, and copy what they read and write.
 */
export async function webgpuForms(model: OnnxModel): Promise<OnnxModel> {
  const constants = new Map(model.graph.initializer.map((tensor) => [tensor.name ?? '', tensor]));
  const added: TensorProto[] = [];
  const node: NodeProto[] = [];
  for (const each of model.graph.node) {
    const sizes = each.opType === 'Split' && each.output.length > MOST_BUFFERS && constants.get(each.input[1]);
    if (sizes) {
      const lengths = valueFromBytes('I64', sizes.dims, await readTensor(tensorOf(sizes))).data as BigInt64Array;
      node.push(...splitInSteps(each, [...lengths], added));
    } else if (each.opType === 'Sum') node.push(...additions(each));
    else if (each.opType === 'LogSoftmax') node.push(...logSoftmaxParts(each, added));
    else node.push(each);
  }
  return { ...model, graph: { ...model.graph, node, initializer: [...model.graph.initializer, ...added] } };
}

/** A Sum as a chain of Adds. */
function additions({ name, input, output: [result] }: NodeProto): NodeProto[] {
  if (input.length === 1) return [plainNode('Identity', input, result)];
  return input.slice(1).map((term, i) => {
    const before = i === 0 ? input[0] : `${result}/sum.${i}`;
    return plainNode('Add', [before, term], i === input.length - 2 ? result : `${result}/sum.${i + 1}`, name);
  });
}

/** x - m - log(sum(exp(x - m))), m the largest x. */
function logSoftmaxParts(node: NodeProto, added: TensorProto[]): NodeProto[] {
  const [x, result] = [node.input[0], node.output[0]];
  const at = (part: string): string => `${result}/${part}`;
  added.push(longs(at('axes'), [BigInt(intOf(node, 'axis', -1))]));
  return [
    plainNode('ReduceMax', [x, at('axes')], at('max')),
    plainNode('Sub', [x, at('max')], at('shifted')),
    plainNode('Exp', [at('shifted')], at('exp')),
    plainNode('ReduceSum', [at('exp'), at('axes')], at('total')),
    plainNode('Log', [at('total')], at('log')),
    plainNode('Sub', [at('shifted'), at('log')], result),
  ];
}

const plainNode = (opType: string, input: readonly string[], output: string, name = output): NodeProto => ({
  name: `${name}/${opType}/${output}`,
  opType,
  input: [...input],
  output: [output],
  attribute: [],
});

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
  added.push(longs(name, lengths));
  return { ...split, input: [split.input[0], name] };
}

const longs = (name: string, values: readonly bigint[]): TensorProto => ({
  name,
  dims: [values.length],
  dataType: DATA_TYPE.INT64,
  rawData: bytesOf(BigInt64Array.from(values)),
});
