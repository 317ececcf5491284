import type { Random } from '../../bytes/random.js';
import { encodeJpeg } from '../../media/encode-image.js';
import { decodeImage } from '../../media/image/decode.js';
import type { Pixels } from '../../media/image/pixels.js';
import { MAX_STRENGTH, type Perturbation } from '../perturbation.js';
import { type Colour, hsl, mix } from './canvas.js';
import { addNoise, edgeStrength, gaussianBlur, mapColours, throughThumbnail } from './filters.js';

/** Values for strengths 1 … 5; index 0 is the clean picture. Lengths are in pixels of a picture of 256 by 256. */
const BLUR_SIGMA = [0, 0.8, 1.4, 2.2, 3.4, 5.2];
const NOISE_DEVIATION = [0, 8, 16, 28, 44, 68];
const JPEG_QUALITY = [100, 30, 16, 9, 5, 2];
const SHRINK_FACTOR = [1, 1.6, 2.2, 3.2, 4.6, 7];
const HUE_TURN = [0, 0.03, 0.07, 0.13, 0.21, 0.33];
const CAST = [0, 0.06, 0.12, 0.19, 0.27, 0.36];
const STYLE_LEVELS = [256, 9, 7, 5, 4, 3];
const STYLE_MIX = [0, 0.25, 0.45, 0.65, 0.82, 1];

/**
 * What lengths are multiplied by. They grow with the root of the side: in proportion to it, strength 1 would vanish between
 * the pixels of a small picture; fixed, it would vanish in a large one.
 */
const scaleOf = ({ width, height }: Pixels): number => Math.sqrt(Math.min(width, height) / 256);

const SEPIA: Colour = [255, 214, 160];

export const IMAGE_PERTURBATIONS: readonly Perturbation<Pixels>[] = [
  {
    id: 'blur',
    weight: 1,
    apply: (clean, strength) => gaussianBlur(clean, BLUR_SIGMA[strength] * scaleOf(clean)),
  },
  {
    id: 'noise',
    weight: 1,
    apply: (clean, strength, random) => addNoise(clean, NOISE_DEVIATION[strength], random),
  },
  {
    id: 'jpeg',
    weight: 1,
    apply: async (clean, strength) => decodeImage(await encodeJpeg(clean, JPEG_QUALITY[strength]), 'perturbed.jpg'),
  },
  { id: 'colour', weight: 1, apply: shiftColours },
  {
    id: 'downscale',
    weight: 1,
    apply: (clean, strength) => throughThumbnail(clean, SHRINK_FACTOR[strength]),
  },
  { id: 'style', weight: 1, apply: restyle },
];

/** Side of a damaged square as a share of the shorter side, by strength. */
const SQUARE_SIDE = [0, 0.2, 0.25, 0.3, 0.35, 0.4];
/** A square is blurred with the same deviation at every strength: what grows is the square. */
const SQUARE_BLUR = 6;

/** Damage to one square of the picture, elsewhere clean: made when it is asked for by name, to see whether explanations find it. */
export const LOCAL_PERTURBATIONS: readonly Perturbation<Pixels>[] = [
  {
    id: 'blurred-square',
    weight: 1,
    apply: (clean, strength, random) =>
      withSquare(clean, strength, random, () => gaussianBlur(clean, SQUARE_BLUR * scaleOf(clean))),
  },
  {
    id: 'pasted-square',
    weight: 1,
    apply: (clean, strength, random) => {
      const colour = hsl(random.uniform(), 0.9, 0.5);
      return withSquare(clean, strength, random, () => mapColours(clean, () => colour));
    },
  },
];

/** The picture with a square of another one; its middle stays where it is whatever the strength. */
function withSquare(clean: Pixels, strength: number, random: Random, other: () => Pixels): Pixels {
  const { width, height } = clean;
  const largest = SQUARE_SIDE[MAX_STRENGTH] * Math.min(width, height);
  const side = Math.round(SQUARE_SIDE[strength] * Math.min(width, height));
  const middle = [width, height].map((length) => random.uniform(largest / 2, length - largest / 2));
  const [left, top] = middle.map((at) => Math.round(at - side / 2));
  const from = other();
  const data = clean.data.slice();
  for (let y = Math.max(0, top); y < Math.min(height, top + side); y++) {
    const [start, end] = [Math.max(0, left), Math.min(width, left + side)].map((x) => 3 * (y * width + x));
    data.set(from.data.subarray(start, end), start);
  }
  return { ...clean, data };
}

/** Turns the hue about the grey axis and lays a tint over the whole, so that grey pictures change too. */
function shiftColours(clean: Pixels, strength: number, random: Random): Pixels {
  const turn = 2 * Math.PI * HUE_TURN[strength] * (random.uniform() < 0.5 ? -1 : 1);
  const tint = hsl(random.uniform(), 1, 0.5);
  const [cos, sin] = [Math.cos(turn), Math.sin(turn) / Math.sqrt(3)];
  const grey = (1 - cos) / 3;
  return mapColours(clean, ([r, g, b]) => {
    const sum = grey * (r + g + b);
    return mix(
      [cos * r + sum + sin * (b - g), cos * g + sum + sin * (r - b), cos * b + sum + sin * (g - r)],
      tint,
      CAST[strength],
    );
  });
}

/** A crude painting of the picture: few levels, towards sepia, edges drawn dark. */
function restyle(clean: Pixels, strength: number): Pixels {
  const levels = STYLE_LEVELS[strength] - 1;
  const share = STYLE_MIX[strength];
  const edges = edgeStrength(clean);
  let at = 0;
  return mapColours(clean, (colour) => {
    const flat = colour.map((value) => (255 * Math.round((value / 255) * levels)) / levels) as unknown as Colour;
    const grey = (0.299 * flat[0] + 0.587 * flat[1] + 0.114 * flat[2]) / 255;
    const aged: Colour = [grey * SEPIA[0], grey * SEPIA[1], grey * SEPIA[2]];
    const drawn = mix(mix(flat, aged, 0.8), [25, 18, 12], Math.min(1, 3 * edges[at++]));
    return mix(colour, drawn, share);
  });
}
