import { describe, expect, it } from 'vitest';
import { centreCropped } from '../../../src/core/architectures/picture.js';
import { decodeImage, loadSharp } from '../../../src/core/media/image/decode.js';
import { fitFrame } from '../../../src/core/media/image/frame.js';

/** 7 x 6 colours with alpha: all of it, none, and between. */
const RAW = Uint8Array.from({ length: 7 * 6 * 4 }, (_, i) => {
  const value = (i * 7919 + 13) % 256;
  return i % 4 < 3 ? value : value < 90 ? 0 : value > 200 ? 255 : value;
});

/** Pillow 13 and torchvision 0.29 on that picture in mode RGBA: Resize(4, bicubic), CenterCrop(3), convert("RGB"). */
const EXPECTED = [
  94, 183, 161, 248, 192, 144, 176, 157, 223, 74, 47, 154, 172, 149, 185, 27, 98, 233, 85, 72, 218, 153, 136, 210, 120,
  106, 62,
];

describe('a transparent picture', () => {
  it('is resized with its alpha, as Pillow does, where it is resized before it is converted', async () => {
    const open = await loadSharp();
    const png = await open(RAW, { raw: { width: 7, height: 6, channels: 4 } })
      .png()
      .toBuffer();
    const pixels = await decodeImage(png, 'picture', { dropAlpha: true });
    const contract = { ...centreCropped(4), crop: [3, 3] as [number, number] };
    expect(Array.from(fitFrame(pixels, contract).data)).toEqual(EXPECTED);
    const { palette: _, ...convertedFirst } = contract;
    expect(Array.from(fitFrame(pixels, convertedFirst).data)).not.toEqual(EXPECTED);
  });
});
