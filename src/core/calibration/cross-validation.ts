import { clusterFolds } from '../data/split.js';
import type { Curve } from '../onnx/curve.js';
import { turns } from '../run.js';
import { applyCurve } from './curve.js';
import type { CalibrationTask, Candidate, ClusteredRows } from './task.js';

export interface FoldOptions {
  /** 2 to the number of clusters. */
  readonly folds: number;
  readonly seed: number;
  /** Divisions into folds whose predictions are averaged, so that figures hang less on one of them; 1 by default. */
  readonly repeats?: number;
  readonly signal?: AbortSignal;
}

/** Fits to the rows `which`, given as `training`. */
type Fit<Rows> = (training: Rows, which: Int32Array) => Curve | Promise<Curve>;

/** Between the seeds of repeats: far from those of nested divisions. */
const SEED_STEP = 1000;

interface Fold {
  readonly train: Int32Array;
  readonly test: Int32Array;
}

/** Rows to fit on and rows to predict, for each fold in turn: whole clusters, by the hash of their names. */
function foldsOf({ cluster: { names, codes } }: ClusteredRows, folds: number, seed: number): Fold[] {
  const foldOfCluster = clusterFolds(names, folds, seed);
  const sizes = new Int32Array(folds);
  for (const code of codes) sizes[foldOfCluster[code]]++;
  return Array.from(sizes, (size, fold) => {
    const [train, test] = [new Int32Array(codes.length - size), new Int32Array(size)];
    let [trained, tested] = [0, 0];
    for (let row = 0; row < codes.length; row++) {
      if (foldOfCluster[codes[row]] === fold) test[tested++] = row;
      else train[trained++] = row;
    }
    return { train, test };
  });
}

/** The folds of each repeat. */
const divisionsOf = (rows: ClusteredRows, { folds, seed, repeats = 1 }: FoldOptions): Fold[][] =>
  Array.from({ length: repeats }, (_, repeat) => foldsOf(rows, folds, seed + repeat * SEED_STEP));

/** What is predicted of each row by curves that were fitted without its cluster. */
export async function predictOutOfFold<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  fitTo: Fit<Rows>,
  options: FoldOptions,
): Promise<Float64Array> {
  const [predicted] = await predictEach(task, rows, [fitTo], options);
  return predicted;
}

/** The predictions of several ways to fit: rows are divided and gathered once for all. */
async function predictEach<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  fits: readonly Fit<Rows>[],
  options: FoldOptions,
): Promise<Float64Array[]> {
  const predicted = fits.map(() => new Float64Array(rows.logits.length));
  const divisions = divisionsOf(rows, options);
  const turn = turns(options.signal);
  for (const { train, test } of divisions.flat()) {
    const training = task.select(rows, train);
    await turn();
    for (const [i, fitTo] of fits.entries()) {
      const curve = await fitTo(training, train);
      for (const row of test) predicted[i][row] += applyCurve(curve, rows.logits[row]) / divisions.length;
      await turn();
    }
  }
  return predicted;
}

/** One candidate's place in a choice. */
export interface CandidateLoss {
  readonly method: string;
  /** Mean out-of-fold loss. */
  readonly loss: number;
  /** How much worse than the best, and the standard error of that over clusters. */
  readonly excess: number;
  readonly standardError: number;
}

export interface Choice<Rows> {
  readonly chosen: Candidate<Rows>;
  readonly losses: readonly CandidateLoss[];
}

/**
 * The first candidate whose out-of-fold loss is within one standard error of the best: by the difference on the same rows, over
 * clusters, so that what all candidates share does not hide what sets them apart.
 *
 * @param candidates - from the simplest to the most flexible
 * @see Hastie, Tibshirani and Friedman (2009), 7.10, with a paired standard error
 */
export async function chooseByOneStandardError<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  candidates: readonly Candidate<Rows>[],
  options: FoldOptions,
): Promise<Choice<Rows>> {
  if (candidates.length === 1) return { chosen: candidates[0], losses: [] };
  const fits = candidates.map((candidate) => (training: Rows) => candidate.fit(training));
  const tried = (await predictEach(task, rows, fits, options)).map((predicted) => task.losses(rows, predicted));
  const sums = tried.map(({ losses }) => losses.reduce((sum, loss) => sum + loss, 0));
  const best = tried[sums.indexOf(Math.min(...sums))];
  const total = best.weights.reduce((sum, weight) => sum + weight, 0);
  const losses = tried.map((one, i): CandidateLoss => {
    const excess = one.losses.map((loss, row) => loss - best.losses[row]);
    const mean = excess.reduce((sum, value) => sum + value, 0) / total;
    const standardError = clusterStandardError(excess, best.weights, rows, mean) / total;
    return { method: candidates[i].id, loss: sums[i] / total, excess: mean, standardError };
  });
  const index = losses.findIndex(({ excess, standardError }) => excess <= standardError);
  return { chosen: candidates[index], losses };
}

/** Standard error of a sum over rows whose clusters are independent, about `mean` times the weight. */
function clusterStandardError(
  values: Float64Array,
  weights: Float64Array,
  { cluster: { names, codes } }: ClusteredRows,
  mean: number,
): number {
  const sums = new Float64Array(names.length);
  for (let row = 0; row < values.length; row++) sums[codes[row]] += values[row] - mean * weights[row];
  const squares = sums.reduce((sum, value) => sum + value ** 2, 0);
  return names.length > 1 ? Math.sqrt((squares * names.length) / (names.length - 1)) : 0;
}
