import { readFileSync } from 'node:fs';
import { Emitter, withOutputs } from '../../../src/core/autodiff/emitter.js';
import { gradients } from '../../../src/core/autodiff/gradients.js';
import type { BoundGraph } from '../../../src/core/autodiff/types.js';
import {
  type AttributeProto,
  floatAttribute,
  intAttribute,
  intsAttribute,
  type NodeProto,
  type OnnxModel,
  stringAttribute,
  type TensorProto,
} from '../../../src/core/onnx/model.js';
import { castValue, float32Value, type TensorValue, type ValueDtype } from '../../../src/core/runtime/value.js';
import { DTYPES } from '../../../src/core/tensor/dtype.js';
import { numel } from '../../../src/core/tensor/shape.js';
import { bytesOf } from '../../../src/core/tensor/values.js';

type CaseInput =
  | { readonly shape: number[]; readonly low: number; readonly high: number }
  | { readonly shape: number[]; readonly dtype: ValueDtype; readonly values: number[] };

/** One operator in one form, with PyTorch's gradients by input (tests/golden/autodiff/make.py). */
export interface OperatorCase {
  readonly name: string;
  readonly opType: string;
  readonly attributes: Readonly<Record<string, { f?: number; i?: number; s?: string; ints?: number[] }>>;
  readonly inputs: readonly (CaseInput | null)[];
  /** Shapes. */
  readonly outputs: readonly number[][];
  readonly gradients: Readonly<Record<string, number[]>>;
}

export const CASES: readonly OperatorCase[] = JSON.parse(
  readFileSync(new URL('../../golden/autodiff/cases.json', import.meta.url), 'utf8'),
);

/** make.py's `sequence`. */
export const sequence = (count: number, seed: number, low = -1, high = 1): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => low + (high - low) * (((i * 7919 + seed * 104729) % 1009) / 1009));

const OUTPUT_SEED = 97;

/** What the loss multiplies output `index` with before it sums. */
export const outputWeights = (shape: readonly number[], index: number): Float32Array =>
  sequence(numel(shape), OUTPUT_SEED + index);

function attributeOf(name: string, { f, i, s, ints }: OperatorCase['attributes'][string]): AttributeProto {
  if (f !== undefined) return floatAttribute(name, f);
  if (i !== undefined) return intAttribute(name, i);
  return s === undefined ? intsAttribute(name, ints ?? []) : stringAttribute(name, s);
}

/** The inputs that vary, by name (`x0`, `x1`, …). */
export function feedsOf({ inputs }: OperatorCase): Map<string, TensorValue> {
  return new Map(
    inputs.flatMap((input, index) =>
      input && 'low' in input
        ? [[`x${index}`, float32Value(input.shape, sequence(numel(input.shape), index + 1, input.low, input.high))]]
        : [],
    ),
  );
}

/** A model of the one node. */
export function modelOf(operator: OperatorCase): OnnxModel {
  const { opType, inputs, outputs, attributes } = operator;
  const initializer: TensorProto[] = inputs.flatMap((input, index) => {
    if (!input || 'low' in input) return [];
    const value = castValue(float32Value(input.shape, Float32Array.from(input.values)), input.dtype);
    return [{ name: `x${index}`, dims: input.shape, dataType: DTYPES[input.dtype].onnx, rawData: bytesOf(value.data) }];
  });
  const node: NodeProto = {
    name: 'subject',
    opType,
    input: inputs.map((input, index) => (input ? `x${index}` : '')),
    output: outputs.map((_, index) => `y${index}`),
    attribute: Object.entries(attributes).map(([name, value]) => attributeOf(name, value)),
  };
  return {
    irVersion: 9,
    graph: {
      node: [node],
      name: 'case',
      initializer,
      input: [...feedsOf(operator)].map(([name]) => ({ name, type: { tensorType: { elemType: 1 } } })),
      output: node.output.map((name) => ({ name, type: { tensorType: { elemType: 1 } } })),
      valueInfo: [],
    },
    opsetImport: [{ domain: '', version: 20 }],
    metadataProps: [],
  };
}

/** The graph with the loss of make.py (every output times its weights, summed) and the gradients of all varying inputs as outputs. */
export function withGradients(
  bound: BoundGraph,
  operator: OperatorCase,
): { model: OnnxModel; names: Map<string, string> } {
  const graph = new Emitter(bound, 'loss/');
  const parts = operator.outputs.map((shape, index) => {
    const weighted = graph.mul(graph.operand(`y${index}`), graph.floats('F32', shape, outputWeights(shape, index)));
    return graph.reduce('ReduceSum', weighted, [...shape.keys()], false);
  });
  const loss = graph.sum(parts).name;
  const result = gradients(graph.finish(), { loss, wrt: [...feedsOf(operator).keys()] });
  return {
    model: withOutputs(result, [...result.gradients.values()]).model,
    names: new Map([...result.gradients]),
  };
}
