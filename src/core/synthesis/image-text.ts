import type { Random } from '../bytes/random.js';
import { encodePng } from '../media/encode-image.js';
import type { Pixels } from '../media/image/pixels.js';
import { Canvas, type Colour, circle, type Paint, polygon, rectangle, ring, type Shape } from './image/canvas.js';
import { IMAGE_PERTURBATIONS } from './image/perturbations.js';
import type { SynthModality } from './modality.js';
import type { Perturbation } from './perturbation.js';

/** A picture and what is said of it. */
export interface Captioned {
  readonly image: Pixels;
  readonly facts: Facts;
}

/** What the picture shows: two things on a ground. Each value is an index into the words of its fact. */
type Facts = Readonly<Record<FactName, number>>;
type FactName = keyof typeof WORDS;

const COLOURS: Readonly<Record<string, Colour>> = {
  red: [214, 40, 40],
  blue: [36, 84, 200],
  green: [40, 150, 62],
  yellow: [245, 205, 45],
  purple: [130, 55, 170],
  orange: [242, 130, 30],
  black: [20, 20, 20],
  white: [248, 248, 248],
};
const COLOUR_WORDS = Object.keys(COLOURS);

const SHAPES: Readonly<Record<string, (x: number, y: number, radius: number) => Shape>> = {
  circle,
  square: (x, y, radius) => rectangle(x, y, 1.7 * radius, 1.7 * radius),
  triangle: (x, y, radius) => polygon(x, y, 1.15 * radius, 3),
  ring: (x, y, radius) => ring(x, y, 0.85 * radius, 0.35 * radius),
  bar: (x, y, radius) => rectangle(x, y, 2.2 * radius, 0.6 * radius),
};
const SHAPE_WORDS = Object.keys(SHAPES);
const SIZES: Readonly<Record<string, number>> = { small: 0.09, large: 0.19 };
const PLACES: Readonly<Record<string, readonly [x: number, y: number]>> = {
  above: [0, -0.25],
  below: [0, 0.25],
  'left of': [-0.25, 0],
  'right of': [0.25, 0],
};
const GROUNDS: Readonly<Record<string, (colour: Colour) => Paint>> = {
  plain: (colour) => () => colour,
  striped: (colour) => (_, y) => (Math.floor(16 * y) % 2 === 0 ? colour : GREY),
  chequered: (colour) => (x, y) => ((Math.floor(10 * x) + Math.floor(10 * y)) % 2 === 0 ? colour : GREY),
};
const GREY: Colour = [150, 150, 150];

const WORDS = {
  firstColour: COLOUR_WORDS,
  firstShape: SHAPE_WORDS,
  place: Object.keys(PLACES),
  secondColour: COLOUR_WORDS,
  secondShape: SHAPE_WORDS,
  groundColour: COLOUR_WORDS,
  firstSize: Object.keys(SIZES),
  secondSize: Object.keys(SIZES),
  ground: Object.keys(GROUNDS),
} as const satisfies Record<string, readonly string[]>;
const FACT_NAMES = Object.keys(WORDS) as FactName[];

/** `a large red circle above a small blue square on a striped green ground`. */
export function caption(facts: Facts): string {
  const word = (name: FactName): string => WORDS[name][facts[name]];
  const first = `${word('firstSize')} ${word('firstColour')} ${word('firstShape')}`;
  const second = `${word('secondSize')} ${word('secondColour')} ${word('secondShape')}`;
  return `a ${first} ${word('place')} a ${second} on a ${word('ground')} ${word('groundColour')} ground`;
}

function drawCaptioned(random: Random, size: number): Captioned {
  const entries = FACT_NAMES.map((name) => [name, random.integer(0, WORDS[name].length)] as const);
  const facts: Record<FactName, number> = Object.fromEntries(entries) as Facts;
  // Neither thing has the colour of the ground.
  for (const name of ['firstColour', 'secondColour'] as const) {
    if (facts[name] === facts.groundColour) facts[name] = (facts[name] + 1) % COLOUR_WORDS.length;
  }
  return { image: drawFacts(facts, size), facts };
}

function drawFacts(facts: Facts, size: number): Pixels {
  const word = (name: FactName): string => WORDS[name][facts[name]];
  const ground = GROUNDS[word('ground')](COLOURS[word('groundColour')]);
  const [dx, dy] = PLACES[word('place')];
  const thing = (shape: string, x: number, y: number, radius: string): Shape => SHAPES[shape](x, y, SIZES[radius]);
  return Canvas.painted(size, ground)
    .fill(thing(word('firstShape'), 0.5 + dx, 0.5 + dy, word('firstSize')), () => COLOURS[word('firstColour')])
    .fill(thing(word('secondShape'), 0.5 - dx, 0.5 - dy, word('secondSize')), () => COLOURS[word('secondColour')])
    .toPixels();
}

/** As many facts of the caption made wrong as the strength says. */
function misstate({ image, facts }: Captioned, strength: number, random: Random): Captioned {
  const wrong = FACT_NAMES.map((name) => (facts[name] + random.integer(1, WORDS[name].length)) % WORDS[name].length);
  const chosen = random.permutation(FACT_NAMES.length).slice(0, strength);
  return { image, facts: { ...facts, ...Object.fromEntries(chosen.map((i) => [FACT_NAMES[i], wrong[i]])) } };
}

/** A perturbation of the picture, its caption left as it is. */
const ofPicture = ({ id, weight, apply }: Perturbation<Pixels>): Perturbation<Captioned> => ({
  id,
  weight,
  apply: async ({ image, facts }, strength, random) => ({ image: await apply(image, strength, random), facts }),
});

/** Without the shifts of colour, which would make a true caption false. */
const PICTURE_DAMAGE = ['blur', 'noise', 'jpeg'];

/** @param size - side of the pictures */
export const imageTextModality = (size: number): SynthModality<Captioned> => ({
  id: 'image-text',
  perturbations: [
    { id: 'mismatch', weight: 1, apply: misstate },
    ...IMAGE_PERTURBATIONS.filter(({ id }) => PICTURE_DAMAGE.includes(id)).map(ofPicture),
  ],
  draw: (random) => drawCaptioned(random, size),
  endings: [], // what is wrong about the caption of a photograph cannot be known
  read: () => {
    throw new RangeError('captioned pictures are only drawn');
  },
  store: async ({ image, facts }) => ({
    text: caption(facts),
    file: { part: 'image', ending: '.png', bytes: await encodePng(image) },
  }),
});
