import { LIMITS } from '../../limits.js';
import { encodePng } from '../../media/encode-image.js';
import { decodeImage } from '../../media/image/decode.js';
import type { Pixels } from '../../media/image/pixels.js';
import { resize } from '../../media/image/resample.js';
import { mediaName, readMedia } from '../../media/read-media.js';
import type { SynthModality } from '../modality.js';
import { IMAGE_PERTURBATIONS, LOCAL_PERTURBATIONS } from './perturbations.js';
import { drawScene } from './scenes.js';

/** @param size - side of the pictures drawn, and the longer side that pictures of the user's are reduced to */
export const imageModality = (size: number): SynthModality<Pixels> => ({
  id: 'image',
  perturbations: IMAGE_PERTURBATIONS,
  onRequest: LOCAL_PERTURBATIONS,
  draw: (random) => drawScene(random, size),
  endings: ['.jpg', '.jpeg', '.png', '.webp', '.bmp'],
  async read(path) {
    const source = { path };
    return reduced(await decodeImage(await readMedia(source, LIMITS.imageBytes), mediaName(source)), size);
  },
  // Never JPEG, so that the way a picture is stored says nothing about it.
  store: async (pixels) => ({ file: { part: 'image', ending: '.png', bytes: await encodePng(pixels) } }),
});

function reduced(pixels: Pixels, size: number): Pixels {
  const scale = size / Math.max(pixels.width, pixels.height);
  if (scale >= 1) return pixels;
  const width = Math.max(1, Math.round(pixels.width * scale));
  const height = Math.max(1, Math.round(pixels.height * scale));
  return resize(pixels, { width, height, kernel: 'bicubic', antialias: true });
}
