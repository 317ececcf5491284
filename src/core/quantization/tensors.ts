import { DATA_TYPE, type TensorProto } from '../onnx/model.js';
import { bytesOf } from '../tensor/values.js';

const tensor = (name: string, dataType: number, dims: readonly number[], values: ArrayBufferView): TensorProto => ({
  name,
  dims: [...dims],
  dataType,
  rawData: bytesOf(values),
});

export const floats = (name: string, dims: readonly number[], values: ArrayLike<number>): TensorProto =>
  tensor(name, DATA_TYPE.FLOAT, dims, Float32Array.from(values));

export const ints32 = (name: string, dims: readonly number[], values: Int32Array): TensorProto =>
  tensor(name, DATA_TYPE.INT32, dims, values);

export const ints64 = (name: string, values: readonly number[]): TensorProto =>
  tensor(name, DATA_TYPE.INT64, [values.length], BigInt64Array.from(values, BigInt));

/** Zero points of int8 weights, all 0. */
export const zeros8 = (name: string, dims: readonly number[], count: number): TensorProto =>
  tensor(name, DATA_TYPE.INT8, dims, new Int8Array(count));

/** A rank-0 zero point of an activation: runtimes fuse no other. */
export const scalarU8 = (name: string, value: number): TensorProto =>
  tensor(name, DATA_TYPE.UINT8, [], Uint8Array.of(value));

export const scalarFloat = (name: string, value: number): TensorProto =>
  tensor(name, DATA_TYPE.FLOAT, [], Float32Array.of(value));
