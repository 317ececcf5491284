/** Pairs of items as columns. */
export interface Pairs {
  readonly left: Int32Array;
  readonly right: Int32Array;
  /** Items are 0 to `items` - 1. */
  readonly items: number;
}

/** Keeps the system solvable: utilities are only known up to what is added to all of a prompt, which this holds at 0. */
const RIDGE = 1e-6;
const MOST_STEPS = 500;

/**
 * The utilities whose differences come closest to the logits of pairs, by least squares (conjugate gradients): exact where the logits are
 * differences, and the best there is for a model that looks at both sides at once.
 *
 * @param logits - of each pair; NaN where there is none
 */
export function utilitiesOf({ left, right, items }: Pairs, logits: Float64Array): Float64Array {
  const known = Int32Array.from(logits.keys()).filter((pair) => !Number.isNaN(logits[pair]));
  const residual = new Float64Array(items);
  const degree = new Float64Array(items).fill(RIDGE);
  for (const pair of known) {
    residual[left[pair]] += logits[pair];
    residual[right[pair]] -= logits[pair];
    degree[left[pair]]++;
    degree[right[pair]]++;
  }
  const solution = new Float64Array(items);
  const applied = new Float64Array(items);
  const preconditioned = residual.map((value, i) => value / degree[i]);
  const direction = Float64Array.from(preconditioned);
  let product = dot(residual, preconditioned);
  const enough = product * 1e-20;
  for (let step = 0; step < MOST_STEPS && product > enough; step++) {
    for (let i = 0; i < items; i++) applied[i] = RIDGE * direction[i];
    for (const pair of known) {
      const flow = direction[left[pair]] - direction[right[pair]];
      applied[left[pair]] += flow;
      applied[right[pair]] -= flow;
    }
    const length = product / dot(direction, applied);
    for (let i = 0; i < items; i++) {
      solution[i] += length * direction[i];
      residual[i] -= length * applied[i];
      preconditioned[i] = residual[i] / degree[i];
    }
    const next = dot(residual, preconditioned);
    const turn = next / product;
    for (let i = 0; i < items; i++) direction[i] = preconditioned[i] + turn * direction[i];
    product = next;
  }
  return solution;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
