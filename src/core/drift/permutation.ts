import type { Random } from '../bytes/random.js';

/**
 * Observations of a reference and of a window in one pool, and statistics of how far apart the two are, as a function of which
 * clusters are the window's.
 */
export interface PooledTest {
  /** Observations of each cluster; the reference's clusters come first. */
  readonly sizes: Int32Array;
  readonly referenceClusters: number;
  /** Numbers that `measure` gives: each is larger, the further apart the two are. */
  readonly statistics: number;
  /** @param isWindow - 1 for clusters of the window, else 0 */
  measure(isWindow: Uint8Array, into: Float64Array): void;
}

export interface PermutationResult {
  /** (k + 1) / (B + 1), over all statistics together. */
  readonly pValue: number;
  readonly observed: Float64Array;
  readonly permutations: number;
}

/**
 * Are reference and window drawn alike? Whole clusters are dealt anew to the two, so that rows of one prompt stay together: under the
 * hypothesis every deal is as likely as the one observed, and the p-value is exact at any size; where clusters differ in size nearly
 * so, since deals hold to the observations that each side has rather than to its clusters, of which a window may have cut one. Several statistics are combined by the smallest of their p-values, whose own distribution the same deals give.
 *
 * @see Phipson and Smyth (2010) for (k + 1) / (B + 1); Pesarin (2001) for the combination
 */
export function permutationTest(test: PooledTest, permutations: number, random: Random): PermutationResult {
  const { referenceClusters, statistics, sizes } = test;
  const clusters = sizes.length;
  const isWindow = new Uint8Array(clusters).fill(1, referenceClusters);
  const values = new Float64Array(statistics);
  // In single precision: deals that come to the same must not differ by how their sums were rounded.
  const drawn = Array.from({ length: statistics }, () => new Float32Array(permutations + 1));
  const keep = (at: number): void => {
    for (let s = 0; s < statistics; s++) drawn[s][at] = values[s];
  };
  test.measure(isWindow, values);
  const observed = values.slice();
  keep(0);
  const deal = new Deal(test, random);
  for (let permutation = 1; permutation <= permutations; permutation++) {
    deal.again(isWindow);
    test.measure(isWindow, values);
    keep(permutation);
  }
  return { pValue: combinedP(drawn), observed, permutations };
}

/** Deals clusters to reference and window, so that the smaller of the two gets as many observations as it has, give or take half a cluster. */
class Deal {
  private readonly order: Uint32Array;
  /** What is marked in the smaller side, and its observations. */
  private readonly mark: 0 | 1;
  private readonly target: number;

  constructor(
    private readonly test: PooledTest,
    private readonly random: Random,
  ) {
    const { sizes, referenceClusters } = test;
    this.order = Uint32Array.from(sizes, (_, cluster) => cluster);
    const of = (part: Int32Array): number => part.reduce((sum, size) => sum + size, 0);
    const [reference, window] = [of(sizes.subarray(0, referenceClusters)), of(sizes.subarray(referenceClusters))];
    this.mark = window <= reference ? 1 : 0;
    this.target = Math.min(window, reference);
  }

  again(isWindow: Uint8Array): void {
    const { order, mark, target, test, random } = this;
    isWindow.fill(1 - mark);
    let dealt = 0;
    for (let i = 0; i < order.length && dealt < target; i++) {
      const j = random.integer(i, order.length);
      const cluster = order[j];
      order[j] = order[i];
      order[i] = cluster;
      // The last one only where that comes closer.
      if (i > 0 && 2 * (target - dealt) < test.sizes[cluster]) return;
      isWindow[cluster] = mark;
      dealt += test.sizes[cluster];
    }
  }
}

/** @param drawn - values of each statistic; the observed one first */
function combinedP(drawn: readonly Float32Array[]): number {
  const count = drawn[0].length;
  const smallest = new Float64Array(count).fill(1);
  for (const values of drawn) {
    const sorted = values.slice().sort();
    for (let i = 0; i < count; i++) smallest[i] = Math.min(smallest[i], atLeast(sorted, values[i]) / count);
  }
  let asExtreme = 0;
  for (let i = 0; i < count; i++) if (smallest[i] <= smallest[0]) asExtreme++;
  return asExtreme / count;
}

/** How many of the ascending values are at least `x`. */
function atLeast(sorted: Float32Array, x: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return sorted.length - low;
}

/** Fewest permutations by which the smallest of `tests` p-values can pass Holm's correction with room to spare. */
export const permutationsFor = (tests: number, alpha: number, asked: number): number =>
  Math.max(asked, Math.ceil((2 * tests) / alpha) - 1);
