import { bfloat16ToFloat32, float16ToFloat32 } from '../bytes/half.js';
import { DTYPES, type Dtype } from './dtype.js';

/** `bytes` itself where its offset suits elements of `size` bytes, else a copy that does. */
export function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

/** Little-endian f32 view of `bytes`; copies only when the offset is not 4-byte aligned. */
export function asFloat32(bytes: Uint8Array): Float32Array {
  const view = aligned(bytes, 4);
  return new Float32Array(view.buffer, view.byteOffset, view.byteLength / 4);
}

/** Little-endian u16 view of `bytes`; copies only when the offset is not 2-byte aligned. */
export function asUint16(bytes: Uint8Array): Uint16Array {
  const view = aligned(bytes, 2);
  return new Uint16Array(view.buffer, view.byteOffset, view.byteLength / 2);
}

/** Little-endian i64 view of `bytes`; copies only when the offset is not 8-byte aligned. */
export function asBigInt64(bytes: Uint8Array): BigInt64Array {
  const view = aligned(bytes, 8);
  return new BigInt64Array(view.buffer, view.byteOffset, view.byteLength / 8);
}

/** The bytes of a typed array, as a view. */
export const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/**
 * Values of any real dtype as float32: exact for F32, F16, BF16, I8, U8, I16, U16 and BOOL; rounded to nearest for the others.
 * @throws RangeError for a dtype that has no real value (complex) or that is not decoded here (float8)
 */
export function toFloat32(bytes: Uint8Array, dtype: Dtype): Float32Array {
  const view = aligned(bytes, DTYPES[dtype].bytes);
  const { buffer, byteOffset } = view;
  const length = view.byteLength / DTYPES[dtype].bytes;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, length);
    case 'F64':
      return new Float32Array(new Float64Array(buffer, byteOffset, length));
    case 'F16':
      return float16ToFloat32(new Uint16Array(buffer, byteOffset, length));
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(buffer, byteOffset, length));
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, length), Number);
    case 'U64':
      return Float32Array.from(new BigUint64Array(buffer, byteOffset, length), Number);
    case 'I32':
      return new Float32Array(new Int32Array(buffer, byteOffset, length));
    case 'U32':
      return new Float32Array(new Uint32Array(buffer, byteOffset, length));
    case 'I16':
      return new Float32Array(new Int16Array(buffer, byteOffset, length));
    case 'U16':
      return new Float32Array(new Uint16Array(buffer, byteOffset, length));
    case 'I8':
      return new Float32Array(new Int8Array(buffer, byteOffset, length));
    case 'U8':
    case 'BOOL':
      return new Float32Array(view);
    default:
      throw new RangeError(`${dtype} has no float32 values`);
  }
}
