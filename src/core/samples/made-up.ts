import { encodePng } from '../media/encode-image.js';
import { encodeMp4 } from '../media/encode-video.js';
import { encodeWav } from '../media/encode-wav.js';
import { type ItemPart, type Modality, partsOf } from '../modality.js';
import type { MediaBytes } from './resolve.js';

/** Each part of an item: a text, or bytes with a name. */
export type MadeUpItem = Readonly<Partial<Record<Exclude<ItemPart, 'text'>, MediaBytes> & { readonly text?: string }>>;

const SIDE = 64;
const RATE = 16_000;
const FRAMES = 8;

/** One of two items of a modality, by its seed (0 or 1). @throws HpsError BACKEND_UNAVAILABLE for a clip where there is no ffmpeg */
export async function madeUpItem(modality: Modality, seed: number): Promise<MadeUpItem> {
  const parts = partsOf(modality);
  const contents = await Promise.all(parts.map(async (part) => [part, await MAKERS[part](seed)] as const));
  return Object.fromEntries(contents);
}

const MAKERS = {
  text: async (seed: number) => (seed === 0 ? 'A red fox crosses the snow at dawn.' : 'asdf 123, of the of the.'),
  image: async (seed: number) => ({ name: 'self-check.png', bytes: await encodePng(picture(seed, 0)) }),
  audio: async (seed: number) => ({
    name: 'self-check.wav',
    bytes: encodeWav(
      Float32Array.from({ length: RATE }, (_, i) => 0.5 * Math.sin((i * (seed + 1)) / 20)),
      RATE,
    ),
  }),
  video: async (seed: number) => ({
    name: 'self-check.mp4',
    bytes: await encodeMp4(
      Array.from({ length: FRAMES }, (_, frame) => picture(seed, frame)),
      FRAMES,
    ),
  }),
};

/** Blocks of colour that move with the frames. */
function picture(seed: number, frame: number) {
  const data = new Uint8Array(3 * SIDE * SIDE);
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [((i / 3) | 0) % SIDE, (i / 3 / SIDE) | 0];
    data[i] = (((x + frame) >> (3 + seed)) * 67 + (y >> 4) * 31 + (i % 3) * 83 * (seed + 1)) & 255;
  }
  return { width: SIDE, height: SIDE, data };
}
