import { combineLogits } from './combine.js';
import { type EnsembleRows, foldsOf, scaleOf, stackRows } from './rows.js';
import { fitStack, type StackOptions, stackLoss } from './stack.js';

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
export const allRows = ({ count }: EnsembleRows): Int32Array => Int32Array.from({ length: count }, (_, i) => i);
const scalesOf = (data: EnsembleRows, rows: Int32Array): number[] =>
  data.logits.map((logits) => scaleOf(logits, data.outcomes, rows));

/**
 * The strongest penalty whose cross-validated loss is within one standard error of the least.
 *
 * @see Breiman et al., "Classification and Regression Trees" (1984), section 3.4.3; glmnet's lambda.1se
 */
export async function choosePenalty(data: EnsembleRows, rows: Int32Array, options: CrossFitOptions): Promise<number> {
  const members = range(data.members.length);
  const { simplex, signal } = options;
  const fitting = { simplex, signal, tolerance: CHOICE_TOLERANCE };
  const losses = PENALTIES.map((): { loss: number; votes: number }[] => []);
  for (const { fit, judge } of foldsOf(data, rows, options.folds, options.seed)) {
    const scales = scalesOf(data, fit);
    const fitted = stackRows(data, fit, members, scales);
    const judged = stackRows(data, judge, members, scales);
    const { positive, negative } = judged.outcomes;
    const votes = positive.reduce((sum, left, i) => sum + left + negative[i], 0);
    let start: Float64Array | undefined;
    for (const [p, penalty] of PENALTIES.entries()) {
      start = await fitStack(fitted, { ...fitting, penalty, start });
      losses[p].push({ loss: stackLoss(judged, start), votes });
    }
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
  data: EnsembleRows,
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

/** Nested cross-validation by cluster: in every fold the penalty is chosen anew, on the rows of the fit alone. */
export async function crossFit(data: EnsembleRows, options: CrossFitOptions): Promise<OutOfFold> {
  const { simplex, signal } = options;
  const columns = () => data.members.map(() => new Float64Array(data.count));
  const result = { ensemble: new Float64Array(data.count), alone: columns(), without: columns() };
  const weakest = PENALTIES[PENALTIES.length - 1];
  const fits: StackFit[] = [];
  for (const { fit, judge } of foldsOf(data, allRows(data), options.folds, options.seed)) {
    const penalty = await choosePenalty(data, fit, options);
    const whole = await fitMembers(data, fit, { penalty, simplex, signal });
    const { scales } = whole;
    predict(data, judge, whole, result.ensemble);
    for (const m of range(data.members.length)) {
      const others = range(data.members.length).filter((other) => other !== m);
      const rest = await fitMembers(data, fit, { members: others, scales, near: whole, penalty, simplex, signal });
      predict(data, judge, rest, result.without[m]);
      const alone = await fitMembers(data, fit, { members: [m], scales, penalty: weakest, simplex: false, signal });
      predict(data, judge, alone, result.alone[m]);
      for (const row of judge) if (Number.isNaN(data.logits[m][row])) result.alone[m][row] = Number.NaN;
    }
    fits.push(whole);
  }
  return { ...result, fits };
}

/** Puts the fitted log-odds of `rows` into `target`. */
function predict(data: EnsembleRows, rows: Int32Array, { weights, scales }: StackFit, target: Float64Array): void {
  const coefficients = weights.map((weight, m) => weight / scales[m]);
  for (const row of rows) target[row] = combineLogits(coefficients, data.logits, row);
}
