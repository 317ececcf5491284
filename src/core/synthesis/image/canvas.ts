import type { Pixels } from '../../media/image/pixels.js';

/** Red, green and blue in 0 … 255; fractions are rounded when the picture is finished. */
export type Colour = readonly [number, number, number];

/** Colour of a point; coordinates in 0 … 1 from the upper left corner of a square picture. */
export type Paint = (x: number, y: number) => Colour;

export interface Shape {
  /** Signed distance of a point from the edge, negative inside, in units of the picture's side. */
  distance(x: number, y: number): number;
  /** A circle that holds all of it: points outside are not asked for. Without it, every point is. */
  readonly within?: { readonly x: number; readonly y: number; readonly radius: number };
}

/** A square picture that is painted on, with smooth edges. */
export class Canvas {
  private constructor(
    readonly size: number,
    private readonly data: Float32Array,
  ) {}

  /** A new picture, painted all over. */
  static painted(size: number, background: Paint): Canvas {
    return new Canvas(size, new Float32Array(3 * size * size)).fill({ distance: () => -1 }, background);
  }

  /** A copy of a square picture. */
  static of({ width, data }: Pixels): Canvas {
    return new Canvas(width, Float32Array.from(data));
  }

  /** Paints the inside of a shape; a pixel on its edge is blended by the part that is covered. */
  fill(shape: Shape, paint: Paint, opacity = 1): this {
    const { data, size } = this;
    const { x: centreX, y: centreY, radius } = shape.within ?? { x: 0.5, y: 0.5, radius: 1 };
    const [left, right] = this.span(centreX, radius);
    const [top, bottom] = this.span(centreY, radius);
    for (let row = top; row < bottom; row++) {
      const y = (row + 0.5) / size;
      for (let column = left; column < right; column++) {
        const x = (column + 0.5) / size;
        const coverage = opacity * Math.min(1, Math.max(0, 0.5 - shape.distance(x, y) * size));
        if (coverage === 0) continue;
        const colour = paint(x, y);
        const at = 3 * (row * size + column);
        for (let c = 0; c < 3; c++) data[at + c] += coverage * (colour[c] - data[at + c]);
      }
    }
    return this;
  }

  /** First and past the last of the pixels within `radius` of a centre, and the half pixel that smooths the edge. */
  private span(centre: number, radius: number): readonly [number, number] {
    const first = Math.floor((centre - radius) * this.size - 1);
    const end = Math.ceil((centre + radius) * this.size + 1);
    return [Math.max(0, first), Math.min(this.size, end)];
  }

  toPixels(): Pixels {
    return { width: this.size, height: this.size, data: Uint8Array.from(this.data, toByte) };
  }
}

/** The nearest of 0 … 255. */
export const toByte = (value: number): number => Math.min(255, Math.max(0, Math.round(value)));

export const solid =
  (colour: Colour): Paint =>
  () =>
    colour;

export const mix = (a: Colour, b: Colour, share: number): Colour => [
  a[0] + share * (b[0] - a[0]),
  a[1] + share * (b[1] - a[1]),
  a[2] + share * (b[2] - a[2]),
];

/** @param hue - in turns; saturation and lightness in 0 … 1 */
export function hsl(hue: number, saturation: number, lightness: number): Colour {
  const chroma = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number): number => {
    const k = (((n + 12 * hue) % 12) + 12) % 12;
    return 255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return [channel(0), channel(8), channel(4)];
}

export const circle = (x: number, y: number, radius: number): Shape => ({
  distance: (u, v) => Math.hypot(u - x, v - y) - radius,
  within: { x, y, radius },
});

export function ring(x: number, y: number, radius: number, width: number): Shape {
  const disc = circle(x, y, radius);
  return {
    distance: (u, v) => Math.abs(disc.distance(u, v)) - width / 2,
    within: { x, y, radius: radius + width / 2 },
  };
}

/** @param angle - in turns */
export function rectangle(x: number, y: number, width: number, height: number, angle = 0): Shape {
  const [cos, sin] = [Math.cos(2 * Math.PI * angle), Math.sin(2 * Math.PI * angle)];
  return {
    distance(u, v) {
      const [dx, dy] = [u - x, v - y];
      return Math.max(Math.abs(cos * dx + sin * dy) - width / 2, Math.abs(cos * dy - sin * dx) - height / 2);
    },
    within: { x, y, radius: Math.hypot(width, height) / 2 },
  };
}

/** Regular, its first corner pointing up, turned by `angle` in turns. */
export function polygon(x: number, y: number, radius: number, corners: number, angle = 0): Shape {
  const sector = (2 * Math.PI) / corners;
  const apothem = radius * Math.cos(sector / 2);
  return {
    distance(u, v) {
      const [dx, dy] = [u - x, v - y];
      const direction = Math.atan2(dx, -dy) - 2 * Math.PI * angle;
      const offAxis = direction - sector * Math.floor(direction / sector) - sector / 2;
      return Math.hypot(dx, dy) * Math.cos(offAxis) - apothem;
    },
    within: { x, y, radius },
  };
}

/** Everything below a line, which may be uneven: `height(x)` is its place, from the top. */
export const below = (height: (x: number) => number): Shape => ({ distance: (x, y) => height(x) - y });
