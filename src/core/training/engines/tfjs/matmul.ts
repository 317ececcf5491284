import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { floatOf, intOf } from '../../../onnx/model.js';
import { numel } from '../../../tensor/shape.js';
import { broadcastShapes, type Call, expandTo, type Operator } from './operator.js';

/**
 * The product over the last two axes, the others broadcast. TensorFlow.js broadcasts them too, but the gradient it returns then
 * has the shape of the result: they are made equal first.
 */
export function matrixProduct({ tf }: Pick<Call, 'tf'>, a: Tensor, b: Tensor): Tensor {
  if (a.rank === 1) return tf.squeeze(matrixProduct({ tf }, tf.expandDims(a, 0), b), [Math.max(b.rank - 2, 0)]);
  if (b.rank === 1) return tf.squeeze(matrixProduct({ tf }, a, tf.expandDims(b, 1)), [a.rank - 1]);
  const [rows, inner] = a.shape.slice(-2);
  const columns = b.shape[b.rank - 1];
  if (b.rank === 2) {
    const flat = tf.matMul(tf.reshape(a, [-1, inner]) as Tensor2D, b as Tensor2D);
    return tf.reshape(flat, [...a.shape.slice(0, -1), columns]);
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const stacked = (x: Tensor): Tensor3D => {
    const [height, width] = x.shape.slice(-2);
    return tf.reshape(expandTo({ tf }, x, [...batch, height, width]), [numel(batch), height, width]);
  };
  return tf.reshape(tf.matMul(stacked(a), stacked(b)), [...batch, rows, columns]);
}

const gemm: Operator = ({ tf, node }, a: Tensor, b: Tensor, c?: Tensor) => {
  const product = tf.matMul(
    a as Tensor2D,
    b as Tensor2D,
    intOf(node, 'transA', 0) !== 0,
    intOf(node, 'transB', 0) !== 0,
  );
  const alpha = floatOf(node, 'alpha', 1);
  const beta = floatOf(node, 'beta', 1);
  const scaled = alpha === 1 ? product : tf.mul(product, alpha);
  return c ? tf.add(scaled, beta === 1 ? c : tf.mul(c, beta)) : scaled;
};

export const MATMUL: Readonly<Record<string, Operator>> = { MatMul: matrixProduct, Gemm: gemm };
