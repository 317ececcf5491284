import { expect, it } from 'vitest';
import { decodeImage, loadSharp } from '../../../src/core/media/image/decode.js';
import { rasterizeSvg } from '../../../src/core/media/rasterize.js';

const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="red"/></svg>';

it('draws in a process that decodes pictures too, and leaves its loader of drawings off for those', async () => {
  const png = await rasterizeSvg(SVG);
  await decodeImage(png, 'drawn.png');
  expect(await Promise.all([rasterizeSvg(SVG), rasterizeSvg(SVG)])).toEqual([png, png]);
  const sharp = await loadSharp();
  await expect(sharp(Buffer.from(SVG)).toBuffer()).rejects.toThrow('unsupported image format');
});
