import { logit } from '../stats/logistic.js';
import type { PooledTest } from './permutation.js';

/** Votes of rows beside what was said of them. */
export interface ClusteredResiduals {
  readonly probability: Float64Array;
  /** Share of votes for the left. */
  readonly label: Float64Array;
  readonly cluster: Int32Array;
  readonly clusters: number;
}

/** Log-odds are kept this far in: a probability of 0 or 1 would have none. */
const MOST_LOG_ODDS = 36;

/** What is left of each vote once the probability is taken off, seen three ways. */
const VIEWS: readonly ((residual: number, probability: number) => number)[] = [
  // How much more often the winner is right than said.
  (residual, probability) => Math.sign(probability - 0.5) * residual,
  // How much more often the left is preferred than said.
  (residual) => residual,
  // How much more it is where the probability is far from one half.
  (residual, probability) => residual * Math.max(-MOST_LOG_ODDS, Math.min(MOST_LOG_ODDS, logit(probability))),
];

/**
 * Does what a score means to raters differ between reference and window? Compares the means of what is left of votes: it asks nothing
 * of how well probabilities held in the reference, only that they hold as well.
 */
export class ResidualsTest implements PooledTest {
  readonly statistics = VIEWS.length;
  readonly sizes: Int32Array;
  readonly referenceClusters: number;
  /** Sums of each view by cluster, and over all. */
  private readonly sums: readonly Float64Array[];
  private readonly totals: readonly number[];
  private readonly rows: number;

  constructor(reference: ClusteredResiduals, window: ClusteredResiduals) {
    this.referenceClusters = reference.clusters;
    this.sizes = new Int32Array(reference.clusters + window.clusters);
    this.sums = VIEWS.map(() => new Float64Array(this.sizes.length));
    for (const [part, first] of [[reference, 0] as const, [window, reference.clusters] as const]) {
      for (let row = 0; row < part.label.length; row++) {
        const cluster = first + part.cluster[row];
        this.sizes[cluster]++;
        const residual = part.label[row] - part.probability[row];
        VIEWS.forEach((view, i) => {
          this.sums[i][cluster] += view(residual, part.probability[row]);
        });
      }
    }
    this.totals = this.sums.map((sums) => sums.reduce((total, sum) => total + sum, 0));
    this.rows = reference.label.length + window.label.length;
  }

  measure(isWindow: Uint8Array, into: Float64Array): void {
    const { sizes, sums, totals } = this;
    into.fill(0);
    let inWindow = 0;
    for (let cluster = 0; cluster < sizes.length; cluster++) {
      if (isWindow[cluster] === 0) continue;
      inWindow += sizes[cluster];
      for (let view = 0; view < sums.length; view++) into[view] += sums[view][cluster];
    }
    const inReference = this.rows - inWindow;
    for (let view = 0; view < sums.length; view++) {
      const apart = into[view] / inWindow - (totals[view] - into[view]) / inReference;
      into[view] = inWindow > 0 && inReference > 0 ? Math.abs(apart) : 0;
    }
  }
}
