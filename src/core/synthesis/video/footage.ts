import type { Random } from '../../bytes/random.js';
import type { Pixels } from '../../media/image/pixels.js';
import { Canvas, type Colour, circle, polygon, type Shape } from '../image/canvas.js';
import { anyColour, drawScene, pattern } from '../image/scenes.js';

/** Frames of one size, shown at `FRAMES_PER_SECOND`. */
export type Footage = readonly Pixels[];

export const FRAMES_PER_SECOND = 12;
/** Two seconds. */
export const FRAMES = 24;

/** How much larger the scene is than what the camera sees of it. */
const SCENE_SCALE = 1.5;

/** A camera that glides over a scene in which shapes move: everything moves, so that a frame that stands still is seen. */
export function drawFootage(random: Random, size: number): Footage {
  const scene = drawScene(random, Math.round(SCENE_SCALE * size));
  const span = scene.width - size;
  const camera = { x: glide(random, 0, span), y: glide(random, 0, span) };
  const actors = Array.from({ length: random.integer(2, 5) }, () => drawActor(random));
  return Array.from({ length: FRAMES }, (_, index) => {
    const time = index / (FRAMES - 1);
    const canvas = Canvas.of(window(scene, { left: camera.x(time), top: camera.y(time), width: size, height: size }));
    for (const { shape, paint } of actors) canvas.fill(shape(time), paint);
    return canvas.toPixels();
  });
}

/** From one side of a range to the other over the time 0 … 1. */
function glide(random: Random, low: number, high: number): (time: number) => number {
  const [from, to] = [random.uniform(low, low + 0.3 * (high - low)), random.uniform(low + 0.7 * (high - low), high)];
  const [start, end] = random.uniform() < 0.5 ? [from, to] : [to, from];
  return (time) => start + time * (end - start);
}

function drawActor(random: Random) {
  const [x, y] = [glide(random, 0.1, 0.9), glide(random, 0.1, 0.9)];
  const radius = random.uniform(0.06, 0.15);
  const corners = random.integer(2, 7); // 2 for round
  const spin = random.uniform(-1, 1);
  const colours: readonly [Colour, Colour] = [anyColour(random), anyColour(random)];
  const shape = (time: number): Shape =>
    corners === 2 ? circle(x(time), y(time), radius) : polygon(x(time), y(time), radius, corners, spin * time);
  return { shape, paint: pattern(random, ...colours) };
}

interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A part of a picture, to the nearest pixel; beyond its edges the outermost pixels go on. */
export function window({ width, height, data }: Pixels, view: Window): Pixels {
  const out = new Uint8Array(3 * view.width * view.height);
  const [left, top] = [Math.round(view.left), Math.round(view.top)];
  for (let row = 0, to = 0; row < view.height; row++) {
    const from = 3 * width * clamp(top + row, height - 1);
    for (let column = 0; column < view.width; column++, to += 3) {
      const at = from + 3 * clamp(left + column, width - 1);
      for (let c = 0; c < 3; c++) out[to + c] = data[at + c];
    }
  }
  return { width: view.width, height: view.height, data: out };
}

const clamp = (value: number, most: number): number => Math.min(most, Math.max(0, value));
