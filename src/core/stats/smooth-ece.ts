import { assertOutcomes, assertProbabilities, type Outcomes } from './outcomes.js';
import type { Statistic } from './statistic.js';

/** Bandwidths are multiples of 1 / 1024, as ten steps of bisection from 1 leave them. */
const BANDWIDTHS = 1024;
/** One of them counts as too small whatever its error: it is below 0.001. */
const TOO_SMALL = 1;
/**
 * Where a search starts: near the smooth ECE of most models. Always here, since errors of few votes do not fall everywhere, and what is
 * found may hang on it.
 */
const FIRST_BANDWIDTH = 32;
/** Points of [0, 1] at which the smoothed error is read, at least. */
const MESH_POINTS = 200;
/** Points of the grid that probabilities are rounded to (by linear weights), at least: 1001. */
const GRID_INTERVALS = 2000;
/** Added to the density, as the reference does, so that empty stretches do not divide by 0. */
const DENSITY_FLOOR = 1e-4;
/** The kernel is cut where it falls below exp(-9^2 / 2) = 3e-18 of its peak. */
const KERNEL_REACH = 9;

/**
 * Smoothing by a Gaussian of one bandwidth: from a grid of [0, 1], continued on both sides by its mirror image so that no mass leaves
 * it, to the mesh where the result is read, between grid points by linear interpolation.
 */
class Smoother {
  readonly gridPoints: number;
  readonly meshPoints: number;
  /** What one vote at each grid point adds to the density summed over the mesh. */
  readonly density: Float64Array;
  /** The Gaussian from `before` places left of a point to `after` right of it. */
  private readonly kernel: Float64Array;
  private readonly before: number;
  private readonly after: number;

  constructor(sigma: number) {
    this.gridPoints = Math.floor(Math.max(GRID_INTERVALS, Math.round(20 / sigma)) / 2) + 1;
    this.meshPoints = Math.max(Math.round(10 / sigma), MESH_POINTS);
    const end = this.gridPoints - 1;
    const half = Math.floor(this.gridPoints / 2);
    const reach = Math.ceil(KERNEL_REACH * sigma * end);
    this.before = Math.min(end - half, reach);
    this.after = Math.min(half, reach);
    this.kernel = new Float64Array(this.before + 1 + this.after);
    for (let i = 0; i < this.kernel.length; i++) {
      const distance = (half + this.before - i) / end - 0.5;
      this.kernel[i] = Math.exp((-distance * distance) / (2 * sigma * sigma)) / (Math.sqrt(2 * Math.PI) * sigma);
    }
    this.density = this.densityOfVote();
  }

  /** Point `k` of the mesh: the grid point before it, and how far it is to the next. */
  private place(k: number): { readonly at: number; readonly share: number } {
    const position = (k / (this.meshPoints - 1)) * (this.gridPoints - 1);
    const at = Math.min(Math.trunc(position), this.gridPoints - 2);
    return { at, share: position - at };
  }

  /** Sum over the mesh of the absolute smoothed grid. @param odd - the grid is the negative of its mirror image */
  absoluteSum(grid: Float64Array, odd: boolean): number {
    const { gridPoints, meshPoints, before, kernel } = this;
    const extended = reflect(grid, before, this.after);
    // Of an even number of points the kernel has its middle between two of them, so that only the grid is mirrored, not the mesh.
    const halved = odd && gridPoints % 2 === 1;
    const points = halved ? meshPoints >> 1 : meshPoints;
    let sum = 0;
    let index = -2;
    let left = 0;
    let right = 0;
    for (let k = 0; k < points; k++) {
      const { at, share } = this.place(k);
      if (at !== index) {
        left = at === index + 1 ? right : dotFrom(extended, at, kernel);
        right = dotFrom(extended, at + 1, kernel);
        index = at;
      }
      sum += Math.abs(left * (1 - share) + right * share);
    }
    // In the middle an odd grid smooths to 0.
    return halved ? 2 * sum : sum;
  }

  /** Smoothing the other way round, of ones. */
  private densityOfVote(): Float64Array {
    const { gridPoints, meshPoints, before, after, kernel } = this;
    const extended = new Float64Array(before + gridPoints + after);
    const spread = (at: number, share: number): void => {
      for (let i = 0; i < kernel.length; i++) extended[at + i] += share * kernel[i];
    };
    for (let k = 0; k < meshPoints; k++) {
      const { at, share } = this.place(k);
      spread(at, 1 - share);
      spread(at + 1, share);
    }
    // Fold the mirror images back; the end points have one image, not two.
    const end = gridPoints - 1;
    const density = extended.slice(before, before + gridPoints);
    for (let i = 1; i <= before; i++) density[i] += extended[before - i];
    for (let i = 1; i <= after; i++) density[end - i] += extended[before + end + i];
    return density;
  }
}

/** The grid with so many points of its mirror image before and after it. */
function reflect(grid: Float64Array, before: number, after: number): Float64Array {
  const extended = new Float64Array(before + grid.length + after);
  const end = grid.length - 1;
  for (let i = 0; i < before; i++) extended[i] = grid[before - i];
  extended.set(grid, before);
  for (let i = 1; i <= after; i++) extended[before + end + i] = grid[end - i];
  return extended;
}

/** Inner product of the kernel with as many values from `at` on; four sums at a time, since one waits for each addition. */
function dotFrom(values: Float64Array, at: number, kernel: Float64Array): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = 0;
  for (; i + 3 < kernel.length; i += 4) {
    a += kernel[i] * values[at + i];
    b += kernel[i + 1] * values[at + i + 1];
    c += kernel[i + 2] * values[at + i + 2];
    d += kernel[i + 3] * values[at + i + 3];
  }
  for (; i < kernel.length; i++) a += kernel[i] * values[at + i];
  return a + b + c + d;
}

/** One a bandwidth: they hang on nothing else, and every statistic of a report asks for the same few. */
const SMOOTHERS = new Map<number, Smoother>();

function smootherOf(bandwidth: number): Smoother {
  const smoother = SMOOTHERS.get(bandwidth) ?? new Smoother(bandwidth / BANDWIDTHS);
  SMOOTHERS.set(bandwidth, smoother);
  return smoother;
}

/** Votes and residuals at the points of a grid. */
interface Grids {
  readonly votes: Float64Array;
  readonly residuals: Float64Array;
}

/** The smooth calibration error of fixed probabilities, as a function of the votes at each of them; null where nobody voted. */
export type SmoothEceOfVotes = (positive: Float64Array, negative: Float64Array) => number | null;

/**
 * Smooth ECE as a function of votes. Both orders of every row count where `bothOrders` is set, for half of what they would cost as rows.
 *
 * @throws RangeError if a probability is not in [0, 1]
 * @see prepareSmoothEce
 */
export function smoothEceOf(probabilities: Float64Array, { bothOrders = false } = {}): SmoothEceOfVotes {
  assertProbabilities(probabilities);

  const gridsOf = (positive: Float64Array, negative: Float64Array, gridPoints: number): Grids => {
    const votes = new Float64Array(gridPoints);
    const residuals = new Float64Array(gridPoints);
    const end = gridPoints - 1;
    for (let i = 0; i < probabilities.length; i++) {
      const count = positive[i] + negative[i];
      if (count === 0) continue;
      const residual = count * probabilities[i] - positive[i];
      // Each between its two neighbours.
      const position = probabilities[i] * end;
      const index = Math.min(Math.trunc(position), end - 1);
      const share = position - index;
      votes[index] += (1 - share) * count;
      votes[index + 1] += share * count;
      residuals[index] += (1 - share) * residual;
      residuals[index + 1] += share * residual;
    }
    if (bothOrders) {
      for (let i = 0, j = end; i <= j; i++, j--) {
        votes[i] = votes[j] = votes[i] + votes[j];
        residuals[i] -= residuals[j];
        residuals[j] = -residuals[i];
      }
    }
    return { votes, residuals };
  };

  return (positive, negative) => {
    let total = 0;
    for (let i = 0; i < probabilities.length; i++) total += positive[i] + negative[i];
    if (total === 0) return null;
    const grids = new Map<number, Grids>();
    const errorAt = (bandwidth: number): number => {
      const smoother = smootherOf(bandwidth);
      const { gridPoints, meshPoints, density } = smoother;
      const known = grids.get(gridPoints);
      const grid = known ?? gridsOf(positive, negative, gridPoints);
      if (!known) grids.set(gridPoints, grid);
      let mass = meshPoints * DENSITY_FLOOR;
      for (let i = 0; i < gridPoints; i++) mass += grid.votes[i] * density[i];
      return smoother.absoluteSum(grid.residuals, bothOrders) / mass;
    };
    return fixedPoint(errorAt);
  };
}

/**
 * Smooth calibration error of P(positive), in [0, 1]: the error smoothed by a reflected Gaussian kernel, whose bandwidth is the
 * smallest that is no smaller than the error it gives. Free of bins and of choices.
 *
 * @returns a function of row weights; null where nobody voted
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 * @see Błasiok and Nakkiran (2023), "Smooth ECE"; relplot.smECE, whose grids are kept so that figures agree
 */
export function prepareSmoothEce(
  probabilities: Float64Array,
  outcomes: Outcomes,
  options: { readonly bothOrders?: boolean } = {},
): Statistic {
  assertOutcomes(outcomes, probabilities.length);
  const ofVotes = smoothEceOf(probabilities, options);
  const { positive, negative } = outcomes;
  return (weights) => {
    if (weights === undefined) return ofVotes(positive, negative);
    return ofVotes(
      positive.map((votes, i) => votes * weights[i]),
      negative.map((votes, i) => votes * weights[i]),
    );
  };
}

/**
 * The error at the smallest bandwidth that is no smaller than it. Errors fall, slowly, as bandwidths grow. So the answer lies between
 * any bandwidth and the error there, which closes in on it in two or three smoothings where bisection takes eleven.
 */
function fixedPoint(errorAt: (bandwidth: number) => number): number {
  let tooSmall = TOO_SMALL;
  let enough = BANDWIDTHS;
  let errorAtEnough: number | undefined;
  let bandwidth = FIRST_BANDWIDTH;
  for (;;) {
    const error = errorAt(bandwidth);
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
