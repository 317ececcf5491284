import type { Dtype } from '../tensor/dtype.js';
import { formatShape } from '../tensor/shape.js';
import { type Dim, GraphCore, type NodeOptions, type Value } from './graph-core.js';
import { DATA_TYPE, floatAttribute, intAttribute, intsAttribute, stringAttribute } from './model.js';

const ONNX_TYPE = {
  F32: DATA_TYPE.FLOAT,
  F16: DATA_TYPE.FLOAT16,
  I64: DATA_TYPE.INT64,
  I32: DATA_TYPE.INT32,
  BOOL: DATA_TYPE.BOOL,
} as const;

export interface ConvolutionOptions {
  /** One a spatial axis. */
  readonly strides: readonly number[];
  /** Padding before and after, one a spatial axis. */
  readonly pads: readonly number[];
  /** Padding after, where it is another than before. */
  readonly padsAfter?: readonly number[];
  /** Groups that channels are divided into; one by default. */
  readonly groups?: number;
}

/** Shape of an elementwise result by ONNX's (NumPy's) broadcasting. */
export function broadcast(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new RangeError(`shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast`);
  });
}

/** @param pads - before and after together */
function slidingSize(size: Dim, kernel: number, stride: number, pads: number): Dim {
  if (typeof size === 'number') return Math.floor((size + pads - kernel) / stride) + 1;
  if (stride === 1 && pads + 1 === kernel) return size;
  return `(${size}${pads - kernel < 0 ? ' - ' : ' + '}${Math.abs(pads - kernel)}) / ${stride} + 1`;
}

/** A product of sizes and symbols as `7 * batch`: one count, then the symbols; a bare number or symbol where that is all. */
function product(dims: readonly Dim[], divisor = 1): Dim {
  let count = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    const [, factor, symbol] = /^(?:(\d+) \* )?(.+)$/.exec(String(dim)) ?? [];
    if (typeof dim === 'number') count *= dim;
    else symbols.push(symbol);
    if (factor) count *= Number(factor);
  }
  count /= divisor;
  if (symbols.length === 0) return count;
  return count === 1 ? symbols.join(' * ') : `${count} * ${symbols.join(' * ')}`;
}

/** One method an ONNX operator, with its shape rule; each emits the form that the graph's opset has. */
export class GraphOps extends GraphCore {
  protected unary(opType: string, x: Value, options?: NodeOptions): Value {
    return this.node(opType, [x], [x], options)[0];
  }

  protected binary(opType: string, a: Value, b: Value, dtype: Dtype = a.dtype): Value {
    if (a.dtype !== b.dtype) throw new RangeError(`${opType} of ${a.dtype} and ${b.dtype}`);
    return this.node(opType, [a, b], [{ dtype, shape: broadcast(a.shape, b.shape) }])[0];
  }

  add = (a: Value, b: Value): Value => this.binary('Add', a, b);
  sub = (a: Value, b: Value): Value => this.binary('Sub', a, b);
  mul = (a: Value, b: Value): Value => this.binary('Mul', a, b);
  div = (a: Value, b: Value): Value => this.binary('Div', a, b);
  /** Elementwise maximum and minimum. */
  min = (a: Value, b: Value): Value => this.binary('Min', a, b);
  max = (a: Value, b: Value): Value => this.binary('Max', a, b);
  pow = (a: Value, b: Value): Value => this.binary('Pow', a, b);
  relu = (x: Value): Value => this.unary('Relu', x);
  tanh = (x: Value): Value => this.unary('Tanh', x);
  sigmoid = (x: Value): Value => this.unary('Sigmoid', x);
  neg = (x: Value): Value => this.unary('Neg', x);
  exp = (x: Value): Value => this.unary('Exp', x);
  sqrt = (x: Value): Value => this.unary('Sqrt', x);
  log = (x: Value): Value => this.unary('Log', x);
  erf = (x: Value): Value => this.unary('Erf', x);
  cos = (x: Value): Value => this.unary('Cos', x);
  sin = (x: Value): Value => this.unary('Sin', x);
  softmax = (x: Value): Value => this.unary('Softmax', x, { attributes: [intAttribute('axis', -1)] });

  cast(x: Value, dtype: keyof typeof ONNX_TYPE): Value {
    if (x.dtype === dtype) return x;
    return this.node('Cast', [x], [{ dtype, shape: x.shape }], {
      attributes: [intAttribute('to', ONNX_TYPE[dtype])],
    })[0];
  }

  matmul(a: Value, b: Value): Value {
    const inner = a.shape[a.shape.length - 1];
    if (inner !== b.shape[b.shape.length - 2] || a.dtype !== b.dtype) {
      throw new RangeError(`MatMul of ${a.dtype} ${formatShape(a.shape)} and ${b.dtype} ${formatShape(b.shape)}`);
    }
    const shape = [
      ...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)),
      a.shape[a.shape.length - 2],
      b.shape[b.shape.length - 1],
    ];
    return this.node('MatMul', [a, b], [{ dtype: a.dtype, shape }])[0];
  }

  /** x [rows, inputs] times the transpose of weight [outputs, inputs], plus bias. */
  gemm(x: Value, weight: Value, bias: Value | null): Value {
    if (x.shape.length !== 2 || x.shape[1] !== weight.shape[1]) {
      throw new RangeError(`Gemm of ${formatShape(x.shape)} and ${formatShape(weight.shape)} transposed`);
    }
    const inputs = bias ? [x, weight, bias] : [x, weight];
    return this.node('Gemm', inputs, [{ dtype: x.dtype, shape: [x.shape[0], weight.shape[0]] }], {
      attributes: [intAttribute('transB', 1)],
    })[0];
  }

  /** Convolution over one, two or three spatial axes: x [batch, channels, …]. */
  conv(x: Value, weight: Value, bias: Value | null, options: ConvolutionOptions): Value {
    const { strides, pads, padsAfter = pads, groups = 1 } = options;
    const kernel = weight.shape.slice(2) as number[];
    if (x.shape.length !== weight.shape.length || x.shape[1] !== (weight.shape[1] as number) * groups) {
      throw new RangeError(`Conv of ${formatShape(x.shape)} with ${formatShape(weight.shape)}`);
    }
    const spatial = kernel.map((size, i) => slidingSize(x.shape[i + 2], size, strides[i], pads[i] + padsAfter[i]));
    const attributes = [
      intsAttribute('kernel_shape', kernel),
      intsAttribute('pads', [...pads, ...padsAfter]),
      intsAttribute('strides', strides),
      ...(groups === 1 ? [] : [intAttribute('group', groups)]),
    ];
    const inputs = bias ? [x, weight, bias] : [x, weight];
    return this.node('Conv', inputs, [{ dtype: x.dtype, shape: [x.shape[0], weight.shape[0], ...spatial] }], {
      attributes,
    })[0];
  }

  maxPool(x: Value, kernel: readonly number[], { strides, pads }: ConvolutionOptions): Value {
    const spatial = kernel.map((size, i) => slidingSize(x.shape[i + 2], size, strides[i], 2 * pads[i]));
    const attributes = [
      intsAttribute('kernel_shape', kernel),
      intsAttribute('pads', [...pads, ...pads]),
      intsAttribute('strides', strides),
    ];
    return this.node('MaxPool', [x], [{ dtype: x.dtype, shape: [...x.shape.slice(0, 2), ...spatial] }], {
      attributes,
    })[0];
  }

  /** BatchNormalization with running statistics: parameters [channels] each. */
  batchNormalization(
    x: Value,
    parameters: { scale: Value; bias: Value; mean: Value; variance: Value },
    epsilon: number,
  ): Value {
    const { scale, bias, mean, variance } = parameters;
    return this.node('BatchNormalization', [x, scale, bias, mean, variance], [x], {
      attributes: [floatAttribute('epsilon', epsilon)],
    })[0];
  }

  /** InstanceNormalization: each channel of x [batch, channels, …] by itself; scale and bias [channels]. */
  instanceNormalization(x: Value, scale: Value, bias: Value, epsilon: number): Value {
    return this.node('InstanceNormalization', [x, scale, bias], [x], {
      attributes: [floatAttribute('epsilon', epsilon)],
    })[0];
  }

  /**
   * A bidirectional LSTM over x [tokens, batch, inputs]: [tokens, 2, batch, hidden].
   * @param weights - for both directions, gates in ONNX's order: input [2, 4 hidden, inputs], state [2, 4 hidden, hidden], biases [2, 8 hidden]
   */
  lstm(x: Value, weights: { input: Value; state: Value; biases: Value }, hidden: number): Value {
    const shape = [x.shape[0], 2, x.shape[1], hidden];
    const attributes = [intAttribute('hidden_size', hidden), stringAttribute('direction', 'bidirectional')];
    return this.node('LSTM', [x, weights.input, weights.state, weights.biases], [{ dtype: x.dtype, shape }], {
      attributes,
    })[0];
  }

  /** Reshape by a constant: 0 keeps an axis, -1 takes what is left. */
  reshape(x: Value, target: readonly number[]): Value {
    const rest = [...x.shape];
    const shape = target.map((size, axis): Dim => {
      if (size === 0) {
        const kept = x.shape[axis];
        rest.splice(rest.indexOf(kept), 1);
        return kept;
      }
      return size;
    });
    const wild = shape.indexOf(-1);
    if (wild >= 0)
      shape[wild] = product(
        rest,
        target.reduce((all, size) => (size > 0 ? all * size : all), 1),
      );
    return this.node('Reshape', [x, this.ints(target)], [{ dtype: x.dtype, shape }])[0];
  }

  transpose(x: Value, permutation: readonly number[]): Value {
    const shape = permutation.map((axis) => x.shape[axis]);
    return this.node('Transpose', [x], [{ dtype: x.dtype, shape }], {
      attributes: [intsAttribute('perm', permutation)],
    })[0];
  }

  squeeze(x: Value, axis: number): Value {
    const shape = x.shape.filter((_, i) => i !== axis);
    return this.node('Squeeze', [x, this.ints([axis])], [{ dtype: x.dtype, shape }])[0];
  }

  /** Adds axes of size 1 at the given places of the result, in ascending order. */
  unsqueeze(x: Value, axes: readonly number[]): Value {
    const shape = [...x.shape];
    for (const axis of axes) shape.splice(axis, 0, 1);
    return this.node('Unsqueeze', [x, this.ints(axes)], [{ dtype: x.dtype, shape }])[0];
  }

  concat(parts: readonly Value[], axis: number): Value {
    const shape = [...parts[0].shape];
    const sizes = parts.map((part) => part.shape[axis]);
    shape[axis] = sizes.every((size) => typeof size === 'number')
      ? sizes.reduce<number>((a, b) => a + (b as number), 0)
      : sizes.join(' + ');
    return this.node('Concat', parts, [{ dtype: parts[0].dtype, shape }], {
      attributes: [intAttribute('axis', axis)],
    })[0];
  }

  /** Equal parts of an axis of known size. */
  split(x: Value, axis: number, count: number): Value[] {
    const size = (x.shape[axis] as number) / count;
    const part = { dtype: x.dtype, shape: x.shape.map((dim, i) => (i === axis ? size : dim)) };
    const sizes = this.ints(new Array<number>(count).fill(size));
    return this.node('Split', [x, sizes], new Array(count).fill(part), { attributes: [intAttribute('axis', axis)] });
  }

  /** Row `index` of the first axis, without that axis. */
  row(x: Value, index: number): Value {
    const at = this.scalar(index, 'I64');
    return this.node('Gather', [x, at], [{ dtype: x.dtype, shape: x.shape.slice(1) }], {
      attributes: [intAttribute('axis', 0)],
    })[0];
  }

  /** Rows of `table` [rows, width] by indices of any shape. */
  gather(table: Value, indices: Value): Value {
    const shape = [...indices.shape, ...table.shape.slice(1)];
    return this.node('Gather', [table, indices], [{ dtype: table.dtype, shape }], {
      attributes: [intAttribute('axis', 0)],
    })[0];
  }

  /** The first rows of `table`, as many as `like` has along `axis`. */
  rowsLike(table: Value, like: Value, axis: number): Value {
    const size = like.shape[axis];
    if (size === table.shape[0]) return table;
    const end = typeof size === 'number' ? this.ints([size]) : this.sizeOf(like, axis);
    return this.node(
      'Slice',
      [table, this.ints([0]), end, this.ints([0])],
      [{ dtype: table.dtype, shape: [size, ...table.shape.slice(1)] }],
    )[0];
  }

  /** The size of an axis as an int64 [1], read when the graph runs. */
  sizeOf(x: Value, axis: number): Value {
    const [shape] = this.node('Shape', [x], [{ dtype: 'I64', shape: [x.shape.length] }]);
    return this.node(
      'Slice',
      [shape, this.ints([axis]), this.ints([axis + 1]), this.ints([0])],
      [{ dtype: 'I64', shape: [1] }],
    )[0];
  }

  /** Zeros before `x` along its last axis, as many as `like` has along `axis`. */
  padLastAxisLike(x: Value, like: Value, axis: number): Value {
    const size = like.shape[axis];
    const last = x.shape.length - 1;
    const none = (count: number): Value => this.ints(new Array<number>(count).fill(0));
    const pads =
      typeof size === 'number'
        ? this.ints([...new Array<number>(last).fill(0), size, ...new Array<number>(last + 1).fill(0)])
        : this.concat([none(last), this.sizeOf(like, axis), none(last + 1)], 0);
    const width = x.shape[last];
    const padded = typeof size === 'number' && typeof width === 'number' ? size + width : `${size} + ${width}`;
    return this.node('Pad', [x, pads], [{ dtype: x.dtype, shape: [...x.shape.slice(0, last), padded] }])[0];
  }

  reduceMean = (x: Value, axis: number, keepDims: boolean): Value => this.reduce('ReduceMean', 18, x, axis, keepDims);
  reduceSum = (x: Value, axis: number, keepDims: boolean): Value => this.reduce('ReduceSum', 13, x, axis, keepDims);
  reduceMax = (x: Value, axis: number, keepDims: boolean): Value => this.reduce('ReduceMax', 18, x, axis, keepDims);
  /** Euclidean norm. */
  reduceL2 = (x: Value, axis: number, keepDims: boolean): Value => this.reduce('ReduceL2', 18, x, axis, keepDims);

  /** @param axesAreInput - the opset since which the axes are an input, not an attribute */
  private reduce(opType: string, axesAreInput: number, x: Value, axis: number, keepDims: boolean): Value {
    const at = axis < 0 ? axis + x.shape.length : axis;
    const shape = keepDims ? x.shape.map((size, i) => (i === at ? 1 : size)) : x.shape.filter((_, i) => i !== at);
    const keep = intAttribute('keepdims', keepDims ? 1 : 0);
    const result = [{ dtype: x.dtype as Dtype, shape }];
    return this.opset >= axesAreInput
      ? this.node(opType, [x, this.ints([axis])], result, { attributes: [keep] })[0]
      : this.node(opType, [x], result, { attributes: [intsAttribute('axes', [axis]), keep] })[0];
  }
}
