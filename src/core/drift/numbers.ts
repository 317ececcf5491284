import { argsort } from '../stats/argsort.js';
import { concatenate } from '../stats/outcomes.js';
import { quantileOfSorted } from '../stats/quantile.js';
import type { PooledTest } from './permutation.js';

/** Numbers with the cluster that each is of. */
export interface ClusteredNumbers {
  readonly values: Float64Array;
  /** Codes 0 to `clusters` - 1; every one is of some value. */
  readonly cluster: Int32Array;
  readonly clusters: number;
}

/** Where statistics of numbers stand in what `NumbersTest` measures. */
export const KS = 0;
export const WASSERSTEIN = 1;

/**
 * Two samples of numbers, sorted once: the largest distance of their distribution functions (Kolmogorov and Smirnov), and the area
 * between them (Wasserstein's distance of order 1), in one pass over the sorted rows for each deal of clusters.
 *
 * @throws RangeError for NaN
 * @see scipy.stats.ks_2samp, scipy.stats.wasserstein_distance
 */
export class NumbersTest implements PooledTest {
  readonly statistics = 2;
  readonly sizes: Int32Array;
  readonly referenceClusters: number;
  /** Of the observations in ascending order: their cluster, and how far it is to the next value. */
  private readonly clusterAt: Int32Array;
  private readonly gaps: Float64Array;

  constructor(reference: ClusteredNumbers, window: ClusteredNumbers) {
    this.referenceClusters = reference.clusters;
    const values = concatenate(reference.values, window.values);
    const before = reference.values.length;
    const order = argsort(values);
    this.sizes = new Int32Array(reference.clusters + window.clusters);
    this.clusterAt = new Int32Array(order.length);
    this.gaps = new Float64Array(order.length);
    for (let i = 0; i < order.length; i++) {
      const row = order[i];
      const cluster = row < before ? reference.cluster[row] : reference.clusters + window.cluster[row - before];
      this.clusterAt[i] = cluster;
      this.sizes[cluster]++;
      if (i + 1 < order.length) this.gaps[i] = values[order[i + 1]] - values[row];
    }
  }

  measure(isWindow: Uint8Array, into: Float64Array): void {
    const { clusterAt, gaps, sizes } = this;
    let inWindow = 0;
    for (let cluster = 0; cluster < sizes.length; cluster++) if (isWindow[cluster]) inWindow += sizes[cluster];
    const inReference = clusterAt.length - inWindow;
    into.fill(0);
    if (inWindow === 0 || inReference === 0) return;
    let seen = 0;
    let largest = 0;
    let area = 0;
    for (let i = 0; i < gaps.length; i++) {
      seen += isWindow[clusterAt[i]];
      const gap = gaps[i];
      if (gap === 0) continue;
      const apart = Math.abs(seen / inWindow - (i + 1 - seen) / inReference);
      if (apart > largest) largest = apart;
      area += apart * gap;
    }
    into[KS] = largest;
    into[WASSERSTEIN] = area;
  }
}

/** A number as it is without any cluster. */
const alone = (values: Float64Array): ClusteredNumbers => ({
  values,
  cluster: Int32Array.from(values, (_, i) => i),
  clusters: values.length,
});

/** The distances of two samples. @throws RangeError where one is empty, or for NaN */
export function distancesOf(reference: Float64Array, window: Float64Array): { ks: number; wasserstein: number } {
  if (reference.length === 0 || window.length === 0) throw new RangeError('an empty sample has no distance');
  const test = new NumbersTest(alone(reference), alone(window));
  const isWindow = new Uint8Array(reference.length + window.length).fill(1, reference.length);
  const into = new Float64Array(2);
  test.measure(isWindow, into);
  return { ks: into[KS], wasserstein: into[WASSERSTEIN] };
}

/** What is said of a sample of numbers. */
export interface NumberSummary {
  readonly n: number;
  readonly mean: number;
  readonly sd: number;
  readonly quartiles: readonly [number, number, number];
}

/** @throws RangeError where there are no values */
export function summarise(values: Float64Array): NumberSummary {
  const sorted = values.slice().sort();
  const mean = values.reduce((sum, value) => sum + value / values.length, 0);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2 / values.length, 0);
  const at = (p: number) => quantileOfSorted(sorted, p);
  return { n: values.length, mean, sd: Math.sqrt(variance), quartiles: [at(0.25), at(0.5), at(0.75)] };
}

/** Interquartile range of a normal distribution, in standard deviations. */
const NORMAL_IQR = 1.349;

/**
 * How much moved, on a scale that does not depend on how many rows there are: Wasserstein's distance in interquartile ranges of the
 * reference. Where half its rows are one value, its standard deviation stands for them; where all are, the share of rows that moved.
 */
export function effectOfNumbers({ quartiles, sd }: NumberSummary, ks: number, wasserstein: number): number {
  const iqr = quartiles[2] - quartiles[0];
  const scale = iqr > 0 ? iqr : NORMAL_IQR * sd;
  // A spread that rounding alone makes is none.
  return scale > 1e-9 * Math.abs(quartiles[1]) ? Math.min(wasserstein / scale, MOST_EFFECT) : ks;
}

/** Of a reference that hardly varies any shift is large; how many times larger says nothing. */
const MOST_EFFECT = 1e6;
