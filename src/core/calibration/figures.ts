import { type BootstrapOptions, bootstrap, type Clusters, type Estimate } from '../stats/bootstrap.js';
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
  const all = [...before, ...after, ...reductions];
  const estimates = bootstrap(
    all.map(({ statistic }) => statistic),
    clusters,
    options,
  );
  const named = (from: number, list: readonly NamedStatistic[]): Figures =>
    Object.fromEntries(list.map(({ id }, i) => [id, estimates[from + i]]));
  return {
    before: named(0, before),
    after: named(before.length, after),
    reduction: named(before.length + after.length, reductions),
  };
}

/** Figures of one prediction. */
export function figuresOf(
  statistics: readonly NamedStatistic[],
  clusters: Clusters,
  options: BootstrapOptions,
): Figures {
  const estimates = bootstrap(
    statistics.map(({ statistic }) => statistic),
    clusters,
    options,
  );
  return Object.fromEntries(statistics.map(({ id }, i) => [id, estimates[i]]));
}
