import {
  type BootstrapOptions,
  bootstrap,
  type Clusters,
  DEFAULT_RESAMPLES,
  type Estimate,
} from '../stats/bootstrap.js';
import type { Statistic } from '../stats/statistic.js';
import type { NamedStatistic } from './task.js';

/** Estimates by key: a metric's id and its value with interval, null where undefined. */
export type Figures = Readonly<Record<string, Estimate>>;

/** By what share the error falls: 1 - after / before; null where there was none before. */
function reductionOf(before: Statistic, after: Statistic): Statistic {
  return (weights) => {
    const from = before(weights);
    const to = from === null || from === 0 ? null : after(weights);
    return from === null || to === null ? null : 1 - to / from;
  };
}

export interface BeforeAndAfter {
  readonly before: Figures;
  readonly after: Figures;
  /** Share by which errors fall, under the same resamples; negative where they rise. */
  readonly reduction: Figures;
}

/** Figures of two predictions of the same rows, and how far the errors named in `errors` fall. */
export function compareFigures(
  before: readonly NamedStatistic[],
  after: readonly NamedStatistic[],
  errors: readonly string[],
  clusters: Clusters,
  options: BootstrapOptions,
): BeforeAndAfter {
  const statisticOf = (list: readonly NamedStatistic[], wanted: string) =>
    list.find(({ id }) => id === wanted)?.statistic;
  const reductions = errors.flatMap((id): NamedStatistic[] => {
    const [from, to] = [statisticOf(before, id), statisticOf(after, id)];
    return from && to ? [{ id, statistic: reductionOf(from, to) }] : [];
  });
  const estimates = estimate([...before, ...after, ...reductions], clusters, options);
  const named = (from: number, list: readonly NamedStatistic[]): Figures =>
    Object.fromEntries(list.map(({ id }, i) => [id, estimates[from + i]]));
  return {
    before: named(0, before),
    after: named(before.length, after),
    reduction: named(before.length + after.length, reductions),
  };
}

export interface FigureOptions extends BootstrapOptions {
  /** Resamples of statistics that take a hundred times as long as others; 200 by default. */
  readonly costlyResamples?: number;
}

/** Figures of one prediction. */
export function figuresOf(statistics: readonly NamedStatistic[], clusters: Clusters, options: FigureOptions): Figures {
  const estimates = estimate(statistics, clusters, options);
  return Object.fromEntries(statistics.map(({ id }, i) => [id, estimates[i]]));
}

/** Each resample of smooth ECE looks for its bandwidth anew, at a hundred times the cost of the others. */
const COSTLY: ReadonlySet<string> = new Set(['smece']);
const COSTLY_RESAMPLES = 200;

/** Row visits that intervals may take where nobody says how many resamples. */
const ROW_VISITS = 4e7;
const FEWEST_RESAMPLES = 200;

/** 2000 up to 20,000 rows, and so many fewer above, where percentiles lie close together, that intervals take seconds. */
export const defaultResamples = (rows: number): number =>
  Math.max(FEWEST_RESAMPLES, Math.min(DEFAULT_RESAMPLES, Math.floor(ROW_VISITS / Math.max(1, rows))));

/** Statistics with intervals; costly ones from fewer resamples. */
function estimate(statistics: readonly NamedStatistic[], clusters: Clusters, options: FigureOptions): Estimate[] {
  const { resamples = defaultResamples(clusters.of.length), costlyResamples = COSTLY_RESAMPLES } = options;
  const estimates = new Array<Estimate>(statistics.length);
  for (const costly of [false, true]) {
    const places = statistics.flatMap(({ id }, place) => (COSTLY.has(id) === costly ? [place] : []));
    if (places.length === 0) continue;
    const some = bootstrap(
      places.map((place) => statistics[place].statistic),
      clusters,
      { ...options, resamples: costly ? Math.min(resamples, costlyResamples) : resamples },
    );
    places.forEach((place, i) => {
      estimates[place] = some[i];
    });
  }
  return estimates;
}
