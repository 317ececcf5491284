import { argsort } from './argsort.js';
import { binOf, DEFAULT_BINS } from './calibration-bins.js';
import type { Outcomes } from './outcomes.js';
import { type ClusterStatistic, type Clusters, oncePerDraw, overClusters, type Statistic } from './statistic.js';

/**
 * Cells that very many rows are resampled in. Rounding to a cell moves a replicate by some hundredths of what resampling moves it by,
 * and no interval by more than the chance of its draws; the figure itself is of the rows.
 */
const CELLS = 4096;

/**
 * Pairs gathered into cells of neighbours, so that a resample takes one pass over the rows for all figures together, and whatever
 * they do in an order of their own is done to the cells.
 */
export class PairCells {
  /** Cell of each row. */
  private readonly of: Uint16Array;
  private readonly count: number;
  /** Each cell twice: with one vote for the left, then with one for the right. Weights are what `sums` gives. */
  readonly rows: { readonly logits: Float64Array; readonly probabilities: Float64Array; readonly outcomes: Outcomes };
  /** Every one of `rows` by itself. */
  private readonly units: Clusters;
  private readonly prepared = new WeakMap<Clusters, (draws: Float64Array, draw?: number) => Float64Array>();

  /**
   * @param order - rows, ascending by `keys`
   * @param probabilities - of each row, as calibration errors read them: where they ascend too, cells end where bins of equal width do
   */
  constructor(
    order: Uint32Array,
    keys: Float64Array,
    probabilities: Float64Array,
    private readonly outcomes: Outcomes,
    ascend: boolean,
  ) {
    this.of = new Uint16Array(order.length);
    const means: number[] = [];
    const bins = ascend ? order.map((row) => widthBins(probabilities[row])) : new Uint32Array(order.length);
    const most = Math.ceil(order.length / CELLS);
    for (let start = 0; start < order.length; ) {
      let end = start + 1;
      for (; end < order.length; end++) {
        const tied = keys[order[end]] === keys[order[end - 1]];
        if (!tied && (end - start >= most || bins[end] !== bins[start])) break;
      }
      for (let i = start; i < end; i++) this.of[order[i]] = means.length;
      means.push(meanProbability(order.subarray(start, end), probabilities, outcomes));
      start = end;
    }
    this.count = means.length;
    const ones = new Float64Array(this.count).fill(1);
    const twice = <T>(values: ArrayLike<T>): T[] => [...Array.from(values), ...Array.from(values)];
    const left = new Float64Array(2 * this.count);
    const right = new Float64Array(2 * this.count);
    left.set(ones);
    right.set(ones, this.count);
    this.rows = {
      logits: Float64Array.from(twice([...means.keys()])),
      probabilities: Float64Array.from(twice(means)),
      outcomes: { positive: left, negative: right },
    };
    this.units = { of: Int32Array.from(left.keys()), count: left.length };
  }

  /** A statistic of the rows under draws of clusters. @param ofCells - of `rows` */
  overClusters(ofCells: Statistic, clusters: Clusters): ClusterStatistic {
    const sums = this.sums(clusters);
    const ofUnits = overClusters(ofCells, this.units);
    return (draws, draw) => ofUnits(sums(draws, draw), draw);
  }

  /** Votes of each cell for the left, then for the right, as a function of how often each cluster counts. */
  private sums(clusters: Clusters): (draws: Float64Array, draw?: number) => Float64Array {
    const known = this.prepared.get(clusters);
    if (known) return known;
    let [votes, ofDraws]: [Float64Array, Float64Array | null] = [new Float64Array(0), null];
    const made = oncePerDraw((draws) => {
      // Draws that are numbered anew come in an array of their own: so do their votes, by which what is made of them is told apart.
      if (draws === ofDraws) votes.fill(0);
      else [votes, ofDraws] = [new Float64Array(2 * this.count), draws];
      this.addVotes(votes, clusters.of, draws);
      return votes;
    });
    this.prepared.set(clusters, made);
    return made;
  }

  private addVotes(votes: Float64Array, clusterOf: Int32Array, draws: Float64Array): void {
    const { of, count } = this;
    const { positive, negative } = this.outcomes;
    for (let row = 0; row < of.length; row++) {
      const times = draws[clusterOf[row]];
      if (times === 0) continue;
      const cell = of[row];
      votes[cell] += times * positive[row];
      votes[count + cell] += times * negative[row];
    }
  }
}

/** The bins of equal width that a pair is in, in both its orders. */
const widthBins = (p: number): number => binOf(p, DEFAULT_BINS) * DEFAULT_BINS + binOf(1 - p, DEFAULT_BINS);

/** Over the votes of some rows; over the rows where nobody voted. */
function meanProbability(rows: Uint32Array, probabilities: Float64Array, { positive, negative }: Outcomes) {
  const low = probabilities[rows[0]];
  let [above, votes, sum] = [0, 0, 0];
  for (const row of rows) {
    const weight = positive[row] + negative[row];
    votes += weight;
    above += weight * (probabilities[row] - low);
    sum += probabilities[row] - low;
  }
  return low + (votes > 0 ? above / votes : sum / rows.length);
}

/** The cells of rows, by logit and by probability: one and the same where neither falls as the other rises. */
export function pairCells(
  logits: Float64Array,
  probabilities: Float64Array,
  outcomes: Outcomes,
): { byLogit: PairCells; byProbability: PairCells } {
  const order = argsort(logits);
  const ascend = order.every((row, i) => i === 0 || probabilities[order[i - 1]] <= probabilities[row]);
  const byLogit = new PairCells(order, logits, probabilities, outcomes, ascend);
  if (ascend) return { byLogit, byProbability: byLogit };
  return {
    byLogit,
    byProbability: new PairCells(argsort(probabilities), probabilities, probabilities, outcomes, true),
  };
}
