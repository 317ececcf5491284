import { readFileSync } from 'node:fs';
import { Emitter, withOutputs } from '../../../src/core/autodiff/emitter.js';
import { gradients } from '../../../src/core/autodiff/gradients.js';
import type { BoundGraph } from '../../../src/core/autodiff/types.js';
import {
  type AttributeProto,
  DATA_TYPE,
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

/** Inputs that vary, of all cases at once: `CASE/x0`, `CASE/x1`, … */
export const feedsOf = (cases: readonly OperatorCase[]): Map<string, TensorValue> =>
  new Map(
    cases.flatMap(({ name, inputs }) =>
      inputs.flatMap((input, index) => {
        if (!input || !('low' in input)) return [];
        const data = sequence(numel(input.shape), index + 1, input.low, input.high);
        return [[`${name}/x${index}`, float32Value(input.shape, data)] as const];
      }),
    ),
  );

const inputName = (operator: OperatorCase, index: number): string =>
  operator.inputs[index] ? `${operator.name}/x${index}` : '';

/** A node for each case, all in one model: loading a model takes longer than running it. */
export function modelOf(cases: readonly OperatorCase[]): OnnxModel {
  const node = cases.map(
    (operator): NodeProto => ({
      name: operator.name,
      opType: operator.opType,
      input: operator.inputs.map((_, index) => inputName(operator, index)),
      output: operator.outputs.map((_, index) => `${operator.name}/y${index}`),
      attribute: Object.entries(operator.attributes).map(([name, value]) => attributeOf(name, value)),
    }),
  );
  const initializer = cases.flatMap((operator) =>
    operator.inputs.flatMap((input, index): TensorProto[] => {
      if (!input || 'low' in input) return [];
      const { data } = castValue(float32Value(input.shape, Float32Array.from(input.values)), input.dtype);
      const dataType = DTYPES[input.dtype].onnx;
      return [{ name: inputName(operator, index), dims: input.shape, dataType, rawData: bytesOf(data) }];
    }),
  );
  const type = { tensorType: { elemType: DATA_TYPE.FLOAT } };
  return {
    irVersion: 9,
    graph: {
      node,
      name: 'cases',
      initializer,
      input: [...feedsOf(cases)].map(([name]) => ({ name, type })),
      output: node.flatMap(({ output }) => output).map((name) => ({ name, type })),
      valueInfo: [],
    },
    opsetImport: [{ domain: '', version: 20 }],
    metadataProps: [],
  };
}

/** The graph with the loss of make.py (every output times its weights, all summed) and the gradients of what varies as outputs. */
export function withGradients(
  bound: BoundGraph,
  cases: readonly OperatorCase[],
): { model: OnnxModel; names: ReadonlyMap<string, string> } {
  const graph = new Emitter(bound, 'loss/');
  const parts = cases.flatMap(({ name, outputs }) =>
    outputs.map((shape, index) => {
      const weights = graph.floats('F32', shape, outputWeights(shape, index));
      return graph.reduce(
        'ReduceSum',
        graph.mul(graph.operand(`${name}/y${index}`), weights),
        [...shape.keys()],
        false,
      );
    }),
  );
  const loss = graph.sum(parts).name;
  const result = gradients(graph.finish(), { loss, wrt: [...feedsOf(cases).keys()] });
  return { model: withOutputs(result, [...result.gradients.values()]).model, names: result.gradients };
}
