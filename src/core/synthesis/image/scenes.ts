import type { Random } from '../../bytes/random.js';
import type { Pixels } from '../../media/image/pixels.js';
import {
  below,
  Canvas,
  type Colour,
  circle,
  hsl,
  mix,
  type Paint,
  polygon,
  rectangle,
  ring,
  type Shape,
  solid,
} from './canvas.js';
import { fractalNoise } from './texture.js';

/** Draws a picture of `size` by `size` pixels that no two draws share. */
export type Scene = (random: Random, size: number) => Pixels;

/**
 * Kinds of pictures. All have many colours, sharp edges, flat parts and fine texture, so that each perturbation shows in each;
 * and the colours that things have in the world, or pure white and black, so that a shift of colours shows without the source.
 */
export const SCENES = { landscape, shapes, mosaic, page, fruit, city } as const satisfies Record<string, Scene>;

/** A picture of one of the kinds. */
export function drawScene(random: Random, size: number): Pixels {
  const scenes: readonly Scene[] = Object.values(SCENES);
  return scenes[random.integer(0, scenes.length)](random, size);
}

const WHITE: Colour = [252, 252, 252];
const BLACK: Colour = [12, 12, 12];

export function anyColour(random: Random): Colour {
  return hsl(random.uniform(), random.uniform(0.35, 0.95), random.uniform(0.25, 0.75));
}

/** One of some hues, give or take a little. */
const nearHue = (random: Random, hues: readonly number[]): number =>
  hues[random.integer(0, hues.length)] + random.uniform(-0.02, 0.02);

const GREEN_AND_AUTUMN = [0.08, 0.12, 0.24, 0.28, 0.32, 0.36];
const FRUIT_HUES = [0.0, 0.04, 0.08, 0.13, 0.25, 0.92];
const WALL_HUES = [0.03, 0.07, 0.1, 0.58];
const WOOD_HUE = 0.08;

/** From one colour to another along a random direction. */
function gradient(random: Random, from: Colour, to: Colour): Paint {
  const angle = random.uniform(0, 2 * Math.PI);
  const [cos, sin] = [Math.cos(angle) / 1.5, Math.sin(angle) / 1.5];
  return (x, y) => mix(from, to, 0.5 + cos * (x - 0.5) + sin * (y - 0.5));
}

/** Stripes or squares of two colours, or a gradient between them. */
export function pattern(random: Random, a: Colour, b: Colour): Paint {
  const kind = random.integer(0, 3);
  if (kind === 0) return gradient(random, a, b);
  const cells = random.integer(6, 20);
  if (kind === 1) return (x, y) => ((Math.floor(cells * x) + Math.floor(cells * y)) % 2 === 0 ? a : b);
  const angle = random.uniform(0, Math.PI);
  const [cos, sin] = [Math.cos(angle) * cells, Math.sin(angle) * cells];
  return (x, y) => ((((cos * x + sin * y) % 2) + 2) % 2 < 1 ? a : b);
}

function anyShape(random: Random, radius: number): Shape {
  const [x, y, angle] = [random.uniform(0.1, 0.9), random.uniform(0.1, 0.9), random.uniform()];
  const kind = random.integer(0, 4);
  if (kind === 0) return circle(x, y, radius);
  if (kind === 1) return ring(x, y, radius, radius * random.uniform(0.15, 0.5));
  if (kind === 2) return rectangle(x, y, 2 * radius, radius * random.uniform(0.4, 2), angle);
  return polygon(x, y, radius, random.integer(3, 7), angle);
}

/** Sky with clouds and a sun over ranges of mountains and a meadow with trees. */
function landscape(random: Random, size: number): Pixels {
  const evening = random.uniform() < 0.3;
  const zenith = hsl(nearHue(random, [0.57, 0.6, 0.63]), 0.6, random.uniform(0.3, 0.6));
  const sky = [zenith, evening ? hsl(nearHue(random, [0.05, 0.1]), 0.85, 0.7) : mix(zenith, WHITE, 0.6)] as const;
  const clouds = fractalNoise(random, random.uniform(2, 5), 4);
  const canvas = Canvas.painted(size, (x, y) => mix(mix(sky[0], sky[1], y), [250, 250, 252], clouds(x, 2 * y) ** 3));
  canvas.fill(
    circle(random.uniform(0.1, 0.9), random.uniform(0.08, 0.3), random.uniform(0.04, 0.09)),
    solid([255, 240, 190]),
  );
  const horizon = random.uniform(0.4, 0.6);
  for (let range = 0; range < 3; range++) {
    const ridge = fractalNoise(random, 3 + 2 * range, 5);
    const colour = hsl(0.6 - 0.16 * range, 0.12 + 0.12 * range, 0.6 - 0.14 * range); // the far ones are bluish
    const rock = fractalNoise(random, 12, 3);
    const top = horizon - 0.22 + 0.11 * range;
    canvas.fill(
      below((x) => top + 0.3 * (ridge(x, 0) - 0.3)),
      (x, y) => mix(colour, [30, 30, 40], 0.5 * rock(x, y)),
    );
  }
  const meadow = hsl(random.uniform(0.2, 0.34), random.uniform(0.35, 0.6), random.uniform(0.28, 0.4));
  const grass = fractalNoise(random, 40, 2);
  canvas.fill(
    below(() => horizon + 0.2),
    (x, y) => mix(meadow, [235, 235, 150], 0.7 * grass(x, 0.4 * y)),
  );
  for (let tree = random.integer(3, 9); tree > 0; tree--)
    plantTree(canvas, random, horizon + random.uniform(0.22, 0.45));
  return canvas.toPixels();
}

function plantTree(canvas: Canvas, random: Random, foot: number): void {
  const [x, height] = [random.uniform(0.05, 0.95), random.uniform(0.08, 0.2)];
  const leaves = hsl(nearHue(random, GREEN_AND_AUTUMN), random.uniform(0.4, 0.8), random.uniform(0.2, 0.45));
  const foliage = fractalNoise(random, 30, 2);
  canvas.fill(rectangle(x, foot - height / 2, 0.012, height), solid([70, 48, 35]));
  canvas.fill(polygon(x, foot - height, height / 2, random.integer(3, 9)), (u, v) =>
    mix(leaves, [20, 30, 20], 0.8 * foliage(u, v)),
  );
}

/** Shapes of many sizes and patterns over a patterned ground, in a white frame with black corners. */
function shapes(random: Random, size: number): Pixels {
  const canvas = Canvas.painted(size, pattern(random, anyColour(random), anyColour(random)));
  for (let left = random.integer(8, 22); left > 0; left--) {
    const paint = pattern(random, anyColour(random), anyColour(random));
    canvas.fill(anyShape(random, 0.03 + 0.2 * random.uniform() ** 2), paint, random.uniform(0.7, 1));
  }
  const margin: Shape = { distance: (x, y) => 0.45 - Math.max(Math.abs(x - 0.5), Math.abs(y - 0.5)) };
  return canvas.fill(margin, frame(0.12)).toPixels();
}

/** White, black where both coordinates are within `corner` of a side. */
const frame =
  (corner: number): Paint =>
  (x, y) =>
    Math.min(x, 1 - x) < corner && Math.min(y, 1 - y) < corner ? BLACK : WHITE;

/** Coloured stones, some of them white, in black joints: the cells of a Voronoi diagram. */
function mosaic(random: Random, size: number): Pixels {
  const hue = random.uniform();
  const stones = Array.from({ length: random.integer(25, 90) }, () => ({
    x: random.uniform(),
    y: random.uniform(),
    colour:
      random.uniform() < 0.2
        ? WHITE
        : hsl(hue + 0.18 * random.normal(), random.uniform(0.3, 0.9), random.uniform(0.3, 0.8)),
  }));
  const grain = fractalNoise(random, 30, 3);
  const canvas = Canvas.painted(size, (x, y) => {
    let nearest = stones[0];
    let [first, second] = [Infinity, Infinity];
    for (const stone of stones) {
      const distance = Math.hypot(stone.x - x, stone.y - y);
      if (distance < first) {
        [first, second, nearest] = [distance, first, stone];
      } else if (distance < second) second = distance;
    }
    if (second - first < 0.008) return BLACK;
    return mix(nearest.colour, BLACK, 0.3 * grain(x, y));
  });
  return canvas.toPixels();
}

/** A page with headings, lines of letter-like marks and a chart. */
function page(random: Random, size: number): Pixels {
  const paper = hsl(0.12, random.uniform(0, 0.3), random.uniform(0.93, 0.98));
  const ink = hsl(0.62, random.uniform(0, 0.4), random.uniform(0.05, 0.2));
  const canvas = Canvas.painted(size, gradient(random, paper, mix(paper, ink, 0.12)));
  canvas.fill(rectangle(0.5, 0.1, 0.9, 0.12), pattern(random, anyColour(random), anyColour(random)));
  const lineHeight = random.uniform(0.035, 0.055);
  const chartTop = random.uniform(0.55, 0.7);
  for (let y = 0.22; y < chartTop - 0.06; y += lineHeight) {
    for (let x = 0.06; x < random.uniform(0.75, 0.94); ) {
      const width = random.uniform(0.008, 0.022);
      const height = lineHeight * random.uniform(0.3, 0.75);
      canvas.fill(rectangle(x, y, width * 0.6, height, random.uniform(-0.04, 0.04)), solid(ink));
      x += random.uniform() < 0.15 ? 2.5 * width : width; // a gap between words
    }
  }
  const bars = random.integer(4, 9);
  for (let bar = 0; bar < bars; bar++) {
    const height = random.uniform(0.05, 0.9 - chartTop);
    const x = 0.1 + (0.8 * (bar + 0.5)) / bars;
    canvas.fill(rectangle(x, 0.94 - height / 2, 0.6 / bars, height), solid(anyColour(random)));
  }
  return canvas.fill(rectangle(0.5, 0.945, 0.86, 0.008), solid(ink)).toPixels();
}

/** Shaded fruit with highlights on a table with a woven cloth. */
function fruit(random: Random, size: number): Pixels {
  const wall = hsl(nearHue(random, WALL_HUES), random.uniform(0.05, 0.2), random.uniform(0.5, 0.85));
  const canvas = Canvas.painted(size, gradient(random, wall, mix(wall, BLACK, 0.5)));
  const table = random.uniform(0.5, 0.65);
  const cloth = [WHITE, hsl(random.uniform() < 0.5 ? WOOD_HUE : 0.6, 0.5, random.uniform(0.25, 0.5))] as const;
  const folds = fractalNoise(random, 8, 4);
  canvas.fill(
    below(() => table),
    (x, y) => mix(cloth[Math.sin(90 * x) * Math.sin(90 * y) > 0 ? 0 : 1], BLACK, 0.4 * folds(x, y)),
  );
  for (let left = random.integer(4, 9); left > 0; left--) {
    const radius = random.uniform(0.06, 0.15);
    const [x, y] = [random.uniform(0.1, 0.9), table + random.uniform(-0.04, 0.25)];
    const skin = hsl(nearHue(random, FRUIT_HUES), random.uniform(0.6, 0.95), random.uniform(0.35, 0.55));
    const speckle = fractalNoise(random, 50, 2);
    canvas.fill(circle(x + 0.3 * radius, y + 0.75 * radius, 0.8 * radius), solid([15, 12, 12]), 0.35); // its shadow
    canvas.fill(circle(x, y, radius), (u, v) => {
      const light = Math.max(0, 1 - Math.hypot(u - x + 0.4 * radius, v - y + 0.4 * radius) / (1.6 * radius));
      return mix(
        mix(mix(skin, [10, 8, 12], 0.65), skin, light * 1.3),
        [255, 255, 255],
        light ** 6 + 0.15 * speckle(u, v),
      );
    });
    canvas.fill(rectangle(x, y - radius, 0.01, 0.05, random.uniform(-0.1, 0.1)), solid([60, 45, 25]));
  }
  return canvas.toPixels();
}

/** Houses with lit windows under an evening sky. */
function city(random: Random, size: number): Pixels {
  const clouds = fractalNoise(random, 3, 4);
  const [night, dusk] = [hsl(nearHue(random, [0.6, 0.65]), 0.6, 0.25), hsl(nearHue(random, [0.03, 0.08]), 0.85, 0.7)];
  const canvas = Canvas.painted(size, (x, y) => mix(night, dusk, y * 0.7 + 0.5 * clouds(x, y)));
  for (let row = 0; row < 2; row++) {
    for (let x = random.uniform(-0.05, 0.02); x < 1; ) {
      const width = random.uniform(0.1, 0.22);
      const top = random.uniform(0.15, 0.55) + 0.2 * row;
      buildHouse(canvas, random, { left: x, top, width });
      x += width + random.uniform(0, 0.03);
    }
  }
  return canvas.toPixels();
}

function buildHouse(
  canvas: Canvas,
  random: Random,
  { left, top, width }: { left: number; top: number; width: number },
): void {
  const wall = hsl(nearHue(random, WALL_HUES), random.uniform(0.1, 0.4), random.uniform(0.3, 0.7));
  const brick = fractalNoise(random, 60, 1);
  canvas.fill(rectangle(left + width / 2, (top + 1) / 2, width, 1 - top), (x, y) =>
    mix(wall, [20, 20, 28], 0.55 * brick(x, y)),
  );
  const lit = random.uniform(0.3, 0.8);
  const columns = random.integer(2, 5);
  const step = width / columns;
  for (let y = top + 0.04; y < 0.97; y += 0.055) {
    for (let column = 0; column < columns; column++) {
      const glass: Colour = random.uniform() < lit ? [255, 226, 150] : [40, 48, 66];
      canvas.fill(rectangle(left + (column + 0.5) * step, y, 0.55 * step, 0.028), solid(glass));
    }
  }
}
