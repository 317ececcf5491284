import type { Tensor } from '@tensorflow/tfjs';
import { HpsError } from '../../../errors.js';
import { findAttribute, type NodeProto, type OnnxModel, opsetOf } from '../../../onnx/model.js';
import { isOp } from '../../../onnx/passes/uses.js';
import type { TensorValue } from '../../../runtime/value.js';
import { type Operator, type Tf, unsupportedNode } from './operator.js';
import { operatorOf } from './registry.js';
import { readValue, toTensor, valueInMemory } from './values.js';

interface Step {
  readonly node: NodeProto;
  readonly operator: Operator;
}

/** A model whose constants are on the device, ready to be run. */
export interface TfGraph {
  readonly outputs: readonly string[];
  /** The outputs, in the tidy scope and on the tape of the caller. `values` holds a tensor for every input. */
  evaluate(values: ReadonlyMap<string, Tensor>): Map<string, Tensor>;
  dispose(): void;
}

/**
 * Reads the constants of a model and finds an operator for every node that its outputs need.
 * @throws HpsError ONNX_UNSUPPORTED naming the operator and the node that are not run here
 */
export async function loadGraph(tf: Tf, model: OnnxModel): Promise<TfGraph> {
  const { graph } = model;
  const opset = opsetOf(model) ?? 1;
  const outputs = graph.output.map(({ name }) => name);
  const needed = neededNodes(graph.node, outputs);
  const steps = needed
    .filter((node) => !isOp(node, 'Constant'))
    .map((node): Step => ({ node, operator: operatorOf(node) }));
  // All read before the first goes to the device, so that a file that fails leaves nothing there.
  const read = new Map<string, TensorValue>();
  for (const proto of graph.initializer) read.set(proto.name ?? '', await readValue(proto));
  for (const node of needed) if (isOp(node, 'Constant')) read.set(node.output[0], literal(node));
  const constants = new Map([...read].map(([name, value]) => [name, toTensor(tf, value)]));
  return {
    outputs,
    evaluate(inputs) {
      const values = new Map([...constants, ...inputs]);
      for (const step of steps) runStep(tf, step, opset, values);
      return new Map(outputs.map((name) => [name, given(values, name)]));
    },
    dispose: () => tf.dispose([...constants.values()]),
  };
}

/** Nodes that the outputs depend on, in their order. */
function neededNodes(nodes: readonly NodeProto[], outputs: readonly string[]): NodeProto[] {
  const needed = new Set(outputs);
  const kept: NodeProto[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.output.some((name) => needed.has(name))) continue;
    kept.push(node);
    for (const name of node.input) needed.add(name);
  }
  return kept.reverse();
}

function runStep(tf: Tf, { node, operator }: Step, opset: number, values: Map<string, Tensor>): void {
  // A missing optional input is undefined, which operators that have one expect.
  const inputs = node.input.map((name) => (name === '' ? undefined : given(values, name))) as Tensor[];
  let results: Tensor | Tensor[];
  try {
    results = operator({ tf, node, opset }, ...inputs);
  } catch (error) {
    if (error instanceof HpsError) throw error;
    throw unsupportedNode(node, `TensorFlow.js refuses it: ${(error as Error).message}`, error);
  }
  const list = Array.isArray(results) ? results : [results];
  for (const [i, name] of node.output.entries()) {
    if (name === '') continue;
    if (!list[i]) throw unsupportedNode(node, `its output ${i + 1} is not computed here`);
    values.set(name, list[i]);
  }
}

function given(values: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const value = values.get(name);
  if (value) return value;
  throw new HpsError('INPUTS_INVALID', `the model got no input ${name}`, {
    hint: 'Give a value for every input of the model.',
    details: { input: name },
  });
}

function literal(node: NodeProto): TensorValue {
  const tensor = findAttribute(node, 'value')?.t;
  if (tensor) return valueInMemory(tensor);
  const [attribute] = node.attribute;
  const ints = attribute?.ints ?? (attribute?.i === undefined ? undefined : BigInt64Array.of(attribute.i));
  const floats = attribute?.floats ?? (attribute?.f === undefined ? undefined : Float32Array.of(attribute.f));
  const shape = attribute?.ints || attribute?.floats ? [(ints ?? floats)?.length ?? 0] : [];
  if (ints) return { dtype: 'I64', shape, data: ints };
  if (floats) return { dtype: 'F32', shape, data: floats };
  throw unsupportedNode(node, 'only constants that are numbers are read here');
}
