import type { Explanation } from '../explainer.js';
import type { PartMap } from '../maps.js';
import { type Fineness, type Removable, removableOf } from '../removable.js';
import { frameValues } from '../units.js';

const FINENESS: Fineness = { patches: 14, sound: { bands: 8, windows: 16 } };

/** Something of one part that can be taken away, with what the map says of it. */
export interface Cell {
  /** Place among the maps of the explanation. */
  readonly map: number;
  /** Place in the part. */
  readonly unit: number;
  /** What speaks for the decision, by the map. */
  readonly value: number;
}

export interface Cells {
  readonly removables: readonly Removable[];
  readonly cells: readonly Cell[];
}

/** The parts of an explanation in cells that can be taken away, each with its share of the map. */
export function cellsOf({ maps, logit, method }: Explanation): Cells {
  const direction = logit < 0 ? -1 : 1;
  const removables = maps.map(({ part }) => removableOf(part, FINENESS));
  const cells = maps.flatMap((map, i) => {
    // Relevance says what speaks for its own side; other methods what speaks for f.
    const sign = method === 'relevance' && map.part.side === 'right' ? -direction : direction;
    const values = pooled(map, removables[i]);
    return removables[i].units.map((_, unit) => ({
      map: i,
      unit,
      value: map.signed || method === 'relevance' ? sign * values[unit] : values[unit],
    }));
  });
  return { removables, cells };
}

/** The map on the grid of the cells: sums of a finer one, and of a coarser one the number at each cell's middle. */
function pooled(map: PartMap, { shape, units }: Removable): number[] {
  const { part } = map;
  if (part.kind === 'text') return units.map(([token]) => map.map.values[token]);
  if (part.kind === 'video') return frameValues(map);
  const [rows, columns] = shape;
  const [height, width] = map.map.shape.length === 2 ? map.map.shape : [1, map.map.shape[0]];
  const sums = new Array<number>(rows * columns).fill(0);
  const finer = height >= rows && width >= columns;
  if (!finer) {
    return sums.map((_, cell) => {
      const y = Math.floor(((Math.floor(cell / columns) + 0.5) * height) / rows);
      const x = Math.floor((((cell % columns) + 0.5) * width) / columns);
      return map.map.values[y * width + x];
    });
  }
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      sums[Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width)] +=
        map.map.values[y * width + x];
  return sums;
}
