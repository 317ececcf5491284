import type { ThreadCall, Threads } from '../bytes/threads.js';
import { combineLogits } from './combine.js';
import { type EnsembleRows, type Fold, foldsOf, scaleOf, stackRows } from './rows.js';
import { fitStack, fitStackPath, type StackOptions, stackLoss } from './stack.js';

/** Of fits that only tell which penalty is best: their weights are off by the square of it, and their losses by that squared. */
const CHOICE_TOLERANCE = 1e-4;

/** Penalties tried, strongest first: from all but equal weights to all but free ones. */
export const PENALTIES: readonly number[] = Array.from({ length: 11 }, (_, i) => 10 ** (1 - i / 2));

export interface CrossFitOptions {
  readonly folds: number;
  readonly seed: number;
  /** Weights on standardised logits sum to 1. */
  readonly simplex: boolean;
  readonly signal?: AbortSignal;
}

/** A fit to some rows, by member. */
export interface StackFit {
  /** On standardised logits; 0 for members left out. */
  readonly weights: Float64Array;
  /** Root mean square of each member's logits on the rows of the fit. */
  readonly scales: readonly number[];
  readonly penalty: number;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
export const allRows = ({ count }: { readonly count: number }): Int32Array => {
  const rows = new Int32Array(count);
  for (let row = 0; row < count; row++) rows[row] = row;
  return rows;
};
const scalesOf = (data: FitRows, rows: Int32Array): number[] =>
  data.logits.map((logits) => scaleOf(logits, data.outcomes, rows));

/**
 * The strongest penalty whose cross-validated loss is within one standard error of the least.
 *
 * @see Breiman et al., "Classification and Regression Trees" (1984), section 3.4.3; glmnet's lambda.1se
 */
export async function choosePenalty(data: FitRows, rows: Int32Array, options: CrossFitOptions): Promise<number> {
  const members = range(data.members.length);
  const { simplex, signal } = options;
  const losses = PENALTIES.map((): { loss: number; votes: number }[] => []);
  for (const { fit, judge } of foldsOf(data, rows, options.folds, options.seed)) {
    const scales = scalesOf(data, fit);
    const fitted = stackRows(data, fit, members, scales);
    const judged = stackRows(data, judge, members, scales);
    const { positive, negative } = judged.outcomes;
    const votes = positive.reduce((sum, left, i) => sum + left + negative[i], 0);
    const path = await fitStackPath(fitted, PENALTIES, { simplex, signal, tolerance: CHOICE_TOLERANCE });
    for (const [p, weights] of path.entries()) losses[p].push({ loss: stackLoss(judged, weights), votes });
  }
  const estimates = losses.map(meanAndError);
  const best = estimates.reduce((least, estimate) => (estimate.mean < least.mean ? estimate : least));
  return PENALTIES[estimates.findIndex(({ mean }) => mean <= best.mean + best.error)];
}

/** Mean over folds, weighted by votes, with its standard error. */
function meanAndError(folds: readonly { loss: number; votes: number }[]): { mean: number; error: number } {
  const votes = folds.reduce((sum, fold) => sum + fold.votes, 0);
  const mean = folds.reduce((sum, fold) => sum + fold.votes * fold.loss, 0) / votes;
  const variance = folds.reduce((sum, fold) => sum + fold.votes * (fold.loss - mean) ** 2, 0) / votes;
  return { mean, error: Math.sqrt(variance / (folds.length - 1)) };
}

interface MemberOptions extends Pick<StackOptions, 'penalty' | 'simplex' | 'signal'> {
  readonly members?: number[];
  /** Of these rows, where they are known. */
  readonly scales?: readonly number[];
  /** A fit of more members to the same rows, near which this one is. */
  readonly near?: StackFit;
}

/** Fits the weights of some members to some rows. */
export async function fitMembers(
  data: FitRows,
  rows: Int32Array,
  { members = range(data.members.length), scales = scalesOf(data, rows), near, ...options }: MemberOptions,
): Promise<StackFit> {
  // Weights that must sum to 1 no longer do without one of them.
  const start = near && !options.simplex ? Float64Array.from(members, (member) => near.weights[member]) : undefined;
  const fitted = await fitStack(stackRows(data, rows, members, scales), { ...options, start });
  const weights = new Float64Array(data.members.length);
  members.forEach((member, m) => {
    weights[member] = fitted[m];
  });
  return { weights, scales, penalty: options.penalty };
}

/** Logits of all rows, each by a fit that has seen no row of its cluster. */
export interface OutOfFold {
  readonly ensemble: Float64Array;
  /** By member: that member alone, its logits only scaled; NaN where it has no score. */
  readonly alone: readonly Float64Array[];
  /** By member: the ensemble of the others, at the same penalty. */
  readonly without: readonly Float64Array[];
  /** Fits of the folds. */
  readonly fits: readonly StackFit[];
}

/** What is fitted without the rows of one fold, and what it says of them. */
interface FoldFit {
  readonly judge: Int32Array;
  readonly whole: StackFit;
  /** Of the rows `judge`, in their order. */
  readonly ensemble: Float64Array;
  readonly alone: readonly Float64Array[];
  readonly without: readonly Float64Array[];
}

/** Nested cross-validation by cluster: in every fold the penalty is chosen anew, on the rows of the fit alone. */
export async function crossFit(
  data: EnsembleRows,
  options: CrossFitOptions,
  threads: Threads | null = null,
): Promise<OutOfFold> {
  const columns = () => data.members.map(() => new Float64Array(data.count));
  const result = { ensemble: new Float64Array(data.count), alone: columns(), without: columns() };
  const fits: StackFit[] = [];
  const folds = foldsOf(data, allRows(data), options.folds, options.seed);
  for (const { judge, whole, ensemble, alone, without } of await ofEachFold(data, folds, options, threads)) {
    const put = (values: Float64Array, target: Float64Array): void => {
      for (const [i, row] of judge.entries()) target[row] = values[i];
    };
    put(ensemble, result.ensemble);
    for (const m of range(data.members.length)) {
      put(alone[m], result.alone[m]);
      put(without[m], result.without[m]);
    }
    fits.push(whole);
  }
  return { ...result, fits };
}

async function ofEachFold(
  data: EnsembleRows,
  folds: readonly Fold[],
  options: CrossFitOptions,
  threads: Threads | null,
): Promise<FoldFit[]> {
  if (threads) return Promise.all(folds.map((fold) => threads.call<FoldFit>(foldCall('fitFold', data, fold, options))));
  const fits: FoldFit[] = [];
  for (const fold of folds) fits.push(await fitFold({ data, fold, options }));
  return fits;
}

/** What a fit needs of the rows: no function, so that another thread can have it. */
type FitRows = Omit<EnsembleRows, 'idAt'>;

/** Everything `fitFold` or `choosePenalty` is called with, for a thread of its own. */
interface FoldCall {
  readonly data: FitRows;
  readonly fold: Fold;
  readonly options: CrossFitOptions;
}

const withoutFunctions = ({ idAt: _, ...data }: EnsembleRows): FitRows => data;

const foldCall = (
  name: 'fitFold' | 'choosePenaltyOfFold',
  data: EnsembleRows,
  fold: Fold,
  { folds, seed, simplex }: CrossFitOptions,
): ThreadCall => ({
  module: import.meta.url,
  name,
  given: { data: withoutFunctions(data), fold, options: { folds, seed, simplex } } satisfies FoldCall,
});

/** As `choosePenalty` on all rows, in a thread of its own where there are any. */
export function choosePenaltyOfAll(
  data: EnsembleRows,
  options: CrossFitOptions,
  threads: Threads | null,
): Promise<number> {
  const fold = { fit: allRows(data), judge: new Int32Array(0) };
  if (!threads) return choosePenalty(data, fold.fit, options);
  return threads.call(foldCall('choosePenaltyOfFold', data, fold, options));
}

/** Called by name. @internal */
export const choosePenaltyOfFold = ({ data, fold, options }: FoldCall): Promise<number> =>
  choosePenalty(data, fold.fit, options);

/** Called by name. @internal */
export async function fitFold({ data, fold: { fit, judge }, options }: FoldCall): Promise<FoldFit> {
  const { simplex, signal } = options;
  const weakest = PENALTIES[PENALTIES.length - 1];
  const penalty = await choosePenalty(data, fit, options);
  const whole = await fitMembers(data, fit, { penalty, simplex, signal });
  const { scales } = whole;
  const [alone, without]: Float64Array[][] = [[], []];
  for (const m of range(data.members.length)) {
    const others = range(data.members.length).filter((other) => other !== m);
    const rest = await fitMembers(data, fit, { members: others, scales, near: whole, penalty, simplex, signal });
    without.push(predict(data, judge, rest));
    const own = await fitMembers(data, fit, { members: [m], scales, penalty: weakest, simplex: false, signal });
    const said = predict(data, judge, own);
    judge.forEach((row, i) => {
      if (Number.isNaN(data.logits[m][row])) said[i] = Number.NaN;
    });
    alone.push(said);
  }
  return { judge, whole, ensemble: predict(data, judge, whole), alone, without };
}

/** The fitted log-odds of `rows`. */
function predict(data: FitRows, rows: Int32Array, { weights, scales }: StackFit): Float64Array {
  const coefficients = weights.map((weight, m) => weight / scales[m]);
  const odds = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) odds[i] = combineLogits(coefficients, data.logits, rows[i]);
  return odds;
}
