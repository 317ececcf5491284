import { numel } from '../../tensor/shape.js';
import { readTensor } from '../../tensor/tensor.js';
import { asBigInt64, asFloat32, bytesOf } from '../../tensor/values.js';
import { DATA_TYPE, findAttribute, intOf, type NodeProto, type OnnxModel, type TensorProto } from '../model.js';
import { tensorOf } from '../tensor-data.js';
import { removeDeadCode } from './dead-code.js';
import { countUses, isOp, isStandard } from './uses.js';

/** Constants of more elements are left to the runtime: folding them would only make the file larger. */
const MAX_ELEMENTS = 65_536;

type Numbers = Float32Array | BigInt64Array;

interface Constant {
  readonly shape: readonly number[];
  readonly values: Numbers;
}

type Evaluate = (inputs: readonly Constant[], node: NodeProto) => Constant | null;

const emptyLike = (values: Numbers, length: number): Numbers =>
  values instanceof Float32Array ? new Float32Array(length) : new BigInt64Array(length);

/** Elementwise over equal shapes, or one side a single value; other broadcasts are left alone. float32 results round once. */
function elementwise(onFloat: (a: number, b: number) => number, onInt: (a: bigint, b: bigint) => bigint): Evaluate {
  return ([a, b]) => {
    const shape = a.values.length >= b.values.length ? a.shape : b.shape;
    const single = a.values.length === 1 || b.values.length === 1;
    if (!single && a.shape.join() !== b.shape.join()) return null;
    if (single && Math.max(a.shape.length, b.shape.length) !== shape.length) return null;
    const at = (side: Constant, i: number): number | bigint => side.values[side.values.length === 1 ? 0 : i];
    const values = emptyLike(a.values, numel(shape));
    for (let i = 0; i < values.length; i++) {
      values[i] =
        values instanceof Float32Array
          ? onFloat(at(a, i) as number, at(b, i) as number)
          : onInt(at(a, i) as bigint, at(b, i) as bigint);
    }
    return { shape, values };
  };
}

const unary =
  (f: (x: number) => number): Evaluate =>
  ([{ shape, values }]) =>
    values instanceof Float32Array ? { shape, values: values.map(f) } : null;

/** Rows of the first axis by one index or a list of them. */
const gather: Evaluate = ([table, indices], node) => {
  if (intOf(node, 'axis', 0) !== 0 || !(indices.values instanceof BigInt64Array)) return null;
  const width = numel(table.shape.slice(1));
  const values = emptyLike(table.values, indices.values.length * width);
  for (const [i, index] of indices.values.entries()) {
    const row = Number(index < 0n ? index + BigInt(table.shape[0]) : index);
    if (row < 0 || row >= table.shape[0]) return null;
    (values as Float32Array).set(table.values.subarray(row * width, (row + 1) * width) as Float32Array, i * width);
  }
  return { shape: [...indices.shape, ...table.shape.slice(1)], values };
};

const concat: Evaluate = (inputs) => {
  if (inputs.some(({ shape }) => shape.length !== 1)) return null;
  const values = emptyLike(
    inputs[0].values,
    inputs.reduce((sum, { values: part }) => sum + part.length, 0),
  );
  let at = 0;
  for (const { values: part } of inputs) {
    (values as Float32Array).set(part as Float32Array, at);
    at += part.length;
  }
  return { shape: [values.length], values };
};

/** Operators folded, all of them exact or rounded once like the runtime's own kernels. */
const EVALUATE: ReadonlyMap<string, Evaluate> = new Map([
  ['Identity', ([x]) => x],
  [
    'Add',
    elementwise(
      (a, b) => a + b,
      (a, b) => a + b,
    ),
  ],
  [
    'Sub',
    elementwise(
      (a, b) => a - b,
      (a, b) => a - b,
    ),
  ],
  [
    'Mul',
    elementwise(
      (a, b) => a * b,
      (a, b) => a * b,
    ),
  ],
  ['Sqrt', unary(Math.sqrt)],
  ['Tanh', unary(Math.tanh)],
  ['Gather', gather],
  ['Concat', concat],
] satisfies [string, Evaluate][]);

async function asConstant(tensor: TensorProto): Promise<Constant | null> {
  if (numel(tensor.dims) > MAX_ELEMENTS) return null;
  if (tensor.dataType === DATA_TYPE.FLOAT)
    return { shape: tensor.dims, values: asFloat32(await readTensor(tensorOf(tensor))) };
  if (tensor.dataType === DATA_TYPE.INT64)
    return { shape: tensor.dims, values: asBigInt64(await readTensor(tensorOf(tensor))) };
  return null;
}

const asInitializer = (name: string, { shape, values }: Constant): TensorProto => ({
  name,
  dims: [...shape],
  dataType: values instanceof Float32Array ? DATA_TYPE.FLOAT : DATA_TYPE.INT64,
  rawData: bytesOf(values),
});

/**
 * Computes what depends on constants alone, and takes Identity nodes and Constant nodes out.
 * @param keep - initializers that are not to be computed with: the parameters of a model whose names must stay traceable
 */
export async function foldConstants(model: OnnxModel, keep: ReadonlySet<string>): Promise<OnnxModel> {
  const { graph } = model;
  const uses = countUses(graph);
  const outputs = new Set(graph.output.map(({ name }) => name));
  const overridable = new Set(graph.input.map(({ name }) => name));
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', tensor]));
  const renamed = new Map<string, string>();
  const node: NodeProto[] = [];

  const constantOf = async (name: string): Promise<Constant | null> => {
    const tensor = initializers.get(name);
    return tensor && !keep.has(name) && !overridable.has(name) ? asConstant(tensor) : null;
  };

  for (const original of graph.node) {
    const each = { ...original, input: original.input.map((name) => renamed.get(name) ?? name) };
    const [result] = each.output;
    if (outputs.has(result) || each.output.length !== 1 || !uses.has(result)) {
      node.push(each);
      continue;
    }
    const literal = isOp(each, 'Constant') ? findAttribute(each, 'value')?.t : undefined;
    if (literal) {
      initializers.set(result, { ...literal, name: result });
      continue;
    }
    if (isOp(each, 'Identity')) {
      renamed.set(result, each.input[0]);
      continue;
    }
    const evaluate = isStandard(each) ? EVALUATE.get(each.opType) : undefined;
    const inputs = evaluate ? await Promise.all(each.input.map(constantOf)) : [];
    const alike = inputs.every((input) => input !== null) && inputs.length > 0;
    const constant = evaluate && alike ? evaluate(inputs as Constant[], each) : null;
    if (constant && constant.values.length <= MAX_ELEMENTS) initializers.set(result, asInitializer(result, constant));
    else node.push(each);
  }
  return removeDeadCode({
    ...model,
    graph: { ...graph, node: renameInSubgraphs(node, renamed), initializer: [...initializers.values()] },
  });
}

/** Subgraphs read outer values by name, so renamings reach into them. */
function renameInSubgraphs(nodes: readonly NodeProto[], renamed: ReadonlyMap<string, string>): NodeProto[] {
  if (renamed.size === 0) return [...nodes];
  const rename = (name: string): string => renamed.get(name) ?? name;
  return nodes.map((node) => ({
    ...node,
    input: node.input.map(rename),
    attribute: node.attribute.map((attribute) =>
      attribute.g
        ? {
            ...attribute,
            g: {
              ...attribute.g,
              node: renameInSubgraphs(attribute.g.node, renamed),
              output: attribute.g.output.map((output) => ({ ...output, name: rename(output.name) })),
            },
          }
        : attribute,
    ),
  }));
}
