import {
  type BootstrapOptions,
  combineReplicates,
  DEFAULT_RESAMPLES,
  type Estimate,
  estimateOf,
  type Replicates,
  replicateEach,
} from '../stats/bootstrap.js';
import { type Clusters, inBlocks } from '../stats/statistic.js';
import type { NamedStatistic } from './task.js';

/** Estimates by key: a metric's id and its value with interval, null where undefined. */
export type Figures = Readonly<Record<string, Estimate>>;

/** By what share the error falls: 1 - after / before; null where there was none before. */
const reductionOf = (before: Replicates, after: Replicates): Replicates =>
  combineReplicates(before, after, (from, to) => {
    const fall = 1 - to / from;
    return Number.isFinite(fall) ? fall : null;
  });

export interface BeforeAndAfter {
  readonly before: Figures;
  readonly after: Figures;
  /** Share by which errors fall, under the same resamples; negative where they rise. */
  readonly reduction: Figures;
}

/** A figure over resamples, under the key that reports have it under. */
export interface NamedReplicates {
  readonly id: string;
  readonly replicates: Replicates;
}

/** Figures of two predictions of the same rows, and how far the errors named in `errors` fall. */
export async function compareFigures(
  before: readonly NamedStatistic[],
  after: readonly NamedStatistic[],
  errors: readonly string[],
  clusters: Clusters,
  options: BootstrapOptions,
): Promise<BeforeAndAfter> {
  const replicates = await replicatesOf([...before, ...after], clusters, options);
  const [from, to] = [replicates.slice(0, before.length), replicates.slice(before.length)];
  return beforeAndAfter(from, to, errors, clusters, options.level);
}

/** As `compareFigures`, of replicates over the same draws: what the rows have in common cancels in the reduction. */
export function beforeAndAfter(
  before: readonly NamedReplicates[],
  after: readonly NamedReplicates[],
  errors: readonly string[],
  clusters: Clusters,
  level?: number,
): BeforeAndAfter {
  const reductions = errors.flatMap((id): NamedReplicates[] => {
    const [from, to] = [before, after].map((list) => list.find((one) => one.id === id));
    return from && to ? [{ id, replicates: reductionOf(from.replicates, to.replicates) }] : [];
  });
  const named = (list: readonly NamedReplicates[]): Figures =>
    Object.fromEntries(list.map(({ id, replicates }) => [id, estimateOf(replicates, clusters, level)]));
  return { before: named(before), after: named(after), reduction: named(reductions) };
}

export interface FigureOptions extends BootstrapOptions {
  /** Most resamples of smooth ECE; 200 by default. */
  readonly smoothResamples?: number;
  /** Rows that the number of resamples goes by, where these are some of them: groups of very many rows take turns. */
  readonly outOf?: number;
}

/** Figures of one prediction. */
export async function figuresOf(
  statistics: readonly NamedStatistic[],
  clusters: Clusters,
  options: FigureOptions,
): Promise<Figures> {
  const replicates = await replicatesOf(statistics, clusters, options);
  return Object.fromEntries(
    replicates.map(({ id, replicates: one }) => [id, estimateOf(one, clusters, options.level)]),
  );
}

/** Smooth ECE looks for its bandwidth anew in each resample, by convolutions that cost as much for few rows as for many. */
const SMOOTH_RESAMPLES = 200;

/** Row visits that the intervals of one figure may take where nobody says how many resamples: a second or so. */
const ROW_VISITS = 4e8;
const FEWEST_RESAMPLES = 200;

/** What a resample of a figure costs where that is not one pass over the rows. */
const PASSES: Readonly<Record<string, number>> = { kendall: 10 };

/** Resamples of a figure: 2000, or as many as asked for; without asking fewer of so many rows that intervals would take minutes. */
export function resamplesOf(
  id: string,
  rows: number,
  { resamples, smoothResamples = SMOOTH_RESAMPLES }: Pick<FigureOptions, 'resamples' | 'smoothResamples'> = {},
): number {
  const visits = (PASSES[id] ?? 1) * Math.max(1, rows);
  const affordable = Math.max(FEWEST_RESAMPLES, Math.min(DEFAULT_RESAMPLES, Math.floor(ROW_VISITS / visits)));
  return Math.min(resamples ?? affordable, id === 'smece' ? smoothResamples : Number.POSITIVE_INFINITY);
}

/** How many resamples intervals come from, for reports. */
export interface ResampleCounts {
  readonly resamples: number;
  /** Figures that have fewer, since a resample of them costs more. */
  readonly fewerResamples: Readonly<Record<string, number>>;
}

/** @param asked - how many were asked for */
export function resampleCounts(ids: readonly string[], rows: number, asked: number | undefined): ResampleCounts {
  const counts = ids.map((id) => [id, resamplesOf(id, rows, { resamples: asked })] as const);
  const resamples = Math.max(...counts.map(([, count]) => count));
  return { resamples, fewerResamples: Object.fromEntries(counts.filter(([, count]) => count < resamples)) };
}

/** Replicates of all statistics, over the same draws as far as they have as many resamples. */
export async function replicatesOf(
  statistics: readonly NamedStatistic[],
  clusters: Clusters,
  options: FigureOptions,
): Promise<NamedReplicates[]> {
  const replicates = await replicateEach(
    statistics.map(({ id, statistic }) => ({
      statistic,
      resamples: resamplesOf(id, options.outOf ?? clusters.of.length, options),
    })),
    inBlocks(clusters, options.seed),
    options,
  );
  return statistics.map(({ id }, i) => ({ id, replicates: replicates[i] }));
}
