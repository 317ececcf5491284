import type { Sharp } from 'sharp';
import type { Pixels } from './image/pixels.js';

/** The picture as a PNG file: what is read back is equal. */
export const encodePng = async (pixels: Pixels): Promise<Uint8Array> => (await open(pixels)).png().toBuffer();

/**
 * The picture as a JPEG file with colours at half resolution, as cameras and web sites store it.
 * @param quality - 1 … 100, in the scale of libjpeg
 */
export const encodeJpeg = async (pixels: Pixels, quality: number): Promise<Uint8Array> =>
  (await open(pixels)).jpeg({ quality, chromaSubsampling: '4:2:0', mozjpeg: false }).toBuffer();

async function open({ width, height, data }: Pixels): Promise<Sharp> {
  const { default: sharp } = await import('sharp');
  return sharp(data, { raw: { width, height, channels: 3 } });
}
