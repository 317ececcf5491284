import type { Tensor } from '@tensorflow/tfjs';
import { HpsError } from '../../../errors.js';
import type { NodeProto } from '../../../onnx/model.js';

/** TensorFlow.js as its packages export it; which package that is, `backend.ts` decides. */
export type Tf = typeof import('@tensorflow/tfjs');

/** What an operator knows besides its inputs. */
export interface Call {
  readonly tf: Tf;
  readonly node: NodeProto;
  readonly opset: number;
}

/**
 * An ONNX operator by operators of TensorFlow.js that have gradients. Inputs that the node leaves out are undefined.
 * Floats of any width are float32 here, integers int32 (saturated), and tensors keep the layout of ONNX (channels second).
 */
export type Operator = (call: Call, ...inputs: Tensor[]) => Tensor | Tensor[];

/** What messages call a node. */
export const nodeLabel = ({ name, output, opType }: NodeProto): string =>
  `node ${name || output.find(Boolean) || '(unnamed)'} (${opType})`;

/** A form of an operator that is not run here (ONNX_UNSUPPORTED, exit 2). `what` continues the sentence `node N (Op): …`. */
export function unsupportedNode(node: NodeProto, what: string, cause?: unknown): HpsError {
  return new HpsError('ONNX_UNSUPPORTED', `${nodeLabel(node)}: ${what}`, {
    hint: 'Use `engine` onnxruntime for this model.',
    details: { operator: node.opType, node: node.name ?? '' },
    cause,
  });
}

/**
 * The result of `compute` without the tape: a constant to every gradient. TensorFlow.js has no gradients of comparisons and
 * refuses gradients of integers, even where a condition or an index is all they are used for.
 */
export const detached = ({ tf }: Call, compute: () => Tensor): Tensor =>
  tf.customGrad(() => ({ value: compute(), gradFunc: () => [] }))();

/** The values of a tensor that says how to compute, not what: axes, sizes, indices. */
export const numbersOf = (tensor: Tensor): number[] => Array.from(tensor.dataSync());

/** Axes counted from the front. */
export const frontAxes = (axes: readonly number[], rank: number): number[] =>
  axes.map((axis) => (axis < 0 ? axis + rank : axis));

/** Shape of both by ONNX's (NumPy's) broadcasting; tf checks that they fit. */
export function broadcastShapes(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    return x === 1 ? y : x;
  });
}

/** `x` repeated to `shape`. Floats by a product with ones: the gradient of tf.tile, which tf.broadcastTo runs, ends at four axes. */
export function expandTo({ tf }: Pick<Call, 'tf'>, x: Tensor, shape: number[]): Tensor {
  if (x.shape.join() === shape.join()) return x;
  return x.dtype === 'float32' ? tf.mul(x, tf.ones(shape)) : tf.broadcastTo(x, shape);
}

/** A parameter [channels] in a shape that broadcasts with x [batch, channels, …]. */
export const perChannel = ({ tf }: Pick<Call, 'tf'>, parameter: Tensor, x: Tensor): Tensor =>
  tf.reshape(parameter, [-1, ...new Array<number>(Math.max(x.rank - 2, 0)).fill(1)]);
