import { float16ToFloat32, float32ToFloat16 } from '../bytes/half.js';
import type { Dtype } from '../tensor/dtype.js';
import { formatShape, numel } from '../tensor/shape.js';
import { aligned, toFloat32 } from '../tensor/values.js';

/** The array that holds a dtype's elements. F16 and BF16 are held as their bits, BOOL as 0 and 1. */
const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const satisfies Partial<Record<Dtype, unknown>>;

/** Dtypes a model's inputs and outputs may have here. */
export type ValueDtype = keyof typeof ARRAYS;
export type ValueData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

export const isValueDtype = (dtype: string): dtype is ValueDtype => Object.hasOwn(ARRAYS, dtype);

/** An input or output of a model: contiguous and row-major. */
export interface TensorValue {
  readonly dtype: ValueDtype;
  readonly shape: readonly number[];
  readonly data: ValueData;
}

/** A value over little-endian bytes; a view where they are aligned. */
export function valueFromBytes(dtype: ValueDtype, shape: readonly number[], bytes: Uint8Array): TensorValue {
  const ArrayType = ARRAYS[dtype];
  const view = aligned(bytes, ArrayType.BYTES_PER_ELEMENT);
  const length = numel(shape);
  if (length * ArrayType.BYTES_PER_ELEMENT !== bytes.byteLength) {
    throw new RangeError(`${bytes.byteLength} bytes do not fill ${dtype} ${formatShape(shape)}`);
  }
  return { dtype, shape, data: new ArrayType(view.buffer as ArrayBuffer, view.byteOffset, length) };
}

export const float32Value = (shape: readonly number[], data: Float32Array): TensorValue => ({
  dtype: 'F32',
  shape,
  data,
});

const isFloat = (dtype: ValueDtype): boolean =>
  dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
export const isFloatValue = (value: TensorValue): boolean => isFloat(value.dtype);

/** The elements as float32, for comparing: exact up to 24 bits of significand, rounded beyond. */
export function floatsOf(value: TensorValue): Float32Array {
  if (value.data instanceof Float32Array) return value.data;
  if (value.dtype === 'F16') return float16ToFloat32(value.data as Uint16Array);
  return toFloat32(new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength), value.dtype);
}

/** The same numbers in another dtype, rounded to nearest where it is narrower. BF16 cannot be made. */
export function castValue(value: TensorValue, dtype: ValueDtype): TensorValue {
  if (value.dtype === dtype) return value;
  const { shape } = value;
  if (dtype === 'BF16') throw new RangeError('values are not cast to BF16');
  if (dtype === 'F16') return { dtype, shape, data: float32ToFloat16(floatsOf(value)) };
  const numbers: ArrayLike<number> = isFloat(value.dtype)
    ? floatsOf(value)
    : Array.from(value.data as Int32Array, Number);
  if (dtype === 'I64') return { dtype, shape, data: BigInt64Array.from(numbers, (x) => BigInt(Math.trunc(x))) };
  if (dtype === 'U64') return { dtype, shape, data: BigUint64Array.from(numbers, (x) => BigInt(Math.trunc(x))) };
  return { dtype, shape, data: ARRAYS[dtype].from(numbers) };
}

/** Rows `rows` of a value, in that order, along its first dimension. */
export function takeRows(value: TensorValue, rows: readonly number[]): TensorValue {
  const stride = numel(value.shape.slice(1));
  const data = new ARRAYS[value.dtype](stride * rows.length);
  for (const [to, from] of rows.entries())
    data.set(value.data.subarray(from * stride, (from + 1) * stride) as never, to * stride);
  return { dtype: value.dtype, shape: [rows.length, ...value.shape.slice(1)], data };
}

/** The same where sample i has `counts[i]` rows, one after the other. */
export function takeRuns(value: TensorValue, counts: readonly number[], samples: readonly number[]): TensorValue {
  const starts = counts.map((_, i) => counts.slice(0, i).reduce((sum, count) => sum + count, 0));
  return takeRows(
    value,
    samples.flatMap((sample) => Array.from({ length: counts[sample] }, (_, row) => starts[sample] + row)),
  );
}

/** Room for `count` values that have the dtype and shape of this one, one after the other along the first dimension. */
export function roomFor({ dtype, shape, data }: TensorValue, count: number): TensorValue {
  return { dtype, shape: [count * shape[0], ...shape.slice(1)], data: new ARRAYS[dtype](count * data.length) };
}

/** Writes a value into the place `at` of what has room for several. @throws RangeError for one of another dtype or shape */
export function putAt(room: TensorValue, at: number, value: TensorValue): void {
  if (value.dtype !== room.dtype || !haveEqualRows(value.shape, room.shape)) throw cannotJoin(room, value);
  room.data.set(value.data as never, at * value.data.length);
}

/** A view of the first rows of a value. */
export function firstRows(value: TensorValue, rows: number): TensorValue {
  const { dtype, shape, data } = value;
  if (rows === shape[0]) return value;
  return { dtype, shape: [rows, ...shape.slice(1)], data: data.subarray(0, (rows * data.length) / shape[0]) };
}

/** Views of the rows of a value, which all have the memory of the whole; of one row each. */
export function rowView(value: TensorValue, row: number): TensorValue {
  const { dtype, shape, data } = value;
  const stride = data.length / shape[0];
  return { dtype, shape: [1, ...shape.slice(1)], data: data.subarray(row * stride, (row + 1) * stride) };
}

/** Values by name, with their `shapeKeyOf` where it is known beforehand. */
export interface ShapedValues extends ReadonlyMap<string, TensorValue> {
  readonly shapeKey?: string;
}

/** Equal for values of equal names and shapes. */
export function shapeKeyOf(values: Iterable<readonly [string, TensorValue]>): string {
  let key = '';
  for (const [name, { shape }] of values) {
    key += name;
    for (const size of shape) key += `,${size}`;
    key += ' ';
  }
  return key;
}

const haveEqualRows = (a: readonly number[], b: readonly number[]): boolean => {
  if (a.length !== b.length) return false;
  for (let axis = 1; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
};

const cannotJoin = (a: TensorValue, b: TensorValue): RangeError =>
  new RangeError(`cannot join ${a.dtype} ${formatShape(a.shape)} and ${b.dtype} ${formatShape(b.shape)}`);

/** Values of equal dtype and equal shape after the first dimension, one after the other along it. */
export function concatRows(values: readonly TensorValue[]): TensorValue {
  const [first] = values;
  for (const value of values) {
    if (value.dtype === first.dtype && haveEqualRows(value.shape, first.shape)) continue;
    throw cannotJoin(first, value);
  }
  const data = new ARRAYS[first.dtype](values.reduce((length, value) => length + value.data.length, 0));
  let at = 0;
  for (const value of values) {
    data.set(value.data as never, at);
    at += value.data.length;
  }
  return {
    dtype: first.dtype,
    shape: [values.reduce((rows, value) => rows + value.shape[0], 0), ...first.shape.slice(1)],
    data,
  };
}
