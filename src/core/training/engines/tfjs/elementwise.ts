import type { Tensor } from '@tensorflow/tfjs';
import { DATA_TYPE, floatOf, intOf, stringOf } from '../../../onnx/model.js';
import { broadcastShapes, type Call, detached, expandTo, type Operator, type Tf, unsupportedNode } from './operator.js';

const unary =
  (compute: (tf: Tf, x: Tensor) => Tensor): Operator =>
  ({ tf }, x) =>
    compute(tf, x);

const binary =
  (compute: (tf: Tf, a: Tensor, b: Tensor) => Tensor): Operator =>
  ({ tf }, a, b) =>
    compute(tf, a, b);

/** An operator that is constant almost everywhere, or not of floats: nothing is differentiated through it. */
const constant =
  (compute: (tf: Tf, ...inputs: Tensor[]) => Tensor): Operator =>
  (call, ...inputs) =>
    detached(call, () => compute(call.tf, ...inputs));

/** All in one shape first: what TensorFlow.js returns as gradient of a broadcast side of an extremum or a choice is not summed. */
function alike(call: Call, tensors: readonly Tensor[]): Tensor[] {
  const shape = tensors.map((each) => each.shape).reduce(broadcastShapes);
  return tensors.map((each) => expandTo(call, each, [...shape]));
}

const extremum =
  (compute: (tf: Tf, a: Tensor, b: Tensor) => Tensor): Operator =>
  (call, ...inputs) =>
    alike(call, inputs).reduce((a, b) => compute(call.tf, a, b));

const maximum = extremum((tf, a, b) => tf.maximum(a, b));
const minimum = extremum((tf, a, b) => tf.minimum(a, b));

const sum: Operator = ({ tf }, ...inputs) => inputs.reduce((a, b) => tf.add(a, b));

/** Quotient; of integers rounded towards zero, as ONNX and C do. */
function divide(tf: Tf, a: Tensor, b: Tensor): Tensor {
  if (a.dtype === 'float32' || b.dtype === 'float32') return tf.div(a, b);
  const sign = tf.cast(tf.mul(tf.sign(a), tf.sign(b)), 'int32');
  return tf.mul(tf.floorDiv(tf.abs(a), tf.abs(b)), sign);
}

/** x Phi(x), exact or by tanh (Hendrycks and Gimpel, 2016). */
const gelu: Operator = ({ tf, node }, x) => {
  if (stringOf(node, 'approximate', 'none') === 'none') {
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.div(x, Math.SQRT2)), 1));
  }
  const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
};

const clip: Operator = (call, x: Tensor, low?: Tensor, high?: Tensor) => {
  const floored = low ? maximum(call, x, low) : x;
  return high ? minimum(call, floored as Tensor, high) : floored;
};

const where: Operator = (call, condition, a, b) => {
  const [chooser, yes, no] = alike(call, [condition, a, b]);
  return call.tf.where(chooser, yes, no);
};

const hardSigmoid = (tf: Tf, x: Tensor, alpha: number, beta: number): Tensor =>
  tf.clipByValue(tf.add(tf.mul(x, alpha), beta), 0, 1);

/** Slope `alpha` left of zero. The two halves are computed apart, so that a tensor of slopes is differentiated too. */
const leaky = ({ tf }: Call, x: Tensor, alpha: Tensor | number): Tensor =>
  tf.sub(tf.relu(x), tf.mul(alpha, tf.relu(tf.neg(x))));

const FLOATS: ReadonlySet<number> = new Set([DATA_TYPE.FLOAT, DATA_TYPE.FLOAT16, DATA_TYPE.BFLOAT16, DATA_TYPE.DOUBLE]);
const INTEGERS: ReadonlySet<number> = new Set([
  DATA_TYPE.INT8,
  DATA_TYPE.INT16,
  DATA_TYPE.INT32,
  DATA_TYPE.INT64,
  DATA_TYPE.UINT8,
  DATA_TYPE.UINT16,
  DATA_TYPE.UINT32,
  DATA_TYPE.UINT64,
]);

/** Between kinds of numbers; a cast from one width of float to another changes nothing here. */
const cast: Operator = (call, x) => {
  const { tf, node } = call;
  const to = intOf(node, 'to', 0);
  if (FLOATS.has(to)) return x.dtype === 'float32' ? x : detached(call, () => tf.cast(x, 'float32'));
  if (INTEGERS.has(to)) return detached(call, () => tf.cast(x, 'int32'));
  if (to === DATA_TYPE.BOOL) return detached(call, () => tf.cast(x, 'bool'));
  throw unsupportedNode(node, `TensorFlow.js has no type ${to} to cast to`);
};

/** Of one value at a time, with broadcasting. */
export const ELEMENTWISE: Readonly<Record<string, Operator>> = {
  Abs: unary((tf, x) => tf.abs(x)),
  Cos: unary((tf, x) => tf.cos(x)),
  Erf: unary((tf, x) => tf.erf(x)),
  Exp: unary((tf, x) => tf.exp(x)),
  Log: unary((tf, x) => tf.log(x)),
  Neg: unary((tf, x) => tf.neg(x)),
  Reciprocal: unary((tf, x) => tf.div(1, x)),
  Relu: unary((tf, x) => tf.relu(x)),
  Sigmoid: unary((tf, x) => tf.sigmoid(x)),
  Sin: unary((tf, x) => tf.sin(x)),
  Softplus: unary((tf, x) => tf.softplus(x)),
  Softsign: unary((tf, x) => tf.div(x, tf.add(tf.abs(x), 1))),
  Sqrt: unary((tf, x) => tf.sqrt(x)),
  Tanh: unary((tf, x) => tf.tanh(x)),
  Gelu: gelu,
  Elu: ({ tf, node }, x) => tf.add(tf.relu(x), tf.mul(floatOf(node, 'alpha', 1), tf.sub(tf.exp(tf.minimum(x, 0)), 1))),
  LeakyRelu: (call, x) => leaky(call, x, floatOf(call.node, 'alpha', 0.01)),
  PRelu: leaky,
  HardSigmoid: ({ tf, node }, x) => hardSigmoid(tf, x, floatOf(node, 'alpha', 0.2), floatOf(node, 'beta', 0.5)),
  HardSwish: ({ tf }, x) => tf.mul(x, hardSigmoid(tf, x, 1 / 6, 0.5)),

  Add: binary((tf, a, b) => tf.add(a, b)),
  Sub: binary((tf, a, b) => tf.sub(a, b)),
  Mul: binary((tf, a, b) => tf.mul(a, b)),
  Div: binary(divide),
  Pow: binary((tf, a, b) => tf.pow(a, b.dtype === a.dtype ? b : tf.cast(b, a.dtype))),
  Max: maximum,
  Min: minimum,
  Sum: sum,
  Mean: (call, ...inputs) => call.tf.div(sum(call, ...inputs) as Tensor, inputs.length),
  Clip: clip,
  Where: where,
  Cast: cast,
  // The types of this engine decide: between those that it keeps apart there is nothing to learn through.
  CastLike: (call, x, like) => (x.dtype === like.dtype ? x : detached(call, () => call.tf.cast(x, like.dtype))),
  Identity: (_, x) => x,
  // Without `training_mode` it passes its input on; masks that training draws are inputs of our own.
  Dropout: ({ node }, x) => {
    if (node.output.length > 1 || node.input[2]) throw unsupportedNode(node, 'only the form for inference is run here');
    return x;
  },

  Ceil: constant((tf, x) => tf.ceil(x)),
  Floor: constant((tf, x) => tf.floor(x)),
  Round: constant((tf, x) => tf.round(x)),
  Sign: constant((tf, x) => tf.sign(x)),
  IsNaN: constant((tf, x) => tf.isNaN(x)),
  Not: constant((tf, x) => tf.logicalNot(x)),
  And: constant((tf, a, b) => tf.logicalAnd(a, b)),
  Or: constant((tf, a, b) => tf.logicalOr(a, b)),
  Xor: constant((tf, a, b) => tf.logicalXor(a, b)),
  Equal: constant((tf, a, b) => tf.equal(a, b)),
  Greater: constant((tf, a, b) => tf.greater(a, b)),
  GreaterOrEqual: constant((tf, a, b) => tf.greaterEqual(a, b)),
  Less: constant((tf, a, b) => tf.less(a, b)),
  LessOrEqual: constant((tf, a, b) => tf.lessEqual(a, b)),
};
