import type { Random } from '../../bytes/random.js';

/** A smooth random surface in 0 … 1 over the plane. */
export type Field = (x: number, y: number) => number;

const LATTICE = 64; // repeats after so many cells; no picture shows as many

/**
 * Fractal value noise: octaves of a random lattice, each twice as fine and half as high as the one before.
 * @param cells - lattice cells over the side of the picture in the coarsest octave
 */
export function fractalNoise(random: Random, cells: number, octaves: number): Field {
  const lattice = Float32Array.from({ length: LATTICE * LATTICE }, () => random.uniform());
  const height = 2 - 2 ** (1 - octaves);
  return (x, y) => {
    let sum = 0;
    for (let octave = 0; octave < octaves; octave++) {
      const scale = cells * 2 ** octave;
      sum += latticeValue(lattice, scale * x + 7 * octave, scale * y + 13 * octave) / 2 ** octave;
    }
    return sum / height;
  };
}

function latticeValue(lattice: Float32Array, x: number, y: number): number {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  const [u, v] = [smooth(x - column), smooth(y - row)];
  const at = (i: number, j: number): number => lattice[wrap(row + j) * LATTICE + wrap(column + i)];
  const upper = at(0, 0) + u * (at(1, 0) - at(0, 0));
  const lower = at(0, 1) + u * (at(1, 1) - at(0, 1));
  return upper + v * (lower - upper);
}

const wrap = (i: number): number => i & (LATTICE - 1);
const smooth = (t: number): number => t * t * (3 - 2 * t);
