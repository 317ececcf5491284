/** A decoded picture: 8-bit RGB, rows from the top, channels interleaved. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3]. */
  readonly data: Uint8Array;
  /** Whether the file holds indices into a palette, or single bits, which Pillow resizes without interpolation. */
  readonly isIndexed?: boolean;
}

/** Alpha of what hides everything below it. */
export const OPAQUE = 255;
const WHITE = 255;

/** A sample over white: value * alpha + white * (1 - alpha), rounded to the nearest. */
export const overWhite = (value: number, alpha: number): number =>
  Math.trunc((value * alpha + WHITE * (OPAQUE - alpha) + OPAQUE / 2) / OPAQUE);
