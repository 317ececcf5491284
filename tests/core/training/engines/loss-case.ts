import { intAttribute, type NodeProto, type OnnxModel, type TensorProto } from '../../../../src/core/onnx/model.js';
import type { TensorValue } from '../../../../src/core/runtime/value.js';
import { numel } from '../../../../src/core/tensor/shape.js';
import { bytesOf } from '../../../../src/core/tensor/values.js';
import type { LossModel } from '../../../../src/core/training/engines/engine.js';

/** A loss model and what to run it on. */
export interface LossCase extends LossModel {
  readonly feeds: ReadonlyMap<string, TensorValue>;
}

/** What an output is multiplied with before it is summed: one number, or one an element. */
export interface OutputWeights {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Adds the output `loss`: the sum over all outputs of the weighted sum of each. */
export function withLoss(model: OnnxModel, weightsOf: (index: number) => OutputWeights): OnnxModel {
  const { graph } = model;
  const weights = graph.output.map((_, i): TensorProto => {
    const { shape, values } = weightsOf(i);
    if (values.length !== numel(shape)) throw new RangeError(`${values.length} weights for output ${i}`);
    return { name: `weight.${i}`, dims: [...shape], dataType: 1, rawData: bytesOf(values) };
  });
  const nodes = graph.output.flatMap(({ name }, i): NodeProto[] => [
    { opType: 'Mul', input: [name, `weight.${i}`], output: [`weighted.${i}`], attribute: [] },
    { opType: 'ReduceSum', input: [`weighted.${i}`], output: [`part.${i}`], attribute: [intAttribute('keepdims', 0)] },
  ]);
  const sum = { opType: 'Sum', input: graph.output.map((_, i) => `part.${i}`), output: ['loss'], attribute: [] };
  return {
    ...model,
    graph: {
      ...graph,
      node: [...graph.node, ...nodes, sum],
      initializer: [...graph.initializer, ...weights],
      output: [...graph.output, { name: 'loss', type: { tensorType: { elemType: 1, shape: { dim: [] } } } }],
    },
  };
}
