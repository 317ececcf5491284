/** A strictly convex quadratic ½ xᵀHx - qᵀx over x >= 0, optionally with the sum of x fixed at 1. */
export interface QuadraticProgram {
  /** H, symmetric and positive definite, row-major `[size, size]`. */
  readonly hessian: Float64Array;
  readonly linear: Float64Array;
  readonly simplex: boolean;
}

/** Of the largest term: a multiplier below this is rounding, not a reason to free a variable. */
const MULTIPLIER_TOLERANCE = 1e-13;

/**
 * The minimiser, by a primal active set: variables are freed one by one while their multiplier says so, and fixed at 0 again where
 * a step would make them negative. Exact up to rounding, in a number of steps about that of the variables.
 *
 * @param start - feasible; a good one saves steps
 * @see Lawson and Hanson, "Solving Least Squares Problems" (1974), chapter 23
 */
export function minimizeQuadratic(program: QuadraticProgram, start: Float64Array): Float64Array {
  let x: Float64Array = start;
  const free = Array.from(x, (value) => value > 0);
  const spent = new Set<number>(); // freed and fixed again at once: rounding, which would otherwise repeat for ever
  for (let added = -1; ; ) {
    x = minimizeOnFree(program, x, free);
    if (added >= 0 && !free[added]) spent.add(added);
    added = mostWanted(program, x, free, spent);
    if (added < 0) return x;
    free[added] = true;
  }
}

/** Goes to the minimum over the free variables; those that would turn negative on the way are fixed at 0. */
function minimizeOnFree(program: QuadraticProgram, start: Float64Array, free: boolean[]): Float64Array {
  const x = Float64Array.from(start);
  for (;;) {
    const indices = [...free.keys()].filter((i) => free[i]);
    const target = solveFree(program, indices);
    let step = 1;
    let blocking = -1;
    for (const [k, i] of indices.entries()) {
      if (target[k] > 0 || x[i] / (x[i] - target[k]) >= step) continue;
      step = x[i] / (x[i] - target[k]);
      blocking = i;
    }
    for (const [k, i] of indices.entries()) x[i] = Math.max(0, x[i] + step * (target[k] - x[i]));
    if (blocking < 0) return x;
    x[blocking] = 0;
    free[blocking] = false;
  }
}

/** The unconstrained minimum over some variables, the others 0; on the plane of sum 1 for a simplex. */
function solveFree({ hessian, linear, simplex }: QuadraticProgram, indices: readonly number[]): Float64Array {
  const size = linear.length;
  const factor = cholesky(indices.map((i) => Float64Array.from(indices, (j) => hessian[i * size + j])));
  const x = solveCholesky(
    factor,
    Float64Array.from(indices, (i) => linear[i]),
  );
  if (!simplex) return x;
  const ones = solveCholesky(factor, new Float64Array(indices.length).fill(1));
  const multiplier = (sum(x) - 1) / sum(ones);
  return x.map((value, k) => value - multiplier * ones[k]);
}

/** The fixed variable whose growth lowers the quadratic fastest, or -1. */
function mostWanted(
  { hessian, linear, simplex }: QuadraticProgram,
  x: Float64Array,
  free: readonly boolean[],
  spent: ReadonlySet<number>,
): number {
  const size = linear.length;
  const descent = linear.map((value, i) => value - dot(hessian, i * size, x));
  // On the plane of sum 1 what one variable gains the free ones lose, and their descent is the same for all of them.
  const level = simplex ? descent[free.indexOf(true)] : 0;
  const tolerance = MULTIPLIER_TOLERANCE * linear.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let best = -1;
  for (let i = 0; i < size; i++) {
    if (free[i] || spent.has(i) || !(descent[i] - level > tolerance)) continue;
    if (best < 0 || descent[i] > descent[best]) best = i;
  }
  return best;
}

/** Lower triangle L with L Lᵀ the matrix, by rows. @throws RangeError if the matrix is not positive definite */
function cholesky(rows: readonly Float64Array[]): Float64Array[] {
  const factor = rows.map((_, i) => new Float64Array(i + 1));
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j <= i; j++) {
      let value = rows[i][j];
      for (let k = 0; k < j; k++) value -= factor[i][k] * factor[j][k];
      if (i !== j) factor[i][j] = value / factor[j][j];
      else if (value > 0) factor[i][i] = Math.sqrt(value);
      else throw new RangeError('the matrix is not positive definite');
    }
  }
  return factor;
}

function solveCholesky(factor: readonly Float64Array[], b: Float64Array): Float64Array {
  const x = Float64Array.from(b);
  for (let i = 0; i < x.length; i++) {
    for (let k = 0; k < i; k++) x[i] -= factor[i][k] * x[k];
    x[i] /= factor[i][i];
  }
  for (let i = x.length - 1; i >= 0; i--) {
    for (let k = i + 1; k < x.length; k++) x[i] -= factor[k][i] * x[k];
    x[i] /= factor[i][i];
  }
  return x;
}

const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);

function dot(matrix: Float64Array, offset: number, x: Float64Array): number {
  let total = 0;
  for (let i = 0; i < x.length; i++) total += matrix[offset + i] * x[i];
  return total;
}
