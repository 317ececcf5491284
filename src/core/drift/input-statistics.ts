import type { Item } from '../data/rows.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { readWav } from '../media/audio/wav.js';
import { decodeImage } from '../media/image/decode.js';
import type { Pixels } from '../media/image/pixels.js';
import { mediaName, readMedia } from '../media/read-media.js';
import { type ItemPart, PARTS } from '../modality.js';
import { isInline } from '../samples/inline-media.js';
import { inputFacts } from '../samples/input-facts.js';
import { resolveItem } from '../samples/resolve.js';

/** Figures of one input by name, as rows of a log have them under `input`. */
export type InputStatistics = ReadonlyMap<string, number | string>;

const MEDIA_BYTES = { image: LIMITS.imageBytes, audio: LIMITS.audioBytes, video: LIMITS.videoBytes } as const;

/**
 * What an input is like: of texts how long they are, of pictures also brightness, contrast and sharpness, of recordings their length,
 * rate, loudness and clipping, of clips their bytes.
 *
 * @returns null where it cannot be read: that is for whoever scores it to say
 */
export async function inputStatistics(item: Item, mediaRoot: string): Promise<InputStatistics | null> {
  const statistics = new Map<string, number | string>();
  try {
    for (const [part, content] of partsOf(item)) {
      const found = part === 'text' ? textStatistics(content) : await mediaStatistics(part, content, mediaRoot);
      for (const [name, value] of Object.entries(found)) statistics.set(name, value);
    }
  } catch (error) {
    if (error instanceof HpsError) return null;
    throw error;
  }
  return statistics;
}

function partsOf(item: Item): (readonly [ItemPart, string])[] {
  if (typeof item !== 'string') {
    const { messages, images = [], ...parts } = item;
    const turns = messages ? [['text', messages.map(({ content }) => content).join('\n')] as const] : [];
    const pictures = images.map((image) => ['image', image] as const);
    return [...(Object.entries(parts) as [ItemPart, string][]), ...pictures, ...turns];
  }
  if (isInline(item)) return [['image', item]];
  const part = (Object.keys(PARTS) as ItemPart[]).find((one) => PARTS[one].endings?.test(item));
  return [[part ?? 'text', item]];
}

/** Words stand for tokens, which only the tokenizer of a model could count. */
const textStatistics = (text: string) => ({
  characters: text.length,
  words: text.split(/\s+/).filter((word) => word !== '').length,
});

async function mediaStatistics(
  part: Exclude<ItemPart, 'text'>,
  content: string,
  mediaRoot: string,
): Promise<Readonly<Record<string, number | string>>> {
  const { media, release } = await resolveItem({ [part]: content }, { modality: part, mediaRoot });
  try {
    const source = media[part]!;
    const bytes = await readMedia(source, MEDIA_BYTES[part]);
    const name = mediaName(source);
    const facts = { ...inputFacts({ [part]: { bytes, name } }) } as Record<string, number | string>;
    if (part === 'image') return { ...facts, ...pictureStatistics(await decodeImage(bytes, name)) };
    return part === 'audio' ? { ...facts, ...soundStatistics(bytes, name) } : facts;
  } finally {
    release();
  }
}

/** Shares of light that the eye gives to red, green and blue (ITU-R BT.601). */
const LUMA = [0.299, 0.587, 0.114] as const;

/** Of luminance in [0, 1]: mean, standard deviation, and the root mean square of its Laplacian, which blurring lowers. */
export function pictureStatistics({ width, height, data }: Pixels) {
  const luma = new Float32Array(width * height);
  for (let i = 0; i < luma.length; i++) {
    luma[i] = (LUMA[0] * data[3 * i] + LUMA[1] * data[3 * i + 1] + LUMA[2] * data[3 * i + 2]) / 255;
  }
  let [sum, squares] = [0, 0];
  for (const value of luma) {
    sum += value;
    squares += value ** 2;
  }
  const mean = sum / luma.length;
  let edges = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      edges += (luma[at - 1] + luma[at + 1] + luma[at - width] + luma[at + width] - 4 * luma[at]) ** 2;
    }
  }
  return {
    mean,
    std: Math.sqrt(Math.max(0, squares / luma.length - mean ** 2)),
    sharpness: Math.sqrt(edges / Math.max(1, (width - 2) * (height - 2))),
  };
}

/** Nearest to full scale that still counts as clipped. */
const FULL_SCALE = 0.999;
/** Of silence: the least level of 24 bits. */
const SILENCE_DB = -144;

/** Length in seconds, samples a second, share of samples at full scale, and level in dB of full scale. */
export function soundStatistics(bytes: Uint8Array, name: string) {
  const { sampleRate, samples } = readWav(bytes, name);
  let [squares, clipped] = [0, 0];
  for (const sample of samples) {
    squares += sample ** 2;
    if (Math.abs(sample) >= FULL_SCALE) clipped++;
  }
  return {
    seconds: samples.length / sampleRate,
    sample_rate: sampleRate,
    clipping: clipped / samples.length,
    loudness: Math.max(SILENCE_DB, 10 * Math.log10(squares / samples.length)),
  };
}
