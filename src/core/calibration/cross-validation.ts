import { collectColumns } from '../bytes/garbage.js';
import { foldsOfRanks } from '../data/split.js';
import type { Curve } from '../onnx/curve.js';
import { turns } from '../run.js';
import { ranksOf } from './cluster-names.js';
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

/** Training rows of a fold. */
export interface Training<Rows> {
  /** Which of all rows they are. */
  readonly which: Int32Array;
  /** The rows themselves. */
  rows(): Rows;
  /** What a method is fitted to: the same rows, neighbouring logits gathered where there are very many. */
  gathered(): Rows;
}

/** Fits to the training rows of a fold. */
type Fit<Rows> = (training: Training<Rows>) => Curve | Promise<Curve>;

/**
 * Rows that the fits of a fold see each by itself. Of more, neighbours are summed in as many cells: the likelihood of a cell differs
 * from that of its rows by the spread of its logits squared, some 1e-9, and each fit takes a pass over the cells instead of the rows.
 */
const FITTED_CELLS = 2 ** 16;

/** Between the seeds of repeats: far from those of nested divisions. */
const SEED_STEP = 1000;

interface Fold {
  readonly train: Int32Array;
  readonly test: Int32Array;
}

/**
 * Rows to fit on and rows to predict, for each fold in turn: whole clusters, by the hash of their names. One fold takes the memory of
 * the one before.
 */
function* foldsOf({ cluster: { names, codes } }: ClusteredRows, folds: number, seed: number): Generator<Fold> {
  const foldOfCluster = foldsOfRanks(ranksOf(names, seed), folds);
  const rows = new Int32Array(codes.length);
  for (let fold = 0; fold < folds; fold++) {
    let [trained, tested] = [0, codes.length];
    for (let row = codes.length - 1; row >= 0; row--) if (foldOfCluster[codes[row]] === fold) rows[--tested] = row;
    for (let row = 0; row < codes.length; row++) if (foldOfCluster[codes[row]] !== fold) rows[trained++] = row;
    yield { train: rows.subarray(0, trained), test: rows.subarray(tested) };
  }
}

const seedOfRepeat = (seed: number, repeat: number): number => seed + repeat * SEED_STEP;

/** Of the choice inside of a fold. */
const seedOfChoice = (seed: number): number => seed + 1;

/** All seeds that `predictByChoice` divides clusters by. */
export const foldSeeds = ({ seed, repeats = 1 }: FoldOptions): number[] => [
  seedOfChoice(seed),
  ...Array.from({ length: repeats }, (_, repeat) => seedOfRepeat(seed, repeat)),
];

/** The folds of each repeat. */
function* foldsOfRepeats(rows: ClusteredRows, { folds, seed, repeats = 1 }: FoldOptions): Generator<Fold> {
  for (let repeat = 0; repeat < repeats; repeat++) yield* foldsOf(rows, folds, seedOfRepeat(seed, repeat));
}

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
  const { repeats = 1 } = options;
  const predicted = fits.map(() => new Float64Array(rows.logits.length));
  const gather = rows.logits.length > FITTED_CELLS ? task.prepareGather(rows, FITTED_CELLS) : null;
  const turn = turns(options.signal);
  for (const { train, test } of foldsOfRepeats(rows, options)) {
    let selected: Rows | undefined;
    const select = () => {
      selected ??= task.select(rows, train);
      return selected;
    };
    const gathered = gather ? gather(train) : select();
    const training: Training<Rows> = { which: train, rows: select, gathered: () => gathered };
    await turn();
    collectColumns(rows.logits.length);
    for (const [i, fitTo] of fits.entries()) {
      const curve = await fitTo(training);
      const values = predicted[i];
      for (const row of test) values[row] += applyCurve(curve, rows.logits[row]) / repeats;
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
  const fits = candidates.map((candidate) => (training: Training<Rows>) => candidate.fit(training.gathered()));
  const tried = await predictEach(task, rows, fits, options);
  for (const losses of tried) task.toLosses(rows, losses);
  const sums = tried.map(sumOf);
  const best = tried[sums.indexOf(Math.min(...sums))];
  const weights = task.weights(rows);
  const total = sumOf(weights);
  const losses = tried.map((one, i): CandidateLoss => {
    let excess = 0;
    for (let row = 0; row < one.length; row++) excess += one[row] - best[row];
    const mean = excess / total;
    const standardError = clusterStandardError(one, best, weights, rows, mean) / total;
    return { method: candidates[i].id, loss: sums[i] / total, excess: mean, standardError };
  });
  const index = losses.findIndex(({ excess, standardError }) => excess <= standardError);
  return { chosen: candidates[index], losses };
}

/** As `chooseByOneStandardError`, where the rows have clusters to be divided by. */
export async function choose<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  candidates: readonly Candidate<Rows>[],
  { folds, seed, signal }: FoldOptions,
): Promise<Choice<Rows>> {
  // Training rows of an outer fold have fewer clusters; with a single one left only the simplest can be told.
  const inner = Math.min(folds, rows.cluster.names.length);
  if (inner < 2) return { chosen: candidates[0], losses: [] };
  return chooseByOneStandardError(task, rows, candidates, { folds: inner, seed: seedOfChoice(seed), signal });
}

/** What is predicted of each row out of fold, by a choice among the candidates that has not seen its cluster either. */
export function predictByChoice<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  candidates: readonly Candidate<Rows>[],
  options: FoldOptions,
): Promise<Float64Array> {
  const { folds, seed, signal } = options;
  const chosenOf = async (training: Training<Rows>) =>
    candidates.length === 1
      ? candidates[0]
      : (await choose(task, training.rows(), candidates, { folds, seed, signal })).chosen;
  return predictOutOfFold(task, rows, async (training) => (await chosenOf(training)).fit(training.gathered()), options);
}

const sumOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);

/** Standard error of the sum of `values` less `others` over rows whose clusters are independent, about `mean` times the weight. */
function clusterStandardError(
  values: Float64Array,
  others: Float64Array,
  weights: Float64Array,
  { cluster: { names, codes } }: ClusteredRows,
  mean: number,
): number {
  const sums = new Float64Array(names.length);
  for (let row = 0; row < values.length; row++) sums[codes[row]] += values[row] - others[row] - mean * weights[row];
  const squares = sums.reduce((sum, value) => sum + value ** 2, 0);
  return names.length > 1 ? Math.sqrt((squares * names.length) / (names.length - 1)) : 0;
}
