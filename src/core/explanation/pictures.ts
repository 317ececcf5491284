import { encodePng } from '../media/encode-image.js';
import type { ContractInput } from '../onnx/manifest.js';
import { floatsOf } from '../runtime/value.js';
import { colourOf, hexOf, type Rgb } from './colours.js';
import { type PartMap, rateOf, spectrogramOf } from './maps.js';
import { frameValues } from './units.js';

/** A drawing and what it shows, in words. */
export interface Picture {
  readonly svg: string;
  readonly alt: string;
}

/** Drawings are as wide as a phone, whose letters are then as large as they are drawn. */
const WIDTH = 340;
const GAP = 12;
/** Longer side of a picture in the drawing. */
const SIDE = (WIDTH - GAP) / 2;
const FONT = `font-family="Helvetica, Arial, 'Liberation Sans', sans-serif" font-size="12" fill="#1b1b1f"`;
/** How much of the picture shows through where nothing is attributed. */
const OPACITY = 0.85;
/** A clip's frames that are shown. */
const SHOWN_FRAMES = 3;
/** What the number of a frame takes. */
const NUMBER = 22;

/**
 * A map over what the model saw; null for a text, which a page shows as text.
 * @param limit - magnitude at the end of the scale, the same for both sides
 */
export async function drawMap(map: PartMap, limit: number): Promise<Picture | null> {
  switch (map.part.kind) {
    case 'text':
      return null;
    case 'image':
      return drawImage(map, limit);
    case 'audio':
      return drawSound(map, limit);
    case 'video':
      return drawClip(map, limit);
  }
}

const sideName = ({ part }: PartMap): string =>
  part.side === 'item' ? 'The item' : part.side === 'left' ? 'Left' : 'Right';

async function drawImage(map: PartMap, limit: number): Promise<Picture> {
  const value = map.part.inputs.get(map.part.input.name)!;
  const [height, width] = value.shape.slice(-2);
  const seen = framePixels(floatsOf(value), map.part.input, { height, width, frame: 0, frames: 1 });
  const [w, h] = fitted(width, height);
  const picture = await embedded(seen, width, height);
  const overlay = await embedded(overlaid(map, limit, seen, width, height), width, height);
  const svg = drawing(WIDTH, h + 50, [
    image(picture, 0, 0, w, h),
    image(overlay, w + GAP, 0, w, h),
    ...legend(map, limit, h + 18),
  ]);
  return {
    svg,
    alt: `${sideName(map)}: the picture as the model sees it, and the same with its map of ${map.map.shape.join(' by ')}.`,
  };
}

const fitted = (width: number, height: number): [number, number] => {
  const scale = SIDE / Math.max(width, height);
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
};

/** What the model saw, as 8-bit RGB: the normalisation undone. */
function framePixels(
  values: Float32Array,
  { preprocess }: ContractInput,
  { height, width, frame, frames }: { height: number; width: number; frame: number; frames: number },
): Uint8Array {
  if (preprocess.kind !== 'image' && preprocess.kind !== 'video') throw new RangeError('no picture');
  const { mean, std, scale } = preprocess;
  const area = height * width;
  const pixels = new Uint8Array(3 * area);
  for (let channel = 0; channel < 3; channel++)
    for (let at = 0; at < area; at++) {
      const value = values[(channel * frames + frame) * area + at];
      pixels[3 * at + channel] = Math.max(0, Math.min(255, Math.round((value * std[channel] + mean[channel]) / scale)));
    }
  return pixels;
}

/** Grey picture under the colours of its map: the stronger, the more of them. The map's cells stay cells. */
function overlaid(map: PartMap, limit: number, seen: Uint8Array, width: number, height: number): Uint8Array {
  const [rows, columns] = map.map.shape;
  const pixels = new Uint8Array(seen.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const cell = Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width);
      const share = shareOf(map.map.values[cell], limit);
      const colour = colourOf(map.signed ? share : Math.abs(share), map.signed);
      const at = 3 * (y * width + x);
      const grey = 0.3 * seen[at] + 0.59 * seen[at + 1] + 0.11 * seen[at + 2];
      const opacity = map.signed ? OPACITY * Math.sqrt(Math.abs(share)) : 0.35 + (OPACITY - 0.35) * Math.abs(share);
      for (let channel = 0; channel < 3; channel++)
        pixels[at + channel] = Math.round((1 - opacity) * grey + opacity * colour[channel]);
    }
  return pixels;
}

export const shareOf = (value: number, limit: number): number => Math.max(-1, Math.min(1, value / limit));

async function embedded(data: Uint8Array, width: number, height: number): Promise<string> {
  return `data:image/png;base64,${Buffer.from(await encodePng({ width, height, data })).toString('base64')}`;
}

const image = (href: string, x: number, y: number, width: number, height: number): string =>
  `<image x="${x}" y="${y}" width="${width}" height="${height}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${href}"/>`;

const text = (content: string, x: number, y: number, anchor = 'start'): string =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}" ${FONT}>${content}</text>`;

const drawing = (width: number, height: number, parts: readonly string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 ${width + 16} ${height + 16}" width="${width + 16}" height="${height + 16}"><rect x="-8" y="-8" width="${width + 16}" height="${height + 16}" fill="#ffffff"/>${parts.join('')}</svg>`;

const STEPS = 64;
const LEGEND = 224;

/** The scale with its numbers. */
function legend({ signed }: PartMap, limit: number, y: number): string[] {
  const width = LEGEND / STEPS;
  const boxes = Array.from({ length: STEPS }, (_, i) => {
    const share = signed ? (2 * i) / (STEPS - 1) - 1 : i / (STEPS - 1);
    return `<rect x="${i * width}" y="${y}" width="${width + 0.3}" height="10" fill="${hexOf(colourOf(share, signed))}"/>`;
  });
  const figure = limit.toPrecision(3);
  return [
    ...boxes,
    text(signed ? `-${figure}` : '0', 0, y + 24),
    ...(signed ? [text('0', LEGEND / 2, y + 24, 'middle')] : []),
    text(figure, LEGEND, y + 24, 'end'),
    text(signed ? 'against f · for f' : 'weight', LEGEND + 12, y + 10),
  ];
}

const SOUND = { width: WIDTH, height: 96 } as const;

/** The spectrogram of a sound, and its map under it on the same axes. */
async function drawSound(map: PartMap, limit: number): Promise<Picture> {
  const { grid, energy } = spectrogramOf(map.part);
  const levels = energy.map((value) => 10 * Math.log10(value + 1e-12));
  const top = levels.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const own = await embeddedCells(levels, grid.edges.length - 1, grid.windows, (level) =>
    colourOf(Math.max(0, 1 + (level - top) / 80), false),
  );
  const [bands, windows] = map.map.shape.length === 2 ? map.map.shape : [1, map.map.shape[0]];
  const cells = await embeddedCells(map.map.values, bands, windows, (value) => {
    const share = shareOf(value, limit);
    return colourOf(map.signed ? share : Math.abs(share), map.signed);
  });
  const { width, height } = SOUND;
  const seconds = map.part.inputs.get(map.part.input.name)!.data.length / rateOf(map.part);
  const lower = height + 40;
  const svg = drawing(width, lower + height + 56, [
    text('Sound, decibels below its loudest (80 to 0)', 0, 10),
    image(own, 0, 18, width, height),
    text(
      `Map: 0 to ${Math.round(rateOf(map.part) / 2)} Hz upwards, ${seconds.toFixed(2)} s from left to right`,
      0,
      lower,
    ),
    image(cells, 0, lower + 8, width, height),
    ...legend(map, limit, lower + height + 26),
  ]);
  return {
    svg,
    alt: `${sideName(map)}: the spectrogram of the sound, and the map of ${bands} bands by ${windows} windows.`,
  };
}

/** Low bands below. */
function embeddedCells(
  values: Float32Array,
  bands: number,
  windows: number,
  colour: (value: number) => Rgb,
): Promise<string> {
  const pixels = new Uint8Array(3 * bands * windows);
  for (let band = 0; band < bands; band++)
    for (let window = 0; window < windows; window++)
      pixels.set(colour(values[band * windows + window]), 3 * ((bands - 1 - band) * windows + window));
  return embedded(pixels, windows, bands);
}

/** A bar a frame, and the frames that weigh most. */
async function drawClip(map: PartMap, limit: number): Promise<Picture> {
  const value = map.part.inputs.get(map.part.input.name)!;
  const [frames, height, width] = value.shape.slice(-3);
  const values = frameValues(map);
  const largest = Math.max(...values.map(Math.abs)) || 1;
  const heavy = values
    .map((weight, frame) => ({ weight, frame }))
    .toSorted((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
    .slice(0, SHOWN_FRAMES)
    .toSorted((a, b) => a.frame - b.frame);
  const [w, h] = fitted(width, height).map((side) => Math.round((side * (WIDTH / SHOWN_FRAMES - GAP)) / SIDE));
  const bars = { width: WIDTH, height: 96 };
  const step = bars.width / values.length;
  /** Numbers of frames that have room. */
  const numbered = Math.ceil(NUMBER / step);
  const middle = map.signed ? bars.height / 2 : bars.height;
  const parts = values.flatMap((weight, i) => {
    const length = (Math.abs(weight) / largest) * (map.signed ? bars.height / 2 : bars.height);
    const fill = hexOf(colourOf(map.signed ? Math.sign(weight) * 0.7 : 0.3, map.signed));
    return [
      `<rect x="${i * step + step * 0.15}" y="${weight < 0 && map.signed ? middle : middle - length}" width="${step * 0.7}" height="${length}" fill="${fill}"/>`,
      i % numbered === 0 ? text(`${i + 1}`, (i + 0.5) * step, bars.height + 14, 'middle') : '',
    ];
  });
  const perFrame = map.map.shape.length === 3 ? map.map.values.length / frames : 0;
  const shown = await Promise.all(
    heavy.map(async ({ frame }, i) => {
      const seen = framePixels(floatsOf(value), map.part.input, { height, width, frame, frames });
      const own = map.map.shape.length === 3 && map.map.shape[0] === frames;
      const part = {
        shape: map.map.shape.slice(1),
        values: map.map.values.subarray(frame * perFrame, (frame + 1) * perFrame),
      };
      const pixels = own ? overlaid({ ...map, map: part }, limit, seen, width, height) : seen;
      const x = i * (w + GAP);
      return [
        image(await embedded(pixels, width, height), x, bars.height + 44, w, h),
        text(`Frame ${frame + 1}: ${values[frame].toPrecision(3)}`, x, bars.height + 38),
      ].join('');
    }),
  );
  const svg = drawing(bars.width, bars.height + h + 94, [
    `<line x1="0" x2="${bars.width}" y1="${middle}" y2="${middle}" stroke="#54545c" stroke-width="1"/>`,
    ...parts,
    ...shown,
    ...legend(map, limit, bars.height + h + 62),
  ]);
  return {
    svg,
    alt: `${sideName(map)}: a bar for each of ${values.length} frames, the largest ${largest.toPrecision(3)}, and the frames that weigh most.`,
  };
}
