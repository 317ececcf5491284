import type { PooledTest } from './permutation.js';

/** Categories with the cluster that each observation is of. */
export interface ClusteredCategories {
  /** Into the names that reference and window share. */
  readonly codes: Int32Array;
  readonly cluster: Int32Array;
  readonly clusters: number;
}

/** Two samples of categories: the G statistic of their table (twice the log-likelihood ratio against one distribution). */
export class CategoriesTest implements PooledTest {
  readonly statistics = 1;
  readonly sizes: Int32Array;
  readonly referenceClusters: number;
  private readonly clusterAt: Int32Array;
  private readonly codes: Int32Array;
  private readonly totals: Float64Array;
  private readonly counts: Float64Array;

  constructor(reference: ClusteredCategories, window: ClusteredCategories, categories: number) {
    this.referenceClusters = reference.clusters;
    this.sizes = new Int32Array(reference.clusters + window.clusters);
    const rows = reference.codes.length + window.codes.length;
    this.codes = new Int32Array(rows);
    this.codes.set(reference.codes);
    this.codes.set(window.codes, reference.codes.length);
    this.clusterAt = new Int32Array(rows);
    this.clusterAt.set(reference.cluster);
    this.clusterAt.set(
      window.cluster.map((cluster) => reference.clusters + cluster),
      reference.codes.length,
    );
    this.totals = new Float64Array(categories);
    this.counts = new Float64Array(categories);
    for (let i = 0; i < rows; i++) {
      this.totals[this.codes[i]]++;
      this.sizes[this.clusterAt[i]]++;
    }
  }

  measure(isWindow: Uint8Array, into: Float64Array): void {
    const { codes, clusterAt, counts, totals } = this;
    counts.fill(0);
    let inWindow = 0;
    for (let i = 0; i < codes.length; i++) {
      if (isWindow[clusterAt[i]] === 0) continue;
      counts[codes[i]]++;
      inWindow++;
    }
    into[0] = gStatistic(totals, counts, codes.length, inWindow);
  }
}

/** @param totals - of both samples together; `counts` of one of them */
function gStatistic(totals: Float64Array, counts: Float64Array, rows: number, inWindow: number): number {
  const inReference = rows - inWindow;
  let g = 0;
  for (let category = 0; category < totals.length; category++) {
    const window = counts[category];
    const reference = totals[category] - window;
    if (window > 0) g += 2 * window * Math.log((window * rows) / (totals[category] * inWindow));
    if (reference > 0) g += 2 * reference * Math.log((reference * rows) / (totals[category] * inReference));
  }
  return Math.max(g, 0);
}

/** The G statistic of two rows of counts. */
export function gOf(reference: ArrayLike<number>, window: ArrayLike<number>): number {
  const sum = (counts: ArrayLike<number>) => Array.from(counts).reduce((a, b) => a + b, 0);
  const totals = Float64Array.from(reference, (count, i) => count + window[i]);
  return gStatistic(totals, Float64Array.from(window), sum(reference) + sum(window), sum(window));
}

/**
 * How far two distributions over categories are apart: twice the angle between the square roots of their shares. Of two categories
 * it is Cohen's h, of which 0.2 counts as small; a category that the reference does not have needs no special treatment.
 */
export function effectOfCategories(reference: ArrayLike<number>, window: ArrayLike<number>): number {
  const cosine = Array.from(reference).reduce((sum, share, i) => sum + Math.sqrt(share * window[i]), 0);
  return 2 * Math.acos(Math.min(1, cosine));
}
