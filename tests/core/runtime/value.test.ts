import { describe, expect, it } from 'vitest';
import {
  castValue,
  concatRows,
  float32Value,
  floatsOf,
  type TensorValue,
  takeRows,
  valueFromBytes,
} from '../../../src/core/runtime/value.js';

const value = float32Value([3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));

describe('TensorValue', () => {
  it('takes rows in the order asked for, repeats included', () => {
    expect(takeRows(value, [2, 0, 0])).toEqual(float32Value([3, 2], Float32Array.of(5, 6, 1, 2, 1, 2)));
  });

  it('joins what it was split into', () => {
    expect(concatRows([takeRows(value, [0]), takeRows(value, [1, 2])])).toEqual(value);
  });

  it('refuses to join rows of different shapes', () => {
    expect(() => concatRows([value, float32Value([1, 3], new Float32Array(3))])).toThrow(RangeError);
  });

  it('casts between the dtypes of inputs', () => {
    expect(castValue(float32Value([2], Float32Array.of(1, -2)), 'I64').data).toEqual(BigInt64Array.of(1n, -2n));
    expect(castValue({ dtype: 'I64', shape: [2], data: BigInt64Array.of(3n, -4n) }, 'I32').data).toEqual(
      Int32Array.of(3, -4),
    );
    expect(castValue(float32Value([1], Float32Array.of(1)), 'F16').data).toEqual(Uint16Array.of(0x3c00));
    expect(castValue({ dtype: 'F16', shape: [1], data: Uint16Array.of(0xc000) }, 'F32').data).toEqual(
      Float32Array.of(-2),
    );
    expect(castValue({ dtype: 'I64', shape: [1], data: BigInt64Array.of(1n) }, 'F32').data).toEqual(Float32Array.of(1));
  });

  it('reads floats of every dtype', () => {
    const values: TensorValue[] = [
      { dtype: 'BF16', shape: [1], data: Uint16Array.of(0x3fc0) },
      { dtype: 'F16', shape: [1], data: Uint16Array.of(0x3e00) },
      { dtype: 'F64', shape: [1], data: Float64Array.of(1.5) },
    ];
    for (const each of values) expect(floatsOf(each)).toEqual(Float32Array.of(1.5));
  });

  it('reads bytes at any offset, and only as many as the shape says', () => {
    const bytes = new Uint8Array(9);
    new DataView(bytes.buffer).setFloat32(1, 2.5, true);
    expect(valueFromBytes('F32', [2], bytes.subarray(1)).data).toEqual(Float32Array.of(2.5, 0));
    expect(() => valueFromBytes('F32', [3], bytes.subarray(1))).toThrow(RangeError);
  });
});
