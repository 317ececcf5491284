import { invalidMedia } from '../refusal.js';
import { decodeImage, loadSharp } from './decode.js';
import { sniffImage } from './format.js';

/** What a picture's file says of it, without its pixels. */
export interface ImageFacts {
  /** As it is shown: EXIF orientation applied. */
  readonly width: number;
  readonly height: number;
  /** By the scale of the Independent JPEG Group, 1 to 100; null for other formats. */
  readonly jpegQuality: number | null;
}

/** Sizes and compression of a picture. @throws HpsError MEDIA_INVALID for what is no picture */
export async function imageFacts(bytes: Uint8Array, name: string): Promise<ImageFacts> {
  const format = sniffImage(bytes);
  if (format === null || format === 'bmp') {
    const { width, height } = await decodeImage(bytes, name); // refuses what is no picture
    return { width, height, jpegQuality: null };
  }
  const open = await loadSharp();
  const {
    width,
    height,
    orientation = 1,
  } = await open(bytes)
    .metadata()
    .catch((cause: unknown) => {
      throw invalidMedia(name, 'cannot be decoded', 'Open it in an image program and save it again.', cause);
    });
  const [shownWidth, shownHeight] = orientation >= 5 ? [height, width] : [width, height];
  return { width: shownWidth, height: shownHeight, jpegQuality: format === 'jpeg' ? jpegQualityOf(bytes) : null };
}

/** Mean of the luminance quantization table of Annex K of the JPEG standard, whose quality is 50. */
const STANDARD_MEAN = 57.625;
const TABLE = 64;

/**
 * Quality of a JPEG by the mean of its first quantization table, read as a multiple of the standard one (libjpeg's scale).
 * @returns null where it has no such table
 */
export function jpegQualityOf(bytes: Uint8Array): number | null {
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const [marker, length] = [bytes[at + 1], (bytes[at + 2] << 8) | bytes[at + 3]];
    if (marker === 0xda || length < 2) return null; // the picture itself
    if (marker === 0xdb) {
      const [precision, id] = [bytes[at + 4] >> 4, bytes[at + 4] & 15];
      const size = precision === 0 ? 1 : 2;
      if (id === 0 && at + 5 + size * TABLE <= bytes.length) {
        let sum = 0;
        for (let i = 0; i < TABLE; i++) {
          const p = at + 5 + size * i;
          sum += size === 1 ? bytes[p] : (bytes[p] << 8) | bytes[p + 1];
        }
        const scale = (100 * sum) / TABLE / STANDARD_MEAN;
        return Math.max(1, Math.min(100, scale <= 100 ? 100 - scale / 2 : 5000 / scale));
      }
    }
    at += 2 + length;
  }
  return null;
}
