/** A decoded picture: 8-bit RGB, rows from the top, channels interleaved. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3]. */
  readonly data: Uint8Array;
  /** Whether the file holds indices into a palette, or single bits, which Pillow resizes without interpolation. */
  readonly isIndexed?: boolean;
  /** [height, width]: how much hides what is below, where the colours are those under what is transparent; absent where all is opaque. */
  readonly alpha?: Uint8Array;
}

/** Alpha of what hides everything below it. */
export const OPAQUE = 255;
const WHITE = 255;

/** A sample over white: value * alpha + white * (1 - alpha), rounded to the nearest. */
export const overWhite = (value: number, alpha: number): number =>
  Math.trunc((value * alpha + WHITE * (OPAQUE - alpha) + OPAQUE / 2) / OPAQUE);

/** a b / 255 rounded to the nearest (Pillow, ImagingUtils.h, MULDIV255). */
const times = (a: number, b: number): number => {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
};

/** Colours times alpha, so that what is transparent weighs nothing where neighbours are mixed (Pillow's mode RGBa). */
export const premultiplied = (data: Uint8Array, alpha: Uint8Array): Uint8Array =>
  data.map((value, i) => times(value, alpha[Math.trunc(i / 3)]));

/** The way back; where nothing is seen, colours stay as they are. */
export const unpremultiplied = (data: Uint8Array, alpha: Uint8Array): Uint8Array =>
  data.map((value, i) => {
    const a = alpha[Math.trunc(i / 3)];
    return a === 0 || a === OPAQUE ? value : Math.min(OPAQUE, Math.trunc((OPAQUE * value) / a));
  });
