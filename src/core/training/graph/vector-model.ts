import { Emitter, withOutputs } from '../../autodiff/emitter.js';
import type { Operand } from '../../autodiff/types.js';
import type { OnnxModel } from '../../onnx/model.js';
import { emptyGraph } from './optimizer-graph.js';

/** One operator over vectors of any length. */
export function vectorModel(opType: string, inputs: readonly string[]): OnnxModel {
  const operands = inputs.map((name): Operand => ({ name, dtype: 'F32', shape: [1] }));
  const graph = new Emitter(emptyGraph(operands), 'vector/');
  const result = graph.node(opType, operands, operands[0]);
  const { model } = withOutputs(graph.finish(), [result.name]);
  const type = { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'elements' }] } } };
  const free = ({ name }: { readonly name: string }) => ({ name, type });
  return {
    ...model,
    graph: { ...model.graph, input: model.graph.input.map(free), output: model.graph.output.map(free) },
  };
}
