/** Places and weights by which the mean of a function under Normal(0, 1) is a weighted sum. */
export interface Quadrature {
  readonly nodes: Float64Array;
  /** Sum to 1. */
  readonly weights: Float64Array;
}

/**
 * Gauss and Hermite's rule: exact for polynomials of degree up to 2 n - 1. Roots by Newton's method on the orthonormal polynomials,
 * from the largest down.
 *
 * @param n - nodes, up to 64: beyond, starting values meet the wrong roots
 * @throws RangeError for other numbers of nodes
 * @see numpy.polynomial.hermite_e.hermegauss
 */
export function gaussHermite(n: number): Quadrature {
  if (!(Number.isInteger(n) && n >= 1 && n <= 64)) throw new RangeError(`${n} nodes`);
  const nodes = new Float64Array(n);
  const weights = new Float64Array(n);
  const half = Math.ceil(n / 2);
  for (let i = 0; i < half; i++) {
    let x = startOf(n, i, nodes);
    let slope = 0;
    for (let step = 0; step < 100; step++) {
      const { value, below } = orthonormal(n, x);
      slope = Math.sqrt(n) * below;
      const change = value / slope;
      x -= change;
      if (Math.abs(change) < 1e-15 * Math.max(1, Math.abs(x))) break;
    }
    slope = Math.sqrt(n) * orthonormal(n, x).below;
    nodes[i] = x;
    nodes[n - 1 - i] = -x;
    weights[i] = weights[n - 1 - i] = n / (slope * slope);
  }
  if (n % 2 === 1) nodes[half - 1] = 0;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return { nodes: nodes.reverse(), weights: weights.map((weight) => weight / total).reverse() };
}

/** The orthonormal polynomials of degree n and n - 1 under the normal density. */
function orthonormal(n: number, x: number): { value: number; below: number } {
  let [value, below] = [1, 0];
  for (let k = 0; k < n; k++) [value, below] = [(x * value - Math.sqrt(k) * below) / Math.sqrt(k + 1), value];
  return { value, below };
}

/** Where the search for root i begins (Numerical Recipes, gauher), for the density exp(-x^2 / 2). */
function startOf(n: number, i: number, found: Float64Array): number {
  const root = (k: number) => found[k] / Math.SQRT2;
  const physicists =
    i === 0
      ? Math.sqrt(2 * n + 1) - 1.85575 * (2 * n + 1) ** (-1 / 6)
      : i === 1
        ? root(0) - (1.14 * n ** 0.426) / root(0)
        : i === 2
          ? 1.86 * root(1) - 0.86 * root(0)
          : i === 3
            ? 1.91 * root(2) - 0.91 * root(1)
            : 2 * root(i - 1) - root(i - 2);
  return Math.SQRT2 * physicists;
}
