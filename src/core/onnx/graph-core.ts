import { sha256Hex } from '../bytes/hash.js';
import { DTYPES, type Dtype } from '../tensor/dtype.js';
import { formatShape, numel } from '../tensor/shape.js';
import { byteLength, type Tensor } from '../tensor/tensor.js';
import { castTensor, transposeMatrix } from '../tensor/transform.js';
import { bytesOf } from '../tensor/values.js';
import {
  type AttributeProto,
  DATA_TYPE,
  intAttribute,
  type NodeProto,
  type OnnxModel,
  type TensorProto,
  type TypeProto,
  type ValueInfoProto,
} from './model.js';

/** A size, a symbol (`batch`), or an expression over symbols that only equality is asked of (`(samples - 400) / 160 + 1`). */
export type Dim = number | string;

/** A value of the graph being built, with its inferred type. */
export interface Value {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly Dim[];
}

export type ParameterTransform = 'identity' | 'transpose';

export interface NodeOptions {
  readonly attributes?: readonly AttributeProto[];
  /** Name of the node and its value within the scope; the operator's own where omitted. */
  readonly name?: string;
}

/** ONNX IR version that each opset came with; the oldest runtimes that know the opset accept it (onnx, docs/Versioning.md). */
const IR_VERSION: Readonly<Record<number, number>> = { 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10 };
export const OPSETS: readonly number[] = Object.keys(IR_VERSION).map(Number);

/** Constants of more elements are named by a hash of their values. */
const SPELLED_OUT = 64;

function constantName(shape: readonly number[], values: ArrayLike<number>): string {
  if (shape.length === 0) return String(values[0]);
  if (values.length > SPELLED_OUT)
    return `${formatShape(shape)}.${sha256Hex(bytesOf(Float64Array.from(values))).slice(0, 16)}`;
  // The shape of a row of values is their number; of any other it is said, since equal values may lie in several shapes.
  return `${shape.length > 1 ? formatShape(shape) : ''}[${Array.from(values).join(',')}]`;
}

/** The element type and shape of a value, as ONNX writes them. */
export function typeProto(dtype: Dtype, shape: readonly Dim[]): TypeProto {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { tensorType: { elemType: DTYPES[dtype].onnx, shape: { dim } } };
}

/** As it is stored where its elements are small, so that half as many bytes are moved. */
const transposed = (source: Tensor, dtype: 'F32' | 'F16'): Tensor =>
  DTYPES[source.dtype].bytes === 2
    ? castTensor(transposeMatrix(source), dtype)
    : transposeMatrix(castTensor(source, dtype));

/**
 * Collects nodes, constants and parameters of a graph. Operators with their shape rules are in graph-ops.ts, layers in builder.ts.
 * Names are scope paths, so that the graph reads like the module tree it came from.
 */
export class GraphCore {
  private readonly nodes: NodeProto[] = [];
  private readonly inputs: ValueInfoProto[] = [];
  private readonly outputs: { name: string; value: Value }[] = [];
  private readonly initializers = new Map<string, TensorProto>();
  private readonly usedParameters = new Map<string, { key: string; transform: ParameterTransform }>();
  private readonly expectations = new Map<string, readonly number[]>();
  private readonly names = new Map<string, number>();
  private readonly aliases = new Map<string, string>();
  private readonly frontiers: ValueInfoProto[] = [];
  private readonly widened = new Map<string, Value>();
  private path = '';
  /**
   * Stores matrices that are asked for in float32 as float16, and widens them where they are used: what is computed stays float32, so
   * that no activation passes float16's range.
   */
  storesHalves = false;

  /** @param parameters - tensors of the checkpoint by key; the graph takes what it uses and streams it when it is written */
  constructor(
    readonly opset: number,
    private readonly parameters: ReadonlyMap<string, Tensor>,
  ) {
    if (!(opset in IR_VERSION)) throw new RangeError(`no graph can be built for opset ${opset}`);
  }

  /** Runs `body` with `name/` before the name of every node it adds. */
  scope<T>(name: string, body: () => T): T {
    const outer = this.path;
    this.path = `${outer}${name}/`;
    try {
      return body();
    } finally {
      this.path = outer;
    }
  }

  /** Runs `body` with its parameters stored as they are asked for. */
  exactly<T>(body: () => T): T {
    const outer = this.storesHalves;
    this.storesHalves = false;
    try {
      return body();
    } finally {
      this.storesHalves = outer;
    }
  }

  input(name: string, dtype: Dtype, shape: readonly Dim[]): Value {
    this.inputs.push({ name, type: typeProto(dtype, shape) });
    this.names.set(name, 1);
    return { name, dtype, shape };
  }

  /** Makes `value` an output of the graph under `name`. */
  output(name: string, value: Value): void {
    this.outputs.push({ name, value: this.rename(value, name) });
  }

  /** Gives an inner value a name and a stated type, which the graph keeps: a frontier that it may be cut at. */
  named(value: Value, name: string): Value {
    this.frontiers.push({ name, type: typeProto(value.dtype, value.shape) });
    return this.rename(value, name);
  }

  private rename(value: Value, name: string): Value {
    if (this.names.has(name)) throw new RangeError(`two values named ${name}`);
    this.names.set(name, 1);
    if (this.aliases.has(value.name) || !this.nodes.some((node) => node.output.includes(value.name))) {
      const [copy] = this.node('Identity', [value], [value]);
      this.aliases.set(copy.name, name);
      return copy;
    }
    this.aliases.set(value.name, name);
    return value;
  }

  /** Appends a node; `results` are the types of its outputs. */
  node(
    opType: string,
    inputs: readonly (Value | null)[],
    results: readonly { readonly dtype: Dtype; readonly shape: readonly Dim[] }[],
    { attributes = [], name = opType }: NodeOptions = {},
  ): Value[] {
    const unique = this.uniqueName(`${this.path}${name}`);
    const values = results.map(({ dtype, shape }, i) => ({
      name: results.length === 1 ? unique : `${unique}.${i}`,
      dtype,
      shape,
    }));
    this.nodes.push({
      name: unique,
      opType,
      input: inputs.map((value) => value?.name ?? ''),
      output: values.map((value) => value.name),
      attribute: [...attributes],
    });
    return values;
  }

  /** A constant; equal constants are stored once. */
  constant(dtype: 'F32' | 'F16' | 'I64', shape: readonly number[], values: ArrayLike<number>): Value {
    if (values.length !== numel(shape))
      throw new RangeError(`${values.length} values do not fill ${formatShape(shape)}`);
    const name = `const.${dtype.toLowerCase()}.${constantName(shape, values)}`;
    if (!this.initializers.has(name)) {
      const raw =
        dtype === 'I64' ? bytesOf(BigInt64Array.from(Array.from(values), BigInt)) : bytesOf(Float32Array.from(values));
      const tensor: Tensor = {
        name,
        dtype: dtype === 'I64' ? 'I64' : 'F32',
        shape,
        async *chunks() {
          yield raw;
        },
      };
      this.addInitializer(name, dtype === 'F16' ? castTensor(tensor, 'F16') : tensor);
    }
    return { name, dtype, shape };
  }

  scalar(value: number, dtype: Dtype): Value {
    if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'I64') throw new RangeError(`no scalar constants of ${dtype}`);
    return this.constant(dtype, [], [value]);
  }

  /** A one-dimensional int64 constant: axes, sizes, indices. */
  ints(values: readonly number[]): Value {
    return this.constant('I64', [values.length], values);
  }

  has(key: string): boolean {
    return this.parameters.has(key);
  }

  /**
   * A tensor of the checkpoint, converted to `dtype`; stored once however often it is asked for.
   * @param shape - its shape in the checkpoint. Where it is another one, or the tensor is missing or no float, the graph goes on
   *   as if it were right, and `expectedTensors` tells: so that all that is wrong with a checkpoint is told at once
   * @throws RangeError for a tensor that is not there, where no shape was given
   */
  parameter(
    key: string,
    dtype: 'F32' | 'F16',
    transform: ParameterTransform = 'identity',
    shape?: readonly number[],
  ): Value {
    const axes = shape ?? this.parameters.get(key)?.shape ?? [];
    if (!this.storesHalves || dtype === 'F16' || axes.length < 2) return this.stored(key, dtype, transform, shape);
    const known = this.widened.get(key);
    if (known) return known;
    const [wide] = this.widen(this.stored(key, 'F16', transform, shape), key);
    this.widened.set(key, wide);
    return wide;
  }

  /** Rows of the parameter `key` [rows, width] by ids of any shape, in `dtype`; as `parameter`, but only the rows are widened. */
  lookUp(key: string, ids: Value, dtype: 'F32' | 'F16', shape: readonly number[]): Value {
    const table = this.stored(key, this.storesHalves ? 'F16' : dtype, 'identity', shape);
    const [rows] = this.node('Gather', [table, ids], [{ dtype: table.dtype, shape: [...ids.shape, shape[1]] }], {
      attributes: [intAttribute('axis', 0)],
    });
    return table.dtype === dtype ? rows : this.widen(rows, 'Cast')[0];
  }

  private widen(x: Value, name: string): Value[] {
    const attributes = [intAttribute('to', DATA_TYPE.FLOAT)];
    return this.node('Cast', [x], [{ dtype: 'F32', shape: x.shape }], { attributes, name: `${name}/wide` });
  }

  private stored(key: string, dtype: 'F32' | 'F16', transform: ParameterTransform, shape?: readonly number[]): Value {
    const source = this.parameters.get(key);
    if (shape) {
      this.expectations.set(key, shape);
      const fits = source && DTYPES[source.dtype].kind === 'float' && formatShape(source.shape) === formatShape(shape);
      if (!fits) return { name: key, dtype, shape: transform === 'transpose' ? shape.toReversed() : shape };
    }
    if (!source) throw new RangeError(`the checkpoint has no tensor ${key}`);
    const known = this.usedParameters.get(key);
    if (known && known.transform !== transform) throw new RangeError(`${key} is used both as it is and transposed`);
    const tensor = transform === 'transpose' ? transposed(source, dtype) : castTensor(source, dtype);
    if (!known) {
      this.usedParameters.set(key, { key, transform });
      this.addInitializer(key, tensor);
    }
    return { name: key, dtype, shape: tensor.shape };
  }

  /** Initializer names and how each came from the checkpoint, in the order of first use. */
  get parametersUsed(): ReadonlyMap<string, { readonly key: string; readonly transform: ParameterTransform }> {
    return this.usedParameters;
  }

  /** Tensors that were asked for with their shapes, in that order, whether the checkpoint has them so or not. */
  get expectedTensors(): ReadonlyMap<string, readonly number[]> {
    return this.expectations;
  }

  /** The finished model, weights still where they were. */
  build(graphName: string): OnnxModel {
    const final = (name: string): string => this.aliases.get(name) ?? name;
    return {
      irVersion: IR_VERSION[this.opset],
      producerName: 'hpsv3',
      graph: {
        node: this.nodes.map((node) => ({ ...node, input: node.input.map(final), output: node.output.map(final) })),
        name: graphName,
        initializer: [...this.initializers.values()],
        input: this.inputs,
        output: this.outputs.map(({ name, value }) => ({ name, type: typeProto(value.dtype, value.shape) })),
        valueInfo: this.frontiers,
      },
      opsetImport: [{ domain: '', version: this.opset }],
      metadataProps: [],
    };
  }

  private addInitializer(name: string, tensor: Tensor): void {
    this.names.set(name, 1);
    this.initializers.set(name, {
      name,
      dims: [...tensor.shape],
      dataType: DTYPES[tensor.dtype].onnx,
      rawData: { byteLength: byteLength(tensor), chunks: () => tensor.chunks() },
    });
  }

  private uniqueName(wanted: string): string {
    const seen = this.names.get(wanted) ?? 0;
    this.names.set(wanted, seen + 1);
    return seen === 0 ? wanted : this.uniqueName(`${wanted}_${seen}`);
  }
}
