/** Nodes in (0, 1) and weights that sum to 1. */
export interface Quadrature {
  readonly nodes: Float64Array;
  readonly weights: Float64Array;
}

/** Newton's steps reach the last bit within this many. */
const MOST_STEPS = 100;

/** Gauss-Legendre quadrature on [0, 1], nodes in increasing order, to the last bits of float64: zeros of P_n by Newton's method. */
export function gaussLegendre(n: number): Quadrature {
  const nodes = new Float64Array(n);
  const weights = new Float64Array(n);
  for (let i = 0; i < (n + 1) >> 1; i++) {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 1;
    for (let step = 0; step < MOST_STEPS; step++) {
      let [previous, value] = [1, x];
      for (let degree = 2; degree <= n; degree++)
        [previous, value] = [value, ((2 * degree - 1) * x * value - (degree - 1) * previous) / degree];
      slope = n === 1 ? 1 : (n * (x * value - previous)) / (x * x - 1);
      const change = value / slope;
      x -= change;
      if (Math.abs(change) < Number.EPSILON) break;
    }
    const weight = 1 / ((1 - x * x) * slope * slope);
    // Symmetric about 1/2: x is the larger of the two.
    nodes[n - 1 - i] = (1 + x) / 2;
    nodes[i] = (1 - x) / 2;
    weights[i] = weights[n - 1 - i] = weight;
  }
  return { nodes, weights };
}
