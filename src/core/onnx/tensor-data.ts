import { HpsError } from '../errors.js';
import { DTYPES, type Dtype } from '../tensor/dtype.js';
import { checkedNumel, formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { bytesOf } from '../tensor/values.js';
import { DATA_TYPE, EXTERNAL_LOCATION, type TensorProto } from './model.js';
import { corruptOnnx } from './refusal.js';
import { chunksOf } from './weight.js';

type DataField = 'rawData' | 'floatData' | 'int32Data' | 'stringData' | 'int64Data' | 'doubleData' | 'uint64Data';
const DATA_FIELDS: readonly DataField[] = [
  'rawData',
  'floatData',
  'int32Data',
  'stringData',
  'int64Data',
  'doubleData',
  'uint64Data',
];

interface DataTypeInfo {
  /** Of one element; 0 for strings. */
  readonly bits: number;
  /** Where values lie that are not in `rawData` (onnx.proto, comments of TensorProto). */
  readonly field: DataField;
  /** Entries of that field for `numel` elements. */
  entries(numel: number): number;
}

const each = (numel: number): number => numel;
const pairs = (numel: number): number => 2 * numel;
const T = DATA_TYPE;

function storedIn(field: DataField, bits: number, types: readonly number[], entries = each): [number, DataTypeInfo][] {
  return types.map((type) => [type, { bits, field, entries }]);
}

const DATA_TYPES: ReadonlyMap<number, DataTypeInfo> = new Map([
  ...storedIn('floatData', 32, [T.FLOAT]),
  ...storedIn('floatData', 64, [T.COMPLEX64], pairs),
  ...storedIn('doubleData', 64, [T.DOUBLE]),
  ...storedIn('doubleData', 128, [T.COMPLEX128], pairs),
  ...storedIn('int64Data', 64, [T.INT64]),
  ...storedIn('uint64Data', 64, [T.UINT64]),
  ...storedIn('uint64Data', 32, [T.UINT32]),
  ...storedIn('int32Data', 32, [T.INT32]),
  ...storedIn('int32Data', 16, [T.INT16, T.UINT16, T.FLOAT16, T.BFLOAT16]),
  ...storedIn('int32Data', 8, [T.INT8, T.UINT8, T.BOOL]),
  ...storedIn('int32Data', 8, [T.FLOAT8E4M3FN, T.FLOAT8E4M3FNUZ, T.FLOAT8E5M2, T.FLOAT8E5M2FNUZ, T.FLOAT8E8M0]),
  ...storedIn('int32Data', 4, [T.INT4, T.UINT4, T.FLOAT4E2M1], (numel) => Math.ceil(numel / 2)),
  ...storedIn('int32Data', 2, [T.INT2, T.UINT2], (numel) => Math.ceil(numel / 4)),
  ...storedIn('stringData', 0, [T.STRING]),
]);

const DTYPE_OF: ReadonlyMap<number, Dtype> = new Map(
  Object.entries(DTYPES).map(([dtype, { onnx }]) => [onnx, dtype as Dtype]),
);

/** Our name of a `TensorProto.DataType`, or undefined for those that are no dtype of a checkpoint (strings, 4-bit types, …). */
export const dtypeOf = (dataType: number): Dtype | undefined => DTYPE_OF.get(dataType);

/** onnx.proto's name of a `TensorProto.DataType`, for messages. */
export const dataTypeName = (dataType: number): string =>
  Object.entries(DATA_TYPE).find(([, number]) => number === dataType)?.[0] ?? `type ${dataType}`;

/** Bytes of the raw data of `numel` elements, or undefined where the type has none (strings) or is of a later onnx.proto. */
export function rawByteLength(dataType: number, numel: number): number | undefined {
  const bits = DATA_TYPES.get(dataType)?.bits;
  return bits ? Math.ceil((numel * bits) / 8) : undefined;
}

const isSet = (tensor: TensorProto, field: DataField): boolean => {
  const value = tensor[field];
  return (
    value !== undefined && (value instanceof Uint8Array || 'byteLength' in value ? value.byteLength : value.length) > 0
  );
};

/**
 * Checks that a tensor's dims make sense and that exactly as many values are there as they ask for.
 * @param file - what errors call the model
 * @throws HpsError ONNX_CORRUPT
 */
export function checkTensor(tensor: TensorProto, file: string): void {
  const label = `tensor ${tensor.name || '(unnamed)'}`;
  const numel = checkedNumel(tensor.dims);
  if (numel === null) throw corruptOnnx(file, `${label} cannot have dims ${formatShape(tensor.dims)}`);
  const present = DATA_FIELDS.filter((field) => isSet(tensor, field));
  if (present.length > 1) throw corruptOnnx(file, `${label} has both ${present.join(' and ')}`);
  if (tensor.dataLocation === EXTERNAL_LOCATION) {
    if (present.length > 0) throw corruptOnnx(file, `${label} is external data and has ${present[0]} too`);
    return;
  }
  const info = DATA_TYPES.get(tensor.dataType);
  if (info === undefined || tensor.segment !== undefined) return;
  const [field = 'rawData'] = present;
  if (field !== 'rawData' && field !== info.field) {
    throw corruptOnnx(file, `${label} of ${dataTypeName(tensor.dataType)} has its values in ${field}`);
  }
  if (field === 'rawData' && info.bits === 0) {
    if (present.length > 0 || numel > 0) throw corruptOnnx(file, `${label} is of strings but has no stringData`);
    return;
  }
  const expected = field === 'rawData' ? Math.ceil((numel * info.bits) / 8) : info.entries(numel);
  const actual = field === 'rawData' ? (tensor.rawData?.byteLength ?? 0) : (tensor[field]?.length ?? 0);
  if (actual !== expected) {
    const unit = field === 'rawData' ? 'bytes' : 'values';
    const what = `${dataTypeName(tensor.dataType)} ${formatShape(tensor.dims)}`;
    throw corruptOnnx(file, `${label}: ${what} takes ${expected} ${unit}, ${actual} are there`);
  }
}

/** Values in a typed field as the little-endian bytes that `rawData` would hold. */
function typedBytes(tensor: TensorProto): Uint8Array {
  const { floatData, doubleData, int64Data, uint64Data, int32Data } = tensor;
  const values = floatData ?? doubleData ?? int64Data;
  if (values) return bytesOf(values);
  if (uint64Data) return bytesOf(tensor.dataType === T.UINT32 ? Uint32Array.from(uint64Data, Number) : uint64Data);
  if (!int32Data) return new Uint8Array(0);
  const bits = DATA_TYPES.get(tensor.dataType)?.bits;
  if (bits === 32) return bytesOf(int32Data);
  return bits === 16 ? bytesOf(Uint16Array.from(int32Data)) : Uint8Array.from(int32Data);
}

/** The raw little-endian bytes of a tensor that is not of strings, whichever field they are in; still unread if they lie in a file. */
export const rawBytesOf = (tensor: TensorProto): NonNullable<TensorProto['rawData']> =>
  tensor.rawData ?? typedBytes(tensor);

/**
 * A tensor of a model as any other tensor: contiguous and little-endian, read when asked for.
 * @throws HpsError ONNX_CORRUPT where dims and bytes disagree; ONNX_UNSUPPORTED for types no checkpoint has (strings, 4-bit, …)
 */
export function tensorOf(tensor: TensorProto): Tensor {
  const name = tensor.name ?? '';
  checkTensor(tensor, name || '(unnamed tensor)');
  const dtype = dtypeOf(tensor.dataType);
  if (dtype === undefined) {
    throw new HpsError('ONNX_UNSUPPORTED', `${name}: values of ${dataTypeName(tensor.dataType)} are not read here`, {
      hint: 'Use a model whose weights are floats, integers of 8 bits or more, or booleans.',
      details: { tensor: name, dataType: tensor.dataType },
    });
  }
  const bytes = rawBytesOf(tensor);
  return { name, dtype, shape: tensor.dims, chunks: () => chunksOf(bytes) };
}
