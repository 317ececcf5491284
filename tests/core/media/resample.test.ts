import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resizePlainly } from '../../../src/core/media/image/resample.js';
import { resizeBySimd } from '../../../src/core/media/image/resample-simd.js';
import { FILTERS, weightsOf } from '../../../src/core/media/image/weights.js';

const side = fc.integer({ min: 1, max: 70 });
const kernels = Object.keys(FILTERS) as (keyof typeof FILTERS)[];

describe('resizeBySimd', () => {
  it('gives the bytes of the plain passes, whatever the sizes, the kernel and the window', () => {
    const property = fc.property(
      fc.record({ width: side, height: side, outWidth: side, outHeight: side }),
      fc.constantFrom(...kernels),
      fc.boolean(),
      fc.nat(255),
      fc.tuple(fc.nat(99), fc.nat(99)),
      ({ width, height, outWidth, outHeight }, kernel, antialias, seed, [leftShare, topShare]) => {
        const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * i * 31 + i * (seed + 7)) & 255);
        const filter = FILTERS[kernel];
        const left = Math.floor((leftShare * outWidth) / 100);
        const top = Math.floor((topShare * outHeight) / 100);
        const columns = weightsOf({ inSize: width, outSize: outWidth, filter, antialias }, left, outWidth - left);
        const rows = weightsOf({ inSize: height, outSize: outHeight, filter, antialias }, top, outHeight - top);
        const last = rows.first.length - 1;
        const span = { firstRow: rows.first[0], endRow: rows.first[last] + rows.count[last] };
        const picture = { width, height, data };
        expect(resizeBySimd(picture, columns, rows, span)).toEqual(resizePlainly(picture, columns, rows, span));
      },
    );
    fc.assert(property, { seed: 1, numRuns: 300 });
  });

  it('goes on after a picture larger than the memory it keeps', () => {
    const resizeTo = (width: number, height: number) => {
      const data = new Uint8Array(3 * width * height).fill(77);
      const axis = { filter: FILTERS.bilinear, antialias: true };
      const columns = weightsOf({ ...axis, inSize: width, outSize: 5 }, 0, 5);
      const rows = weightsOf({ ...axis, inSize: height, outSize: 4 }, 0, 4);
      return resizeBySimd({ width, height, data }, columns, rows, { firstRow: 0, endRow: height })?.data;
    };
    for (const [width, height] of [
      [9, 9],
      [4000, 3000],
      [9, 9],
    ]) {
      expect(resizeTo(width, height)).toEqual(new Uint8Array(60).fill(77));
    }
  });
});
