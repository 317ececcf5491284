import { type Threads, withThreads } from '../bytes/threads.js';
import { HpsError } from '../errors.js';
import { combineLogits, disagreementAt } from './combine.js';
import {
  allRows,
  type CrossFitOptions,
  choosePenaltyOfAll,
  crossFit,
  fitMembers,
  type OutOfFold,
} from './cross-fit.js';
import { type EnsembleFigures, ensembleFigures } from './figures.js';
import type { EnsembleRows } from './rows.js';
import { type EnsembleWeights, fittedWeights, givenWeights } from './weights.js';

export interface FitOptions extends CrossFitOptions {
  /** Of the cluster bootstrap. */
  readonly resamples?: number;
  /** The cores by default. Results are the same whatever their number. */
  readonly threads?: number;
}

/** Spread of the members' answers over the rows; see `disagreementAt`. */
export interface Disagreement {
  readonly mean: number;
  /** Share of rows where every member names the same winner. */
  readonly unanimous: number;
}

export interface JudgedEnsemble extends EnsembleWeights {
  readonly figures: EnsembleFigures;
  readonly disagreement: Disagreement;
  /** Log-odds of each row as the figures are computed from them. */
  readonly logits: Float64Array;
}

export interface FittedEnsemble extends JudgedEnsemble {
  /** L2 penalty of the fit to all rows. */
  readonly penalty: number;
}

/** Fewer clusters than this for each fold leave folds of the inner cross-validation with one cluster or none. */
const CLUSTERS_PER_FOLD = 2;

/**
 * Fits the weights to all rows, and judges them by nested cross-validation: the figures are of weights that had not seen the rows.
 *
 * @throws HpsError TOO_FEW_CLUSTERS; DATA_INVALID where a member has scored none of the rows, or all weights are 0
 */
export async function fitEnsemble(data: EnsembleRows, options: FitOptions): Promise<FittedEnsemble> {
  assertScored(data);
  assertClusters(data, options.folds);
  const { simplex, threads, signal } = options;
  return withThreads({ threads, rows: data.count, signal }, async (pool) => {
    const [penalty, outOfFold] = await Promise.all([
      choosePenaltyOfAll(data, options, pool),
      crossFit(data, options, pool),
    ]);
    const weights = fittedWeights(await fitMembers(data, allRows(data), { penalty, simplex, signal }));
    return { penalty, ...(await judge(data, weights, outOfFold, options, pool)) };
  });
}

/** Judges weights given by hand: nothing is fitted, so every row is held out. @throws HpsError as `fitEnsemble` */
export async function judgeGiven(
  data: EnsembleRows,
  weights: EnsembleWeights,
  options: Pick<FitOptions, 'resamples' | 'seed' | 'threads' | 'signal'>,
): Promise<JudgedEnsemble> {
  assertScored(data);
  const { threads, signal } = options;
  return withThreads({ threads, rows: data.count, signal }, (pool) =>
    judge(data, weights, asOutOfFold(data, weights), options, pool),
  );
}

function asOutOfFold(data: EnsembleRows, { weights }: EnsembleWeights): Omit<OutOfFold, 'fits'> {
  const combined = (coefficients: readonly number[]): Float64Array =>
    Float64Array.from(allRows(data), (row) => combineLogits(coefficients, data.logits, row));
  const others = (m: number): readonly number[] => {
    const rest = weights.map((weight, other) => (other === m ? 0 : weight));
    const named = new Map(data.members.map((name, i) => [name, rest[i]]));
    return rest.some((weight) => weight > 0) ? givenWeights(named).weights : rest;
  };
  return {
    ensemble: combined(weights),
    alone: data.logits,
    without: data.members.map((_, m) => combined(others(m))),
  };
}

async function judge(
  data: EnsembleRows,
  weights: EnsembleWeights,
  outOfFold: Omit<OutOfFold, 'fits'>,
  { resamples, seed, signal }: Pick<FitOptions, 'resamples' | 'seed' | 'signal'>,
  threads: Threads | null,
): Promise<JudgedEnsemble> {
  return {
    ...weights,
    figures: await ensembleFigures(data, outOfFold, { resamples, seed: String(seed), signal }, threads),
    disagreement: disagreementOf(data, weights),
    logits: outOfFold.ensemble,
  };
}

function disagreementOf(data: EnsembleRows, { shares }: EnsembleWeights): Disagreement {
  let total = 0;
  let unanimous = 0;
  for (let row = 0; row < data.count; row++) {
    const disagreement = disagreementAt(shares, data.logits, row);
    total += disagreement;
    if (disagreement === 0) unanimous++;
  }
  return { mean: total / data.count, unanimous: unanimous / data.count };
}

function assertScored({ members, coverage }: EnsembleRows): void {
  const idle = members.find((name) => coverage.members[name].scored === 0);
  if (idle === undefined) return;
  throw new HpsError('DATA_INVALID', `${idle}: none of its ids is among the judged pairs`, {
    hint: 'Give the scores of the rows in the label file; ids must be the same in both.',
    details: { member: idle, unjudged: coverage.members[idle].unjudged },
  });
}

function assertClusters({ clusters }: EnsembleRows, folds: number): void {
  const needed = CLUSTERS_PER_FOLD * folds;
  if (clusters.count >= needed) return;
  throw new HpsError('TOO_FEW_CLUSTERS', `${clusters.count} clusters of judged pairs, ${needed} are needed`, {
    hint: 'Judge pairs of more prompts, ask for fewer `folds`, or give weights by hand: `weights` NAME=0.6,…',
    details: { clusters: clusters.count, needed, folds },
  });
}
