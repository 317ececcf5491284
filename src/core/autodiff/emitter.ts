import { broadcast } from '../onnx/graph-ops.js';
import {
  type AttributeProto,
  floatAttribute,
  intAttribute,
  intsAttribute,
  type NodeProto,
  type TensorProto,
} from '../onnx/model.js';
import { castValue, type TensorValue, type ValueDtype } from '../runtime/value.js';
import { DTYPES } from '../tensor/dtype.js';
import { formatShape, numel } from '../tensor/shape.js';
import { type BoundGraph, type Operand, type TensorType, tensorTypeProto, valueTensor } from './types.js';

const INT_MAX = Number.MAX_SAFE_INTEGER;

interface Placed {
  readonly x: Operand;
  readonly axis: number;
  readonly start: number;
}

/**
 * Appends nodes to a bound graph. Every value has a concrete shape, so that methods can choose the cheapest form and leave out
 * what changes nothing. Forms are those of opset 20.
 */
export class Emitter {
  private readonly nodes: NodeProto[];
  private readonly initializers: TensorProto[];
  private readonly types: Map<string, TensorType>;
  private readonly constants: Map<string, TensorValue>;
  private readonly shared = new Map<string, Operand>();
  /** What a reshaped value was reshaped from. */
  private readonly unshaped = new Map<string, Operand>();
  /** Values that are zeros but for another one, at a place on one axis. */
  private readonly placed = new Map<string, Placed>();
  private readonly fixed: ReadonlySet<string>;
  private count = 0;

  /** @param prefix - before the name of every value added */
  constructor(
    private readonly bound: BoundGraph,
    private readonly prefix: string,
  ) {
    this.nodes = [...bound.model.graph.node];
    this.initializers = [...bound.model.graph.initializer];
    const fed = new Set(bound.model.graph.input.map(({ name }) => name));
    this.fixed = new Set(this.initializers.map(({ name = '' }) => name).filter((name) => !fed.has(name)));
    this.types = new Map(bound.types);
    this.constants = new Map(bound.constants);
    for (const { opType, input, output } of this.nodes)
      if (opType === 'Reshape') this.unshaped.set(output[0], this.source(this.operand(input[0])));
  }

  private source(x: Operand): Operand {
    return this.unshaped.get(x.name) ?? x;
  }

  /** A value of the graph, here or in what was added. */
  operand(name: string): Operand {
    const type = this.types.get(name);
    if (type === undefined) throw new RangeError(`value ${name} has no known type`);
    return { name, ...type };
  }

  /** The values of a constant that is known, else undefined. */
  constantOf(name: string): TensorValue | undefined {
    return this.constants.get(name);
  }

  /** Whether a value is an initializer that no feed replaces: what is computed from it alone is computed once, on loading. */
  isFixed({ name }: Operand): boolean {
    return this.fixed.has(name);
  }

  /** Appends a node with one output. */
  node(
    opType: string,
    inputs: readonly (Operand | null)[],
    result: TensorType,
    attributes: AttributeProto[] = [],
  ): Operand {
    return this.nodeOf(opType, inputs, [result], attributes)[0];
  }

  /** Appends a node; `results` are the types of its outputs. */
  nodeOf(
    opType: string,
    inputs: readonly (Operand | null)[],
    results: readonly TensorType[],
    attribute: AttributeProto[] = [],
  ): Operand[] {
    const values = results.map(({ dtype, shape }) => ({ name: this.freshName(opType), dtype, shape }));
    for (const { name, dtype, shape } of values) this.types.set(name, { dtype, shape });
    this.nodes.push({
      name: values[0].name,
      opType,
      input: inputs.map((input) => input?.name ?? ''),
      output: values.map(({ name }) => name),
      attribute,
    });
    return values;
  }

  /** Gives a node of the graph another output, such as the statistics of a norm; the same one when asked again. */
  extraOutput(node: NodeProto, index: number, type: TensorType): Operand {
    const at = this.nodes.findIndex(({ output }) => output[0] === node.output[0]);
    const known = this.nodes[at].output[index];
    if (known) return { name: known, ...type };
    const name = this.freshName(node.opType);
    const output = [...this.nodes[at].output];
    while (output.length < index) output.push('');
    output[index] = name;
    this.nodes[at] = { ...this.nodes[at], output };
    this.types.set(name, type);
    return { name, ...type };
  }

  /** Values as an initializer; equal ones are stored once. */
  constant(value: TensorValue): Operand {
    const key = `${value.dtype}[${value.shape}]${value.data.join()}`;
    const known = this.shared.get(key);
    if (known) return known;
    const { dtype, shape } = value;
    const name = this.freshName('constant');
    this.initializers.push(valueTensor(name, value));
    this.types.set(name, { dtype, shape });
    this.constants.set(name, value);
    const operand = { name, dtype, shape };
    this.shared.set(key, operand);
    return operand;
  }

  floats(dtype: ValueDtype, shape: readonly number[], values: ArrayLike<number>): Operand {
    const data = Float64Array.from(values);
    return this.constant(
      dtype === 'F64'
        ? { dtype, shape, data }
        : castValue({ dtype: 'F32', shape, data: Float32Array.from(data) }, dtype),
    );
  }

  scalar(value: number, dtype: ValueDtype): Operand {
    return this.floats(dtype, [], [value]);
  }

  /** A one-dimensional int64 constant: axes, sizes, indices. */
  ints(values: readonly number[]): Operand {
    return this.constant({ dtype: 'I64', shape: [values.length], data: BigInt64Array.from(values, BigInt) });
  }

  zeros(type: TensorType): Operand {
    return this.expand(this.scalar(0, type.dtype), type.shape);
  }

  unary(opType: string, x: Operand): Operand {
    return this.node(opType, [x], x);
  }

  binary(opType: string, a: Operand, b: Operand): Operand {
    return this.node(opType, [a, b], { dtype: a.dtype, shape: broadcast(a.shape, b.shape) as number[] });
  }

  add = (a: Operand, b: Operand): Operand => this.binary('Add', a, b);
  sub = (a: Operand, b: Operand): Operand => this.binary('Sub', a, b);
  mul = (a: Operand, b: Operand): Operand => this.binary('Mul', a, b);
  div = (a: Operand, b: Operand): Operand => this.binary('Div', a, b);
  neg = (x: Operand): Operand => this.unary('Neg', x);

  /** x times a number. */
  scale(x: Operand, factor: number): Operand {
    return factor === 1 ? x : this.mul(x, this.scalar(factor, x.dtype));
  }

  /** A comparison, as booleans. */
  compare(opType: 'Equal' | 'Greater' | 'GreaterOrEqual' | 'Less' | 'LessOrEqual', a: Operand, b: Operand): Operand {
    return this.node(opType, [a, b], { dtype: 'BOOL', shape: broadcast(a.shape, b.shape) as number[] });
  }

  where(condition: Operand, a: Operand, b: Operand): Operand {
    const shape = broadcast(condition.shape, broadcast(a.shape, b.shape)) as number[];
    return this.node('Where', [condition, a, b], { dtype: a.dtype, shape });
  }

  /** x where the condition holds, else 0. */
  keepWhere(condition: Operand, x: Operand): Operand {
    return this.where(condition, x, this.scalar(0, x.dtype));
  }

  /** min(1, max(0, alpha x + beta)) of float32, in one pass. */
  hardSigmoid(x: Operand, alpha: number, beta: number): Operand {
    return this.node('HardSigmoid', [x], x, [floatAttribute('alpha', alpha), floatAttribute('beta', beta)]);
  }

  cast(x: Operand, dtype: ValueDtype): Operand {
    if (x.dtype === dtype) return x;
    return this.node('Cast', [x], { dtype, shape: x.shape }, [intAttribute('to', DTYPES[dtype].onnx)]);
  }

  matmul(a: Operand, b: Operand): Operand {
    const shape = [
      ...(broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)) as number[]),
      a.shape[a.shape.length - 2],
      b.shape[b.shape.length - 1],
    ];
    return this.node('MatMul', [a, b], { dtype: a.dtype, shape });
  }

  /** alpha op(a) op(b) of matrices, without a copy of what is transposed. */
  gemm(a: Operand, b: Operand, { transA = false, transB = false, alpha = 1 } = {}): Operand {
    const shape = [a.shape[transA ? 1 : 0], b.shape[transB ? 0 : 1]];
    const attributes = [
      ...(alpha === 1 ? [] : [floatAttribute('alpha', alpha)]),
      ...(transA ? [intAttribute('transA', 1)] : []),
      ...(transB ? [intAttribute('transB', 1)] : []),
    ];
    return this.node('Gemm', [a, b], { dtype: a.dtype, shape }, attributes);
  }

  /** Reshaped from what x itself was reshaped from: nodes that only led from one shape to another are left without use. */
  reshape(x: Operand, shape: readonly number[]): Operand {
    if (sameShape(x.shape, shape)) return x;
    if (numel(x.shape) !== numel(shape))
      throw new RangeError(`${formatShape(x.shape)} cannot be shaped ${formatShape(shape)}`);
    const source = this.source(x);
    if (sameShape(source.shape, shape)) return source;
    const result = this.node('Reshape', [source, this.ints(shape)], { dtype: x.dtype, shape: [...shape] }, [
      ...(shape.includes(0) ? [intAttribute('allowzero', 1)] : []),
    ]);
    this.unshaped.set(result.name, source);
    return result;
  }

  transpose(x: Operand, permutation: readonly number[]): Operand {
    if (permutation.every((axis, i) => axis === i)) return x;
    const shape = permutation.map((axis) => x.shape[axis]);
    // Where only axes of size 1 move, the order of the elements stays.
    const moved = permutation.filter((axis) => x.shape[axis] !== 1);
    if (moved.every((axis, i) => i === 0 || axis > moved[i - 1])) return this.reshape(x, shape);
    return this.node('Transpose', [x], { dtype: x.dtype, shape }, [intsAttribute('perm', permutation)]);
  }

  /** The last two axes exchanged. */
  transposed(x: Operand): Operand {
    const rank = x.shape.length;
    return this.transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
  }

  expand(x: Operand, shape: readonly number[]): Operand {
    if (sameShape(x.shape, shape)) return x;
    return this.node('Expand', [x, this.ints(shape)], { dtype: x.dtype, shape: [...shape] });
  }

  /** A reduction over axes counted from the front. */
  reduce(
    opType: 'ReduceSum' | 'ReduceMean' | 'ReduceMax',
    x: Operand,
    axes: readonly number[],
    keepDims: boolean,
  ): Operand {
    if (axes.length === 0) return x;
    const kept = x.shape.flatMap((size, axis) => (!axes.includes(axis) ? size : keepDims ? 1 : []));
    if (axes.every((axis) => x.shape[axis] === 1)) return this.reshape(x, kept);
    const attributes = keepDims ? [] : [intAttribute('keepdims', 0)];
    return this.node(opType, [x, this.ints(axes)], { dtype: x.dtype, shape: kept }, attributes);
  }

  /** The sum over all axes along which `shape` was broadcast to that of x: the gradient of a broadcast. */
  sumTo(x: Operand, shape: readonly number[]): Operand {
    if (sameShape(x.shape, shape)) return x;
    const lead = x.shape.length - shape.length;
    const axes = x.shape.flatMap((size, axis) => (axis < lead || (shape[axis - lead] === 1 && size !== 1) ? axis : []));
    return this.reshape(this.sumOver(x, axes), shape);
  }

  /** The sum over axes, which go. Over leading axes it is a product with ones, which is faster. */
  private sumOver(x: Operand, axes: readonly number[]): Operand {
    const kept = x.shape.filter((_, axis) => !axes.includes(axis));
    const isLeading = kept.length > 0 && axes.every((axis, i) => axis === i);
    if (!isLeading || (x.dtype !== 'F32' && x.dtype !== 'F64')) return this.reduce('ReduceSum', x, axes, false);
    const rows = numel(x.shape.slice(0, axes.length));
    const ones = this.floats(x.dtype, [1, rows], new Array<number>(rows).fill(1));
    return this.reshape(this.gemm(ones, this.reshape(x, [rows, numel(kept)])), kept);
  }

  concat(parts: readonly Operand[], axis: number): Operand {
    if (parts.length === 1) return parts[0];
    const shape = [...parts[0].shape];
    shape[axis] = parts.reduce((sum, part) => sum + part.shape[axis], 0);
    return this.node('Concat', parts, { dtype: parts[0].dtype, shape }, [intAttribute('axis', axis)]);
  }

  /** Elements `start` to `end` (not included) of each axis, every `step`-th; what is undefined takes all. */
  slice(
    x: Operand,
    axes: readonly number[],
    starts: readonly number[],
    ends: readonly number[],
    steps?: readonly number[],
  ): Operand {
    const shape = [...x.shape];
    for (const [i, axis] of axes.entries()) {
      shape[axis] = Math.max(0, Math.ceil((Math.min(ends[i], x.shape[axis]) - starts[i]) / (steps?.[i] ?? 1)));
    }
    if (sameShape(shape, x.shape)) return x;
    const inputs = [x, this.ints(starts), this.ints(ends), this.ints(axes), ...(steps ? [this.ints(steps)] : [])];
    return this.node('Slice', inputs, { dtype: x.dtype, shape });
  }

  /** Element i along the first axis, which is gone: i is a number, or an int64 value []. */
  take(x: Operand, i: number | Operand): Operand {
    const index =
      typeof i === 'number' ? this.constant({ dtype: 'I64', shape: [], data: BigInt64Array.of(BigInt(i)) }) : i;
    return this.node('Gather', [x, index], { dtype: x.dtype, shape: x.shape.slice(1) });
  }

  /** The order of elements reversed along axes. */
  reverse(x: Operand, axes: readonly number[]): Operand {
    const turned = axes.filter((axis) => x.shape[axis] > 1);
    if (turned.length === 0) return x;
    const same = (value: number): Operand => this.ints(turned.map(() => value));
    return this.node('Slice', [x, same(-1), same(-INT_MAX), this.ints(turned), same(-1)], x);
  }

  /** Zeros before and after each axis; negative numbers take away. */
  pad(x: Operand, before: readonly number[], after: readonly number[]): Operand {
    if ([...before, ...after].every((size) => size === 0)) return x;
    const shape = x.shape.map((size, axis) => size + before[axis] + after[axis]);
    const result = this.node('Pad', [x, this.ints([...before, ...after])], { dtype: x.dtype, shape });
    const axes = [...shape.keys()].filter((axis) => before[axis] !== 0 || after[axis] !== 0);
    if (axes.length === 1) this.placed.set(result.name, { x, axis: axes[0], start: before[axes[0]] });
    return result;
  }

  /** The sum of several values of one shape. Parts that lie one behind the other, zeros around them, are put together. */
  sum(parts: readonly Operand[]): Operand {
    if (parts.length === 1) return parts[0];
    const row = this.inRow(parts);
    if (row) return this.concat(row.parts, row.axis);
    if (parts.length === 2) return this.add(parts[0], parts[1]);
    return this.node('Sum', parts, parts[0]);
  }

  /** Values of which each fills its own part of an axis, all of it together. */
  private inRow(parts: readonly Operand[]): { parts: Operand[]; axis: number } | undefined {
    const found = parts.flatMap(({ name }) => this.placed.get(name) ?? []).sort((a, b) => a.start - b.start);
    if (found.length < parts.length) return undefined;
    const [{ axis }] = found;
    let end = 0;
    for (const each of found) {
      if (each.axis !== axis || each.start !== end) return undefined;
      end += each.x.shape[axis];
    }
    return end === parts[0].shape[axis] ? { parts: found.map(({ x }) => x), axis } : undefined;
  }

  /** The graph with what was added. Outputs are as they were: see `withOutputs`. */
  finish(): BoundGraph {
    const { model } = this.bound;
    const graph = { ...model.graph, node: this.nodes, initializer: this.initializers };
    return { model: { ...model, graph }, types: this.types, constants: this.constants };
  }

  private freshName(wanted: string): string {
    let name: string;
    do name = `${this.prefix}${wanted}.${this.count++}`;
    while (this.types.has(name));
    return name;
  }
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, axis) => size === b[axis]);

/** The graph with other outputs: any of its values. */
export function withOutputs(bound: BoundGraph, names: readonly string[]): BoundGraph {
  const output = names.map((name) => {
    const type = bound.types.get(name);
    if (type === undefined) throw new RangeError(`value ${name} has no known type`);
    return { name, type: tensorTypeProto(type) };
  });
  return { ...bound, model: { ...bound.model, graph: { ...bound.model.graph, output } } };
}
