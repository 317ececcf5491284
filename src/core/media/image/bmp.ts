import { LIMITS } from '../../limits.js';
import { invalidMedia } from '../refusal.js';
import { OPAQUE, overWhite, type Pixels } from './pixels.js';

const FILE_HEADER_BYTES = 14;
const INFO_HEADER_BYTES = 40; // BITMAPINFOHEADER; later versions begin alike
const CORE_HEADER_BYTES = 12; // BITMAPCOREHEADER (OS/2)
const MAX_HEADER_BYTES = 124; // BITMAPV5HEADER
/** Values of biCompression that are read; RLE and embedded JPEG or PNG are not. */
const COMPRESSION = { none: 0, bitfields: 3, alphaBitfields: 6 } as const;

interface BmpHeader {
  readonly width: number;
  readonly height: number;
  /** Whether the first row stored is the top one. */
  readonly topDown: boolean;
  readonly bitsPerPixel: number;
  readonly pixelsOffset: number;
  /** Bytes of a stored row: whole groups of four. */
  readonly strideBytes: number;
  readonly palette: { readonly offset: number; readonly colours: number; readonly entryBytes: number };
  /** Masks of red, green, blue and alpha in a pixel of 16 or 32 bits; an alpha of 0 means opaque. */
  readonly masks: readonly [number, number, number, number];
}

/** Writes one stored row as RGB. */
type RowReader = (offset: number, out: Uint8Array) => void;

/**
 * Decodes a Windows bitmap of 1, 4, 8, 16, 24 or 32 bits, bottom-up or top-down, with a palette or bit masks, to the values
 * that Pillow gives. An alpha mask counts only where it is stated; what is transparent lies over white, unless alpha is dropped.
 * @throws HpsError MEDIA_INVALID for run-length coding, sizes beyond the limits, and data outside the file
 * @see Microsoft, "Bitmap Storage" and BITMAPV5HEADER
 */
export function readBmp(bytes: Uint8Array, name: string, dropAlpha = false): Pixels {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stated = readHeader(view, name);
  const [red, green, blue] = stated.masks;
  const header = dropAlpha ? { ...stated, masks: [red, green, blue, 0] as const } : stated;
  const { width, height, topDown, strideBytes, pixelsOffset } = header;
  const readRow = rowReader(view, header);
  const data = new Uint8Array(width * height * 3);
  for (let row = 0; row < height; row++) {
    const stored = topDown ? row : height - 1 - row;
    readRow(pixelsOffset + stored * strideBytes, data.subarray(row * width * 3, (row + 1) * width * 3));
  }
  return { width, height, data, isIndexed: header.bitsPerPixel <= 8 && !isGreyRamp(view, header) };
}

/** Whether index i of the palette is grey i, which Pillow opens as grey; two colours it opens as single bits. */
function isGreyRamp(view: DataView, { palette: { offset, colours, entryBytes } }: BmpHeader): boolean {
  if (colours === 2) return false;
  for (let i = 0; i < colours; i++)
    for (let c = 0; c < 3; c++) if (view.getUint8(offset + i * entryBytes + c) !== i) return false;
  return true;
}

function readHeader(view: DataView, name: string): BmpHeader {
  const refuse = (rule: string) => invalidMedia(name, rule, 'Save the picture as PNG, or as an uncompressed BMP.');
  if (view.byteLength < FILE_HEADER_BYTES + CORE_HEADER_BYTES) throw refuse('ends inside its header');
  const headerBytes = view.getUint32(FILE_HEADER_BYTES, true);
  const isCore = headerBytes === CORE_HEADER_BYTES;
  if (!(isCore || (headerBytes >= INFO_HEADER_BYTES && headerBytes <= MAX_HEADER_BYTES))) {
    throw refuse(`has a header of ${headerBytes} bytes`);
  }
  const headerEnd = FILE_HEADER_BYTES + headerBytes;
  if (view.byteLength < headerEnd) throw refuse('ends inside its header');

  const width = isCore ? view.getUint16(18, true) : view.getInt32(18, true);
  const signedHeight = isCore ? view.getUint16(20, true) : view.getInt32(22, true);
  const height = Math.abs(signedHeight);
  if (!(width > 0 && height > 0 && width * height <= LIMITS.imagePixels)) {
    throw refuse(`is ${width} x ${height}; 1 to ${LIMITS.imagePixels} pixels are read`);
  }
  const bitsPerPixel = view.getUint16(isCore ? 24 : 28, true);
  if (![1, 4, 8, 16, 24, 32].includes(bitsPerPixel)) throw refuse(`has ${bitsPerPixel} bits a pixel`);

  const compression = isCore ? COMPRESSION.none : view.getUint32(30, true);
  const masked = compression === COMPRESSION.bitfields || compression === COMPRESSION.alphaBitfields;
  const known = compression === COMPRESSION.none || (masked && (bitsPerPixel === 16 || bitsPerPixel === 32));
  if (!known) throw refuse(`is compressed (method ${compression} with ${bitsPerPixel} bits a pixel)`);
  const maskBits = bitsPerPixel === 16 ? 16 : 32;
  const masks = masked ? statedMasks(view, headerBytes, compression) : DEFAULT_MASKS[maskBits];
  if (!masks?.every((mask, i) => isMask(mask, maskBits) || (i === ALPHA && mask === 0))) {
    throw refuse('has bit masks that are no runs of bits inside a pixel');
  }

  const pixelsOffset = view.getUint32(10, true);
  const strideBytes = 4 * Math.ceil((width * bitsPerPixel) / 32);
  if (pixelsOffset < headerEnd || pixelsOffset + strideBytes * height > view.byteLength) {
    const size = strideBytes * height;
    throw refuse(`its ${size} bytes of pixels from byte ${pixelsOffset} are not inside its ${view.byteLength} bytes`);
  }
  const entryBytes = isCore ? 3 : 4;
  const colours = Math.min(
    2 ** Math.min(bitsPerPixel, 8),
    (!isCore && view.getUint32(46, true)) || Number.POSITIVE_INFINITY,
    Math.floor((pixelsOffset - headerEnd) / entryBytes),
  );
  const palette = { offset: headerEnd, colours, entryBytes };
  return { width, height, topDown: signedHeight < 0, bitsPerPixel, pixelsOffset, strideBytes, palette, masks };
}

const ALPHA = 3;
const DEFAULT_MASKS = {
  16: [0x7c00, 0x03e0, 0x001f, 0],
  32: [0x00ff0000, 0x0000ff00, 0x000000ff, 0],
} as const;

/** Masks follow the first 40 bytes of the header, inside a longer header or after a short one; null where the file ends. */
function statedMasks(view: DataView, headerBytes: number, compression: number): BmpHeader['masks'] | null {
  const offset = FILE_HEADER_BYTES + INFO_HEADER_BYTES;
  const hasAlpha = compression === COMPRESSION.alphaBitfields || headerBytes >= INFO_HEADER_BYTES + 16;
  if (view.byteLength < offset + (hasAlpha ? 16 : 12)) return null;
  const mask = (i: number): number => view.getUint32(offset + 4 * i, true);
  return [mask(0), mask(1), mask(2), hasAlpha ? mask(ALPHA) : 0];
}

/** Whether a mask is one run of bits that lies in a pixel. */
function isMask(mask: number, bits: number): boolean {
  const run = mask / lowestBit(mask) + 1;
  return mask > 0 && mask < 2 ** bits && Number.isInteger(Math.log2(run));
}

const lowestBit = (mask: number): number => (mask & -mask) >>> 0;

function rowReader(view: DataView, header: BmpHeader): RowReader {
  if (header.bitsPerPixel <= 8) return paletteRows(view, header);
  return header.bitsPerPixel === 24 ? bgrRows(view) : maskedRows(view, header);
}

function paletteRows(view: DataView, { bitsPerPixel, palette }: BmpHeader): RowReader {
  const colours = new Uint8Array(3 * 2 ** bitsPerPixel); // indices beyond the palette are black
  for (let i = 0; i < palette.colours; i++) {
    for (let c = 0; c < 3; c++) colours[3 * i + c] = view.getUint8(palette.offset + i * palette.entryBytes + 2 - c);
  }
  const perByte = 8 / bitsPerPixel;
  const mask = 2 ** bitsPerPixel - 1;
  return (offset, out) => {
    for (let pixel = 0; 3 * pixel < out.length; pixel++) {
      const shift = 8 - bitsPerPixel * ((pixel % perByte) + 1); // the leftmost pixel has the highest bits
      const index = (view.getUint8(offset + Math.floor(pixel / perByte)) >> shift) & mask;
      out.set(colours.subarray(3 * index, 3 * index + 3), 3 * pixel);
    }
  };
}

const bgrRows =
  (view: DataView): RowReader =>
  (offset, out) => {
    for (let i = 0; i < out.length; i += 3) {
      out[i] = view.getUint8(offset + i + 2);
      out[i + 1] = view.getUint8(offset + i + 1);
      out[i + 2] = view.getUint8(offset + i);
    }
  };

function maskedRows(view: DataView, { bitsPerPixel, masks }: BmpHeader): RowReader {
  const pixelBytes = bitsPerPixel / 8;
  const channels = masks.map((mask) => {
    const unit = lowestBit(mask);
    return { mask, unit, highest: mask / unit };
  });
  const sample = (pixel: number, { mask, unit, highest }: (typeof channels)[number]): number =>
    Math.trunc(((((pixel & mask) >>> 0) / unit) * 255) / highest); // cut, not rounded, as Pillow does
  return (offset, out) => {
    for (let from = offset, i = 0; i < out.length; from += pixelBytes, i += 3) {
      const pixel = pixelBytes === 2 ? view.getUint16(from, true) : view.getUint32(from, true);
      const alpha = masks[ALPHA] === 0 ? OPAQUE : sample(pixel, channels[ALPHA]);
      for (let c = 0; c < 3; c++) out[i + c] = overWhite(sample(pixel, channels[c]), alpha);
    }
  };
}
