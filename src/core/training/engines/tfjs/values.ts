import type { Tensor } from '@tensorflow/tfjs';
import { HpsError } from '../../../errors.js';
import type { TensorProto } from '../../../onnx/model.js';
import { rawBytesOf, tensorOf } from '../../../onnx/tensor-data.js';
import {
  float32Value,
  floatsOf,
  isFloatValue,
  isValueDtype,
  type TensorValue,
  valueFromBytes,
} from '../../../runtime/value.js';
import { readTensor } from '../../../tensor/tensor.js';
import type { Tf } from './operator.js';

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;

/**
 * A value as TensorFlow.js holds it: every float as float32, every integer as int32, saturated (ONNX writes "to the end" as the
 * largest int64), booleans as they are.
 */
export function toTensor(tf: Tf, value: TensorValue): Tensor {
  const shape = [...value.shape];
  if (isFloatValue(value)) return tf.tensor(floatsOf(value), shape, 'float32');
  if (value.dtype === 'BOOL') return tf.tensor(value.data as Uint8Array, shape, 'bool');
  const saturate = (x: number | bigint): number => Math.min(Math.max(Number(x), INT32_MIN), INT32_MAX);
  return tf.tensor(Int32Array.from(value.data as ArrayLike<number>, saturate), shape, 'int32');
}

/**
 * The values of a tensor, copied: tensors may share one buffer. A float tensor that was cast from integers still has theirs on
 * the cpu backend.
 */
export async function fromTensor(tensor: Tensor): Promise<TensorValue> {
  const { shape } = tensor;
  const data = await tensor.data();
  if (tensor.dtype === 'float32') return float32Value(shape, Float32Array.from(data));
  if (tensor.dtype === 'bool') return { dtype: 'BOOL', shape, data: Uint8Array.from(data) };
  return { dtype: 'I32', shape, data: Int32Array.from(data) };
}

/** A tensor of a model, wherever its bytes lie. */
export async function readValue(proto: TensorProto): Promise<TensorValue> {
  const tensor = tensorOf(proto);
  if (!isValueDtype(tensor.dtype)) throw unreadable(proto);
  return valueFromBytes(tensor.dtype, tensor.shape, await readTensor(tensor));
}

/** A tensor of a model whose bytes are in memory: the small ones that attributes hold. */
export function valueInMemory(proto: TensorProto): TensorValue {
  const { dtype, shape } = tensorOf(proto);
  const bytes = rawBytesOf(proto);
  if (!isValueDtype(dtype) || !(bytes instanceof Uint8Array)) throw unreadable(proto);
  return valueFromBytes(dtype, shape, bytes);
}

const unreadable = ({ name = '(unnamed)', dataType }: TensorProto): HpsError =>
  new HpsError('ONNX_UNSUPPORTED', `tensor ${name} cannot be given to TensorFlow.js`, {
    hint: 'Use a model whose weights are real numbers or booleans.',
    details: { tensor: name, dataType },
  });
