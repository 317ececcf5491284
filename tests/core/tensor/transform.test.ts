import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTensor, type Tensor, tensorFromBytes } from '../../../src/core/tensor/tensor.js';
import {
  castTensor,
  hasNonFinite,
  readFloat32,
  tensorStatistics,
  transposeMatrix,
} from '../../../src/core/tensor/transform.js';
import { asFloat32, bytesOf } from '../../../src/core/tensor/values.js';

const matrix = (rows: number, columns: number, values: ArrayLike<number>): Tensor =>
  tensorFromBytes({ name: 'm', dtype: 'F32', shape: [rows, columns] }, bytesOf(Float32Array.from(values)));

/** The same tensor, handed out in pieces of a few elements, so that pieces end in the middle of rows. */
const inPieces = (tensor: Tensor, elements: number): Tensor => ({
  ...tensor,
  async *chunks() {
    for await (const chunk of tensor.chunks()) {
      for (let at = 0; at < chunk.byteLength; at += elements * 4) yield chunk.subarray(at, at + elements * 4);
    }
  },
});

describe('transposeMatrix', () => {
  it('puts [i, j] at [j, i], however the pieces fall', async () => {
    const shapes = fc.tuple(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 50 }),
    );
    await fc.assert(
      fc.asyncProperty(shapes, async ([rows, columns, piece]) => {
        const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
        const transposed = transposeMatrix(inPieces(matrix(rows, columns, values), piece));
        expect(transposed.shape).toEqual([columns, rows]);
        const result = asFloat32(await readTensor(transposed));
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < columns; j++) expect(result[j * rows + i]).toBe(values[i * columns + j]);
      }),
      { numRuns: 40 },
    );
  });

  it('is the same twice in a row', async () => {
    const transposed = transposeMatrix(matrix(2, 3, [1, 2, 3, 4, 5, 6]));
    expect(await readTensor(transposed)).toEqual(await readTensor(transposed));
    expect(Array.from(asFloat32(await readTensor(transposed)))).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it('refuses what is not a matrix', () => {
    expect(() => transposeMatrix({ ...matrix(2, 3, [1, 2, 3, 4, 5, 6]), shape: [6] })).toThrow(RangeError);
  });
});

describe('castTensor', () => {
  it('widens float16 exactly and rounds float32 to the nearest half, ties to even', async () => {
    const values = [1, 0.1, 65504, 2 ** -24, 2049, 2051, -0, 1e-9];
    const half = castTensor(matrix(2, 4, values), 'F16');
    expect(half.dtype).toBe('F16');
    // Vector: numpy 1.26, np.array(values, np.float32).astype(np.float16).astype(np.float32)
    const expected = [1, 0.0999755859375, 65504, 2 ** -24, 2048, 2052, -0, 0];
    expect(Array.from(await readFloat32(half))).toEqual(expected);
  });

  it('refuses integers', () => {
    expect(() =>
      castTensor(tensorFromBytes({ name: 'n', dtype: 'I64', shape: [1] }, new Uint8Array(8)), 'F32'),
    ).toThrow(RangeError);
  });
});

describe('tensorStatistics', () => {
  it('counts zeros and non-finite values and describes the rest', async () => {
    const stats = await tensorStatistics(matrix(1, 6, [0, 1, 2, 3, Number.NaN, Number.POSITIVE_INFINITY]));
    expect(stats).toMatchObject({ min: 0, max: 3, mean: 1.5, zeros: 1, nonfinite: 2 });
    expect(stats.std).toBeCloseTo(Math.sqrt(1.25), 12);
  });

  it('is null where nothing is finite', async () => {
    expect(await tensorStatistics(matrix(1, 1, [Number.NaN]))).toEqual({
      min: null,
      max: null,
      mean: null,
      std: null,
      zeros: 0,
      nonfinite: 1,
    });
  });
});

describe('hasNonFinite', () => {
  it.each([
    ['F32', new Float32Array([1, Number.NaN]), true],
    ['F32', new Float32Array([1, Number.NEGATIVE_INFINITY]), true],
    ['F32', new Float32Array([1, 3.4e38, -0, 1e-45]), false],
    ['F16', new Uint16Array([0x3c00, 0x7c00]), true],
    ['F16', new Uint16Array([0x7bff]), false],
    ['BF16', new Uint16Array([0x7fc0]), true],
    ['BF16', new Uint16Array([0x7f7f]), false],
    ['F64', new Float64Array([Number.NaN]), true],
    ['I32', new Int32Array([0x7f800000]), false],
  ] as const)('sees %s %o as %s', (dtype, values, expected) => {
    expect(hasNonFinite(bytesOf(values), dtype)).toBe(expected);
  });

  it.each([
    ['F32', new Float32Array([1, Number.NEGATIVE_INFINITY]), false],
    ['F32', new Float32Array([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]), true],
    ['F32', new Float32Array([Number.NEGATIVE_INFINITY, Number.NaN]), true],
    ['F16', new Uint16Array([0xfc00]), false],
    ['F16', new Uint16Array([0x7c00]), true],
    ['BF16', new Uint16Array([0xff80]), false],
    ['F64', new Float64Array([Number.NEGATIVE_INFINITY]), false],
    ['F64', new Float64Array([Number.NaN]), true],
  ] as const)('where masks are allowed sees %s %o as %s', (dtype, values, expected) => {
    expect(hasNonFinite(bytesOf(values), dtype, { allowMinusInfinity: true })).toBe(expected);
  });
});
