import { Random } from '../../bytes/random.js';

/**
 * Low-rank adaptation (Hu et al., 2022): a weight W [m, n] stays as it is, and A [m, r] B [r, n] is added to it. A is drawn,
 * B starts at 0, so that training starts at the model as it was; scale alpha / r is 1.
 */
const SUFFIX = { a: '/lora_a', b: '/lora_b' } as const;

export const loraNames = (key: string): { readonly a: string; readonly b: string } => ({
  a: key + SUFFIX.a,
  b: key + SUFFIX.b,
});

/** The weight that an A adapts, or undefined for any other name. */
export const adaptedBy = (name: string): string | undefined =>
  name.endsWith(SUFFIX.a) ? name.slice(0, -SUFFIX.a.length) : undefined;

export const isLoraFactor = (name: string): boolean => name.endsWith(SUFFIX.a) || name.endsWith(SUFFIX.b);

/** Fills a factor with what it starts at: A with Normal(0, 1 / rank), a function of its name alone; B with zeros. */
export function startFactor(name: string, values: Float32Array, rank: number): void {
  values.fill(0);
  if (adaptedBy(name) === undefined) return;
  const random = new Random(`lora/${name}`);
  for (let i = 0; i < values.length; i++) values[i] = random.normal() / Math.sqrt(rank);
}

/** W + A B, row-major. */
export function mergeFactors(
  base: Float32Array,
  a: Float32Array,
  b: Float32Array,
  [rows, columns]: readonly number[],
): Float32Array {
  const merged = base.slice();
  const rank = a.length / rows;
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < rank; k++) {
      const factor = a[i * rank + k];
      for (let j = 0; j < columns; j++) merged[i * columns + j] += factor * b[k * columns + j];
    }
  }
  return merged;
}
