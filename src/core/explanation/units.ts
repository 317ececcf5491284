import type { PartMap } from './maps.js';

/** A place of a part that people have a name for, with what is attributed to it. */
export interface NamedUnit {
  /** A word, `top left`, `frame 3`, `0-340 Hz`. */
  readonly name: string;
  readonly value: number;
  /** Whether it is a token that the tokenizer has added, and no word. */
  readonly special?: true;
}

const ROWS = ['top', 'middle', 'bottom'] as const;
const COLUMNS = ['left', 'centre', 'right'] as const;
/** Mel bands that get a name together. */
const BAND_GROUPS = 8;

/** What a map says of words, ninths of a picture, bands or frames: sums, or the largest magnitude where numbers do not add up. */
export function namedUnits(map: PartMap): NamedUnit[] {
  switch (map.part.kind) {
    case 'text':
      return words(map);
    case 'image':
      return regions(map);
    case 'audio':
      return bands(map);
    case 'video':
      return frameValues(map).map((value, i) => ({ name: `frame ${i + 1}`, value }));
  }
}

/** Those that weigh most, whatever their sign. */
export const heaviest = (units: readonly NamedUnit[], count: number): NamedUnit[] =>
  units.toSorted((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, count);

const join = ({ signed }: PartMap, values: readonly number[]): number =>
  signed ? values.reduce((a, b) => a + b, 0) : Math.max(0, ...values.map(Math.abs));

function words(map: PartMap): NamedUnit[] {
  const { tokens } = map.part;
  const { values } = map.map;
  if (!tokens) return Array.from(values, (value, i) => ({ name: `token ${i + 1}`, value }));
  const found: { name: string; values: number[]; special: boolean }[] = [];
  let last: number | null = null;
  for (const [i, { text, word, special }] of tokens.entries()) {
    if (!special && word === last && found.length > 0) {
      found[found.length - 1].name += text;
      found[found.length - 1].values.push(values[i]);
    } else found.push({ name: text, values: [values[i]], special });
    last = special ? null : word;
  }
  return found.map(({ name, values: each, special }) => ({
    name,
    value: join(map, each),
    ...(special ? { special: true as const } : {}),
  }));
}

function regions(map: PartMap): NamedUnit[] {
  const [height, width] = map.map.shape;
  const cells = ROWS.flatMap((row) =>
    COLUMNS.map((column) => ({
      name: row === 'middle' && column === 'centre' ? 'centre' : `${row} ${column}`,
      values: [] as number[],
    })),
  );
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const cell = 3 * Math.floor((3 * (y + 0.5)) / height) + Math.floor((3 * (x + 0.5)) / width);
      cells[cell].values.push(map.map.values[y * width + x]);
    }
  return cells.map(({ name, values }) => ({ name, value: sumOf(map, values) }));
}

/** As `join`, for more values than a call takes arguments. */
function sumOf({ signed }: PartMap, values: readonly number[]): number {
  let total = 0;
  for (const value of values) total = signed ? total + value : Math.max(total, Math.abs(value));
  return total;
}

function bands(map: PartMap): NamedUnit[] {
  const { shape, values } = map.map;
  if (shape.length === 1) return Array.from(values, (value, i) => ({ name: `window ${i + 1}`, value }));
  const [count, windows] = shape;
  const step = Math.max(1, count / BAND_GROUPS);
  return Array.from({ length: Math.min(count, BAND_GROUPS) }, (_, group) => {
    const rows = values.subarray(group * step * windows, (group + 1) * step * windows);
    const limit = (i: number): string => Math.round(map.hertz?.[i * step] ?? i).toString();
    return { name: `${limit(group)}-${limit(group + 1)} Hz`, value: sumOf(map, Array.from(rows)) };
  });
}

/** A number a frame. */
export function frameValues(map: PartMap): number[] {
  const [frames] = map.map.shape;
  const size = map.map.values.length / frames;
  return Array.from({ length: frames }, (_, i) =>
    sumOf(map, Array.from(map.map.values.subarray(i * size, (i + 1) * size))),
  );
}
