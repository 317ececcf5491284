import { inlineMedia, isInline } from './inline-media.js';
import type { ItemInput, MediaBytes } from './resolve.js';

/** Figures of one input, as far as its first bytes tell. */
export interface InputFacts {
  readonly bytes?: number;
  readonly format?: string;
  readonly width?: number;
  readonly height?: number;
  /** In the scale of libjpeg, by its table of quantization: clients choose it in silence, and scores follow. */
  readonly jpeg_quality?: number;
}

/** Of a text its bytes in UTF-8; of media sent along, size, format, and for pictures width, height and quality. */
export function inputFacts(item: ItemInput): InputFacts {
  if (typeof item === 'string')
    return isInline(item) ? mediaFacts(inlineMedia(item).bytes) : { bytes: Buffer.byteLength(item) };
  const media = item.image ?? item.audio ?? item.video;
  if (media !== undefined) return mediaFactsOf(media);
  if (item.text !== undefined) return { bytes: Buffer.byteLength(item.text) };
  return item.messages ? { bytes: Buffer.byteLength(JSON.stringify(item.messages)) } : {};
}

const mediaFactsOf = (media: string | MediaBytes): InputFacts =>
  typeof media !== 'string' ? mediaFacts(media.bytes) : isInline(media) ? mediaFacts(inlineMedia(media).bytes) : {};

function mediaFacts(given: Uint8Array): InputFacts {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  const known = { bytes: bytes.length };
  if (bytes.length > 24 && bytes.readUInt32BE(0) === 0x89504e47) {
    return { ...known, format: 'png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  }
  if (bytes.length > 3 && bytes.readUInt16BE(0) === 0xffd8) return { ...known, format: 'jpeg', ...jpegFacts(bytes) };
  const [start, form] = [bytes.toString('latin1', 0, 4), bytes.toString('latin1', 8, 12)];
  if (start === 'RIFF') return { ...known, format: form === 'WEBP' ? 'webp' : 'wav' };
  if (start.startsWith('BM')) return { ...known, format: 'bmp' };
  if (bytes.toString('latin1', 4, 8) === 'ftyp') return { ...known, format: 'mp4' };
  if (bytes.length > 4 && bytes.readUInt32BE(0) === 0x1a45dfa3) return { ...known, format: 'webm' };
  return known;
}

/** First entries of the luminance table that quality 50 stands for, in zigzag order (ITU-T T.81, table K.1). */
const LUMINANCE = [16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40];

function jpegFacts(bytes: Buffer): Omit<InputFacts, 'bytes' | 'format'> {
  let facts: Omit<InputFacts, 'bytes' | 'format'> = {};
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const [marker, length] = [bytes[at + 1], bytes.readUInt16BE(at + 2)];
    const end = at + 2 + length;
    if (length < 2 || end > bytes.length || marker === 0xda) break;
    if (marker === 0xdb && length >= 3 + LUMINANCE.length && bytes[at + 4] === 0) {
      facts = { ...facts, jpeg_quality: qualityOf(bytes.subarray(at + 5, at + 5 + LUMINANCE.length)) };
    } else if (marker >= 0xc0 && marker <= 0xc3 && length >= 7) {
      facts = { ...facts, height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    }
    at = end;
  }
  return facts;
}

/** libjpeg scales the table by 5000 / q below 50, and by 200 - 2 q from there on, in per cent. */
function qualityOf(table: Uint8Array): number {
  const scale = LUMINANCE.reduce((sum, base, i) => sum + (100 * table[i]) / base, 0) / LUMINANCE.length;
  return Math.max(1, Math.min(100, Math.round(scale <= 100 ? (200 - scale) / 2 : 5000 / scale)));
}
