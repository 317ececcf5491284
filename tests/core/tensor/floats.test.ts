import { describe, expect, it } from 'vitest';
import { bfloat16ToFloat32, float16ToFloat32, float32ToFloat16 } from '../../../src/core/bytes/half.js';
import { LIMITS } from '../../../src/core/limits.js';
import { anyNonFinite, convertFloats, type KernelFloat } from '../../../src/core/tensor/floats.js';
import { bytesOf } from '../../../src/core/tensor/values.js';

const EVERY = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function converted(values: ArrayBufferView, from: KernelFloat, to: 'F32' | 'F16', pieceBytes = 2 ** 22) {
  const pieces: Uint8Array[] = [];
  for await (const piece of convertFloats(inPieces(bytesOf(values), pieceBytes), from, to)) pieces.push(piece.slice());
  expect(Math.max(...pieces.map(({ byteLength }) => byteLength))).toBeLessThanOrEqual(LIMITS.chunkBytes);
  return new Uint8Array(Buffer.concat(pieces));
}

/** As floats, so that one NaN is like another. */
const floats = (bytes: Uint8Array): number[] => Array.from(new Float32Array(bytes.slice().buffer));
const halves = (bytes: Uint8Array): number[] => Array.from(float16ToFloat32(new Uint16Array(bytes.slice().buffer)));

describe('convertFloats', () => {
  it('widens every float16 and every bfloat16', async () => {
    expect(floats(await converted(EVERY, 'F16', 'F32'))).toEqual(Array.from(float16ToFloat32(EVERY)));
    expect(floats(await converted(EVERY, 'BF16', 'F32'))).toEqual(Array.from(bfloat16ToFloat32(EVERY)));
  });

  it('rounds every bfloat16, and the floats on and beside every middle of two float16, half to even', async () => {
    const brains = bfloat16ToFloat32(EVERY);
    expect(halves(await converted(EVERY, 'BF16', 'F16'))).toEqual(
      Array.from(float16ToFloat32(float32ToFloat16(brains))),
    );
    const values = float16ToFloat32(EVERY);
    const middles = Float32Array.from(
      values.subarray(0, 0x7c00),
      (low, i) => (low + (i === 0x7bff ? 65536 : values[i + 1])) / 2,
    );
    const bits = new Uint32Array(middles.buffer);
    for (const step of [-1, 0, 1]) {
      const near = new Float32Array(Uint32Array.from(bits, (each) => each + step).buffer);
      const expected = float32ToFloat16(near);
      expect(new Uint16Array((await converted(near, 'F32', 'F16')).buffer)).toEqual(expected);
      const negative = near.map((each) => -each);
      expect(new Uint16Array((await converted(negative, 'F32', 'F16')).buffer)).toEqual(float32ToFloat16(negative));
    }
  });

  it('is the same however the pieces fall, and in two streams at once', async () => {
    const whole = await converted(EVERY, 'BF16', 'F32');
    expect(await converted(EVERY, 'BF16', 'F32', 2 * 7777)).toEqual(whole);
    expect(
      await Promise.all([converted(EVERY, 'BF16', 'F32', 2 * 5001), converted(EVERY, 'BF16', 'F32', 2 * 3333)]),
    ).toEqual([whole, whole]);
  });

  it('gives pieces of bounded length for long ones', async () => {
    const long = new Uint16Array(LIMITS.chunkBytes / 2 + 3).fill(0x3f80);
    const bytes = await converted(long, 'BF16', 'F32', long.byteLength);
    expect(bytes.byteLength).toBe(2 * long.byteLength);
    expect(new Float32Array(bytes.buffer).every((value) => value === 1)).toBe(true);
  });
});

describe('anyNonFinite', () => {
  it.each([
    ['F32', new Uint32Array(40_000).fill(0x7f7fffff), 0x7f800000],
    ['F16', new Uint16Array(40_001).fill(0x7bff), 0xfc01],
    ['BF16', new Uint16Array(40_003).fill(0x7f7f), 0x7fc0],
  ] as const)('finds one %s wherever it is', (dtype, values, bad) => {
    expect(anyNonFinite(bytesOf(values), dtype)).toBe(false);
    for (const place of [0, 7, 8, 17_000, values.length - 2, values.length - 1]) {
      const planted = values.slice();
      planted[place] = bad;
      expect(anyNonFinite(bytesOf(planted), dtype)).toBe(true);
    }
  });

  it('finds it in the memory of a conversion, up to the last', async () => {
    for (const length of [1, 9, 100]) {
      const values = new Uint16Array(length).fill(0x3f80);
      for (const last of [0x3f80, 0x7f80]) {
        values[length - 1] = last;
        for await (const piece of convertFloats(inPieces(bytesOf(values), 2 ** 20), 'BF16', 'F32'))
          expect(anyNonFinite(piece, 'F32')).toBe(last === 0x7f80);
      }
    }
  });
});
