import { assertOutcomes, assertProbabilities, type Outcomes } from './outcomes.js';
import type { Statistic } from './statistic.js';

/** Bandwidths are multiples of 1 / 1024, as ten steps of bisection from 1 leave them. */
const BANDWIDTHS = 1024;
/** One of them counts as too small whatever its error: it is below 0.001. */
const TOO_SMALL = 1;
/** Where the search starts: near the smooth ECE of most models. */
const FIRST_BANDWIDTH = 32;
/** Points of [0, 1] at which the smoothed error is read, at least. */
const MESH_POINTS = 200;
/** Points of the grid that probabilities are rounded to (by linear weights), at least: 1001. */
const GRID_INTERVALS = 2000;
/** Added to the density, as the reference does, so that empty stretches do not divide by 0. */
const DENSITY_FLOOR = 1e-4;
/** The kernel is cut where it falls below exp(-9^2 / 2) = 3e-18 of its peak. */
const KERNEL_REACH = 9;

/** A Gaussian kernel on a grid, and where its result is read. */
interface Smoother {
  readonly gridPoints: number;
  readonly meshPoints: number;
  /** Gaussian sampled at `gridPoints` points of [-0.5, 0.5]; only indices `first` to `last` count. */
  readonly kernel: Float64Array;
  readonly first: number;
  readonly last: number;
}

/** One a bandwidth, at most `BANDWIDTHS`: they hang on nothing else, and every statistic of a report asks for the same few. */
const SMOOTHERS = new Map<number, Smoother & { readonly density: Float64Array }>();

function smootherOf(sigma: number): Smoother & { readonly density: Float64Array } {
  const gridPoints = Math.floor(Math.max(GRID_INTERVALS, Math.round(20 / sigma)) / 2) + 1;
  const kernel = new Float64Array(gridPoints);
  for (let i = 0; i < gridPoints; i++) {
    const distance = i / (gridPoints - 1) - 0.5;
    kernel[i] = Math.exp((-distance * distance) / (2 * sigma * sigma)) / (Math.sqrt(2 * Math.PI) * sigma);
  }
  const half = Math.floor(gridPoints / 2);
  const reach = Math.ceil(KERNEL_REACH * sigma * (gridPoints - 1));
  const [first, last] = [Math.max(0, half - reach), Math.min(gridPoints - 1, half + reach)];
  const meshPoints = Math.max(Math.round(10 / sigma), MESH_POINTS);
  const smoother = { gridPoints, meshPoints, kernel, first, last };
  return { ...smoother, density: densityOfVote(smoother) };
}

/** Row weights on a regular grid of [0, 1], each split between its two neighbours. */
function toGrid(positions: Float64Array, values: Float64Array, points: number): Float64Array {
  const grid = new Float64Array(points);
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i] * (points - 1);
    const index = Math.min(Math.trunc(position), points - 2);
    grid[index] += (1 - (position - index)) * values[i];
    grid[index + 1] += (position - index) * values[i];
  }
  return grid;
}

/** The grid continued on both sides by its mirror image, so that no mass leaves [0, 1]. */
function reflect(grid: Float64Array): Float64Array {
  const mirrored = grid.toReversed();
  const extended = new Float64Array(3 * grid.length - 2);
  extended.set(mirrored.subarray(0, -1));
  extended.set(grid, grid.length - 1);
  extended.set(mirrored.subarray(1), 2 * grid.length - 1);
  return extended;
}

/** Index of mesh point `k` on the grid: between two grid points. */
const meshPosition = (k: number, { meshPoints, gridPoints }: Smoother): number =>
  (k / (meshPoints - 1)) * (gridPoints - 1);

/** What is not 0 in a reflected grid: most of it is, where rows are few or share their probabilities. */
interface Sparse {
  readonly points: Int32Array;
  readonly values: Float64Array;
}

function sparse(grid: Float64Array): Sparse {
  const extended = reflect(grid);
  const points = new Int32Array(extended.length);
  let count = 0;
  for (let i = 0; i < extended.length; i++) if (extended[i] !== 0) points[count++] = i;
  const held = points.subarray(0, count);
  return { points: held, values: Float64Array.from(held, (point) => extended[point]) };
}

/** Sum of the absolute smoothed grid over `meshPoints` regular points, between grid points by linear interpolation. */
function absoluteSum(extended: Sparse, smoother: Smoother): number {
  const { gridPoints, meshPoints, first, last } = smoother;
  const { points } = extended;
  const offset = Math.floor(gridPoints / 2) + gridPoints - 1;
  let sum = 0;
  let index = -2;
  let left = 0;
  let right = 0;
  // What the kernel reaches: both ends move on with its centre.
  let from = 0;
  let to = 0;
  const smoothed = (at: number): number => {
    const centre = at + offset;
    while (from < points.length && points[from] < centre - last) from++;
    while (to < points.length && points[to] <= centre - first) to++;
    return convolveAt(extended, centre, from, to, smoother);
  };
  for (let k = 0; k < meshPoints; k++) {
    const position = meshPosition(k, smoother);
    const at = Math.min(Math.trunc(position), gridPoints - 2);
    if (at !== index) {
      left = at === index + 1 ? right : smoothed(at);
      right = smoothed(at + 1);
      index = at;
    }
    sum += Math.abs(left * (1 - (position - at)) + right * (position - at));
  }
  return sum;
}

/** What one vote at each grid point adds to the density summed over the mesh: smoothing the other way round, of ones. */
function densityOfVote(smoother: Smoother): Float64Array {
  const { gridPoints, meshPoints, kernel, first, last } = smoother;
  const offset = Math.floor(gridPoints / 2) + gridPoints - 1;
  const extended = new Float64Array(3 * gridPoints - 2);
  const spread = (centre: number, share: number): void => {
    for (let i = first; i <= last; i++) extended[centre - i] += share * kernel[i];
  };
  for (let k = 0; k < meshPoints; k++) {
    const position = meshPosition(k, smoother);
    const at = Math.min(Math.trunc(position), gridPoints - 2);
    spread(at + offset, 1 - (position - at));
    spread(at + 1 + offset, position - at);
  }
  // Fold the mirror images back; the end points have one image, not two.
  const end = gridPoints - 1;
  return extended.subarray(end, end + gridPoints).map((inside, v) => {
    const leftImage = v > 0 ? extended[end - v] : 0;
    const rightImage = v < end ? extended[3 * end - v] : 0;
    return inside + leftImage + rightImage;
  });
}

/** Sum of kernel[centre - point] value over points `from` to `to`; four sums at a time, since one waits for each addition. */
function convolveAt(
  { points, values }: Sparse,
  centre: number,
  from: number,
  to: number,
  { kernel }: Smoother,
): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = from;
  for (; i + 3 < to; i += 4) {
    a += kernel[centre - points[i]] * values[i];
    b += kernel[centre - points[i + 1]] * values[i + 1];
    c += kernel[centre - points[i + 2]] * values[i + 2];
    d += kernel[centre - points[i + 3]] * values[i + 3];
  }
  for (; i < to; i++) a += kernel[centre - points[i]] * values[i];
  return a + b + c + d;
}

/**
 * Smooth calibration error of P(positive), in [0, 1]: the error smoothed by a reflected Gaussian kernel, whose bandwidth is the
 * smallest that is no smaller than the error it gives. Free of bins and of choices.
 *
 * @returns a function of row weights; null where nobody voted
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 * @see Błasiok and Nakkiran (2023), "Smooth ECE"; relplot.smECE, whose grids are kept so that figures agree
 */
export function prepareSmoothEce(probabilities: Float64Array, outcomes: Outcomes): Statistic {
  assertProbabilities(probabilities);
  assertOutcomes(outcomes, probabilities.length);
  const { positive, negative } = outcomes;
  const votes = new Float64Array(probabilities.length);
  const residuals = new Float64Array(probabilities.length);
  const grids = new Map<number, { readonly votes: Float64Array; readonly residuals: Sparse }>();

  const errorAt = (sigma: number): number => {
    const smoother = getOrMake(SMOOTHERS, sigma, () => smootherOf(sigma));
    const { gridPoints, meshPoints, density } = smoother;
    const grid = getOrMake(grids, gridPoints, () => ({
      votes: toGrid(probabilities, votes, gridPoints),
      residuals: sparse(toGrid(probabilities, residuals, gridPoints)),
    }));
    let total = meshPoints * DENSITY_FLOOR;
    for (let i = 0; i < gridPoints; i++) total += grid.votes[i] * density[i];
    return absoluteSum(grid.residuals, smoother) / total;
  };

  return (weights) => {
    let total = 0;
    for (let i = 0; i < votes.length; i++) {
      const weight = weights === undefined ? 1 : weights[i];
      votes[i] = weight * (positive[i] + negative[i]);
      residuals[i] = votes[i] * probabilities[i] - weight * positive[i];
      total += votes[i];
    }
    if (total === 0) return null;
    grids.clear(); // they held the votes of the call before
    return errorAtFixedPoint(errorAt);
  };
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}

/**
 * The error at the smallest bandwidth that is no smaller than it. Errors fall, slowly, as bandwidths grow. So the answer lies between
 * any bandwidth and the error there, which closes in on it in four or five smoothings where bisection takes eleven.
 */
function errorAtFixedPoint(errorAt: (sigma: number) => number): number {
  let tooSmall = TOO_SMALL;
  let enough = BANDWIDTHS;
  let errorAtEnough: number | undefined;
  let bandwidth = FIRST_BANDWIDTH;
  for (;;) {
    const error = errorAt(bandwidth / BANDWIDTHS);
    const notBelowError = Math.min(Math.ceil(error * BANDWIDTHS), BANDWIDTHS);
    if (bandwidth >= notBelowError) {
      enough = bandwidth;
      errorAtEnough = error;
      tooSmall = Math.max(tooSmall, notBelowError - 1);
    } else {
      tooSmall = bandwidth;
      if (enough === bandwidth || enough > notBelowError) {
        enough = notBelowError;
        errorAtEnough = undefined;
      }
    }
    if (enough - tooSmall <= 1 && errorAtEnough !== undefined) return errorAtEnough;
    bandwidth = errorAtEnough === undefined ? enough : tooSmall + 1;
  }
}
