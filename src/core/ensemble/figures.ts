import { resamplesOf } from '../calibration/figures.js';
import { valuesOf } from '../calibration/judged.js';
import { bootstrap, type Estimate } from '../stats/bootstrap.js';
import { PAIR_METRICS } from '../stats/metric.js';
import type { Outcomes } from '../stats/outcomes.js';
import { comparePaired, type PairedComparison, type Verdict, verdictOf } from '../stats/paired.js';
import { differenceOf, inBlocks, ofSubset, type Statistic } from '../stats/statistic.js';
import { allRows, type OutOfFold } from './cross-fit.js';
import type { EnsembleRows } from './rows.js';

export const FIGURES = ['accuracy', 'auc', 'nll'] as const;
export type Figure = (typeof FIGURES)[number];
export type Figures = Readonly<Record<Figure, Estimate>>;

/** What a member adds: the figures of the ensemble less those of the ensemble without it, over the same draws. */
export interface Contribution {
  /** Above 0 where the member helps. */
  readonly accuracy: Estimate;
  /** In nats a vote; below 0 where the member helps. */
  readonly nll: Estimate;
  /** By accuracy: `better` where the ensemble is better with it than without. */
  readonly verdict: Verdict;
}

/** How an ensemble does beside its members, on votes that none of its fits has seen. */
export interface EnsembleFigures {
  readonly n: number;
  readonly clusters: number;
  /** Accuracy and AUC of the logits as they come; log loss of the logits scaled out of fold, so that it asks for no calibrator. */
  readonly single: Readonly<Record<string, Figures>>;
  readonly ensemble: Figures;
  /** The member with the highest accuracy. */
  readonly best: string;
  /** Accuracy of the ensemble less that of the best member, on the rows that member has scored. */
  readonly comparison: PairedComparison;
  readonly leaveOneOut: Readonly<Record<string, Contribution>>;
}

export interface FigureOptions {
  /** 2000, or fewer for very many rows of many members, where omitted. */
  readonly resamples?: number;
  readonly seed: string;
  readonly signal?: AbortSignal;
}

/** Figures with intervals by cluster bootstrap, all over the same draws. */
export async function ensembleFigures(
  data: EnsembleRows,
  outOfFold: Omit<OutOfFold, 'fits'>,
  given: FigureOptions,
): Promise<EnsembleFigures> {
  const { clusters, members } = data;
  // Every member has figures of its own over the same rows: together they take as long as those of as many rows.
  const options = { ...given, resamples: given.resamples ?? resamplesOf('auc', data.count * (members.length + 1)) };
  const ensemble = statisticsOf(data, { order: outOfFold.ensemble, odds: outOfFold.ensemble });
  const single = members.map((_, m) => statisticsOf(data, { order: data.logits[m], odds: outOfFold.alone[m] }));
  const without = outOfFold.without.map((logits) => statisticsOf(data, { order: logits, odds: logits }));
  const gains = without.flatMap((left) => [
    differenceOf(ensemble.accuracy, left.accuracy),
    differenceOf(ensemble.nll, left.nll),
  ]);
  const flat = [ensemble, ...single].flatMap((statistics) => FIGURES.map((figure) => statistics[figure]));
  const estimates = await bootstrap([...flat, ...gains], inBlocks(clusters, options.seed), options);
  const figuresAt = (model: number): Figures =>
    Object.fromEntries(FIGURES.map((figure, f) => [figure, estimates[model * FIGURES.length + f]])) as Figures;
  const best = bestOf(
    members,
    members.map((_, m) => figuresAt(m + 1)),
  );
  const rows = scoredRows(data.logits[best]);
  const onRows = (logits: Float64Array): Statistic => accuracyOn(rows, logits, data.outcomes);
  return {
    n: data.count,
    clusters: clusters.count,
    single: Object.fromEntries(members.map((name, m) => [name, figuresAt(m + 1)])),
    ensemble: figuresAt(0),
    best: members[best],
    comparison: await comparePaired(onRows(outOfFold.ensemble), onRows(data.logits[best]), 'higher', clusters, options),
    leaveOneOut: Object.fromEntries(
      members.map((name, m) => [name, contribution(estimates.slice(flat.length + 2 * m, flat.length + 2 * m + 2))]),
    ),
  };
}

function contribution([accuracy, nll]: readonly Estimate[]): Contribution {
  return { accuracy, nll, verdict: accuracy.ci ? verdictOf(accuracy.ci, 'higher') : 'undecided' };
}

/** Highest accuracy; among equals the higher AUC, then the first. */
function bestOf(members: readonly string[], figures: readonly Figures[]): number {
  const rank = ({ accuracy, auc }: Figures): [number, number] => [accuracy.value ?? 0, auc.value ?? 0];
  return members
    .map((_, m) => m)
    .reduce((best, m) => {
      const [a, b] = [rank(figures[m]), rank(figures[best])];
      return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]) ? m : best;
    });
}

const scoredRows = (logits: Float64Array): Int32Array =>
  allRows({ count: logits.length }).filter((row) => !Number.isNaN(logits[row]));

const pickOutcomes = ({ positive, negative }: Outcomes, rows: Int32Array): Outcomes => ({
  positive: valuesOf(positive, rows),
  negative: valuesOf(negative, rows),
});

const preparePairMetric = (figure: Figure, logits: Float64Array, outcomes: Outcomes): Statistic =>
  PAIR_METRICS.find(({ id }) => id === figure)!.prepare({ logits, probabilities: null, outcomes });

const accuracyOn = (rows: Int32Array, logits: Float64Array, outcomes: Outcomes): Statistic =>
  ofSubset(preparePairMetric('accuracy', valuesOf(logits, rows), pickOutcomes(outcomes, rows)), rows);

/**
 * The figures over the rows that have a logit, as functions of the weights of all rows.
 *
 * @param order - what decides and ranks
 * @param odds - what log loss is computed from
 */
function statisticsOf(
  { outcomes }: EnsembleRows,
  { order, odds }: { order: Float64Array; odds: Float64Array },
): Record<Figure, Statistic> {
  const rows = scoredRows(order);
  const judged = rows.length === order.length ? outcomes : pickOutcomes(outcomes, rows);
  const prepared = FIGURES.map((figure) => {
    const logits = valuesOf(figure === 'nll' ? odds : order, rows);
    const statistic = preparePairMetric(figure, logits, judged);
    return [figure, rows.length === order.length ? statistic : ofSubset(statistic, rows)];
  });
  return Object.fromEntries(prepared) as Record<Figure, Statistic>;
}
