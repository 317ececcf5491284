import { shared, type Threads } from '../bytes/threads.js';
import { resamplesOf } from '../calibration/figures.js';
import { valuesOf } from '../calibration/judged.js';
import { bootstrap, type Estimate } from '../stats/bootstrap.js';
import { PAIR_METRICS } from '../stats/metric.js';
import type { Outcomes } from '../stats/outcomes.js';
import { comparePaired, type PairedComparison, type Verdict, verdictOf } from '../stats/paired.js';
import { type Clusters, differenceOf, inBlocks, ofSubset, type Statistic } from '../stats/statistic.js';
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

/** Figures with intervals by cluster bootstrap, all over the same draws; in threads where there are any, with the same result. */
export async function ensembleFigures(
  data: EnsembleRows,
  outOfFold: Omit<OutOfFold, 'fits'>,
  given: FigureOptions,
  threads: Threads | null = null,
): Promise<EnsembleFigures> {
  const { clusters, members } = data;
  // Every member has figures of its own over the same rows: together they take as long as those of as many rows.
  const options = { ...given, resamples: given.resamples ?? resamplesOf('auc', data.count * (members.length + 1)) };
  const [ensemble, ...single] = await estimatesOf(data, outOfFold, options, threads);
  const best = bestOf(
    members,
    single.map(({ figures }) => figures),
  );
  const rows = scoredRows(data.logits[best]);
  const onRows = (logits: Float64Array): Statistic => accuracyOn(rows, logits, data.outcomes);
  const byMember = <T>(value: (model: ModelEstimates) => T): Readonly<Record<string, T>> =>
    Object.fromEntries(members.map((name, m) => [name, value(single[m])]));
  return {
    n: data.count,
    clusters: clusters.count,
    single: byMember(({ figures }) => figures),
    ensemble: ensemble.figures,
    best: members[best],
    comparison: await comparePaired(onRows(outOfFold.ensemble), onRows(data.logits[best]), 'higher', clusters, options),
    leaveOneOut: byMember(({ gain }) => contribution(gain!)),
  };
}

/** What decides and ranks, and what log loss is computed from: log-odds of all rows, NaN where there are none. */
interface ModelLogits {
  readonly order: Float64Array;
  readonly odds: Float64Array;
  /** Of a member: the ensemble of the others. */
  readonly without?: Float64Array;
}

interface ModelEstimates {
  readonly figures: Figures;
  /** Of a member: accuracy and log loss of the ensemble, less those of the ensemble without it. */
  readonly gain: readonly Estimate[] | null;
}

interface EstimateCall {
  readonly outcomes: Outcomes;
  readonly clusters: Clusters;
  readonly ensemble: Float64Array;
  readonly models: readonly ModelLogits[];
  readonly options: { readonly resamples: number; readonly seed: string };
}

/** Of the ensemble, then of each member. */
async function estimatesOf(
  { outcomes: { positive, negative }, clusters, logits, members }: EnsembleRows,
  outOfFold: Omit<OutOfFold, 'fits'>,
  { signal, ...options }: EstimateCall['options'] & Pick<FigureOptions, 'signal'>,
  threads: Threads | null,
): Promise<ModelEstimates[]> {
  const column = threads ? shared<Float64Array> : (values: Float64Array): Float64Array => values;
  const ensemble = column(outOfFold.ensemble);
  const models: ModelLogits[] = [{ order: ensemble, odds: ensemble }];
  for (const m of members.keys()) {
    const [odds, without] = [column(outOfFold.alone[m]), column(outOfFold.without[m])];
    models.push({ order: column(logits[m]), odds, without });
  }
  const { of, count } = inBlocks(clusters, options.seed);
  const given = {
    outcomes: { positive: column(positive), negative: column(negative) },
    clusters: { of: threads ? shared(of) : of, count },
    ensemble,
    options,
  };
  if (!threads) return estimateModels({ ...given, models }, signal);
  const each = Math.ceil(models.length / threads.count);
  const calls: Promise<ModelEstimates[]>[] = [];
  for (let at = 0; at < models.length; at += each) {
    const call: EstimateCall = { ...given, models: models.slice(at, at + each) };
    calls.push(threads.call({ module: import.meta.url, name: 'estimateModels', given: call }));
  }
  return (await Promise.all(calls)).flat();
}

/** Called by name. @internal */
export async function estimateModels(
  { outcomes, clusters, ensemble, models, options }: EstimateCall,
  signal?: AbortSignal,
): Promise<ModelEstimates[]> {
  const own = statisticsOf(outcomes, { order: ensemble, odds: ensemble });
  const statistics = models.flatMap(({ without, ...logits }) => {
    const figures = logits.order === ensemble ? own : statisticsOf(outcomes, logits);
    const others = without && statisticsOf(outcomes, { order: without, odds: without });
    const gains = others && [differenceOf(own.accuracy, others.accuracy), differenceOf(own.nll, others.nll)];
    return [...FIGURES.map((figure) => figures[figure]), ...(gains ?? [])];
  });
  const estimates = await bootstrap(statistics, clusters, { ...options, signal });
  return models.map(({ without }) => {
    const figures = Object.fromEntries(FIGURES.map((figure) => [figure, estimates.shift()!])) as Figures;
    return { figures, gain: without ? estimates.splice(0, 2) : null };
  });
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

/** The figures over the rows that have a logit, as functions of the weights of all rows. */
function statisticsOf(outcomes: Outcomes, { order, odds }: ModelLogits): Record<Figure, Statistic> {
  const rows = scoredRows(order);
  const judged = rows.length === order.length ? outcomes : pickOutcomes(outcomes, rows);
  const prepared = FIGURES.map((figure) => {
    const logits = valuesOf(figure === 'nll' ? odds : order, rows);
    const statistic = preparePairMetric(figure, logits, judged);
    return [figure, rows.length === order.length ? statistic : ofSubset(statistic, rows)];
  });
  return Object.fromEntries(prepared) as Record<Figure, Statistic>;
}
