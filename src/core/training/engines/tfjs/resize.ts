import type { Tensor } from '@tensorflow/tfjs';
import { floatOf, intOf, intsOf, type NodeProto, stringOf } from '../../../onnx/model.js';
import { matrixProduct } from './matmul.js';
import { type Call, frontAxes, numbersOf, type Operator, unsupportedNode } from './operator.js';

/** What a result's place `at` is in an axis of the input, as a fraction between its values. */
type Coordinate = (
  at: number,
  axis: { readonly size: number; readonly result: number; readonly scale: number },
) => number;

const COORDINATES: Readonly<Record<string, Coordinate>> = {
  half_pixel: (at, { scale }) => (at + 0.5) / scale - 0.5,
  pytorch_half_pixel: (at, { scale, result }) => (result > 1 ? (at + 0.5) / scale - 0.5 : 0),
  align_corners: (at, { size, result }) => (result > 1 ? (at * (size - 1)) / (result - 1) : 0),
  asymmetric: (at, { scale }) => at / scale,
};

const ROUNDINGS: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Weights of the values `first`, `first + 1`, … for the coordinate `x`. */
type Kernel = (x: number) => { readonly first: number; readonly weights: readonly number[] };

const linear: Kernel = (x) => {
  const first = Math.floor(x);
  return { first, weights: [1 - (x - first), x - first] };
};

/** Cubic convolution (Keys, 1981) with the coefficient `a`. */
const cubic =
  (a: number): Kernel =>
  (x) => {
    const first = Math.floor(x) - 1;
    const weights = [0, 1, 2, 3].map((i) => {
      const d = Math.abs(x - first - i);
      return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    });
    return { first, weights };
  };

function kernelOf(node: NodeProto): Kernel {
  const mode = stringOf(node, 'mode', 'nearest');
  if (mode === 'linear') return linear;
  if (mode === 'cubic') return cubic(floatOf(node, 'cubic_coeff_a', -0.75));
  const round = ROUNDINGS[stringOf(node, 'nearest_mode', 'round_prefer_floor')];
  if (mode !== 'nearest' || !round) throw unsupportedNode(node, `mode ${mode} is not run here`);
  return (x) => ({ first: round(x), weights: [1] });
}

/** [size, result]: column j holds the weights of the values that result j is made of; those outside repeat the edge. */
function interpolation(node: NodeProto, size: number, result: number, scale: number): Float32Array {
  const coordinate = COORDINATES[stringOf(node, 'coordinate_transformation_mode', 'half_pixel')];
  if (!coordinate) throw unsupportedNode(node, 'its coordinate_transformation_mode is not run here');
  const kernel = kernelOf(node);
  const matrix = new Float32Array(size * result);
  for (let j = 0; j < result; j++) {
    const { first, weights } = kernel(coordinate(j, { size, result, scale }));
    for (const [i, weight] of weights.entries()) {
      const place = Math.min(Math.max(first + i, 0), size - 1);
      matrix[place * result + j] += weight;
    }
  }
  return matrix;
}

/** One axis after the other, each by a product with its matrix of weights: every mode is linear in the values. */
const resize: Operator = (call: Call, x: Tensor, _roi?: Tensor, scalesInput?: Tensor, sizesInput?: Tensor) => {
  const { tf, node } = call;
  if (intOf(node, 'antialias', 0) !== 0 || intOf(node, 'exclude_outside', 0) !== 0) {
    throw unsupportedNode(node, 'antialias and exclude_outside are not run here');
  }
  if (stringOf(node, 'keep_aspect_ratio_policy', 'stretch') !== 'stretch') {
    throw unsupportedNode(node, 'keep_aspect_ratio_policy is not run here');
  }
  const axes = frontAxes(intsOf(node, 'axes') ?? x.shape.map((_, axis) => axis), x.rank);
  const scales = scalesInput && scalesInput.size > 0 ? numbersOf(scalesInput) : undefined;
  const sizes = sizesInput && sizesInput.size > 0 ? numbersOf(sizesInput) : undefined;
  return axes.reduce((resized, axis, i) => {
    const size = x.shape[axis];
    const result = sizes?.[i] ?? Math.floor(size * (scales?.[i] ?? 1));
    const scale = scales?.[i] ?? result / size;
    if (result === size && scale === 1) return resized;
    const matrix = tf.tensor2d(interpolation(node, size, result, scale), [size, result]);
    const order = resized.shape.map((_, at) => at);
    [order[axis], order[x.rank - 1]] = [x.rank - 1, axis]; // a swap undoes itself
    return tf.transpose(matrixProduct(call, tf.transpose(resized, order), matrix), order);
  }, x);
};

export const RESIZE: Readonly<Record<string, Operator>> = { Resize: resize };
