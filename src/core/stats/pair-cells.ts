import { argsort } from './argsort.js';
import { binOf, type CalibrationBin, DEFAULT_BINS, equalMassBinsOf } from './calibration-bins.js';
import type { BinFigure } from './calibration-error.js';
import { emptyVotes, votesByCell } from './cell-votes.js';
import type { Outcomes } from './outcomes.js';
import { tieEnds } from './ranks.js';
import { type SmoothEceOfVotes, smoothEceOf } from './smooth-ece.js';
import { type ClusterStatistic, type Clusters, oncePerDraw } from './statistic.js';

/** Up to so many rows, only those that tie share a cell: what is resampled is the rows themselves. */
const EXACT_ROWS = 2 ** 13;
/**
 * Cells that more rows are resampled in. Rounding to a cell moves a replicate by some hundredths of what resampling moves it by,
 * and no interval by more than the chance of its draws; the figure itself is of the rows.
 */
const CELLS = 4096;

/** What is made of the votes of a numbered draw (see `ClusterStatistic`) is made once for all figures that ask for it. */
type OfDraw<T> = (draws: Float64Array, draw?: number) => T;

/** Everything that is resampled of pairs in cells, for one way to put them into clusters. */
interface Resampled {
  readonly votes: OfDraw<Outcomes>;
  readonly widthBins: OfDraw<CalibrationBin[]>;
  readonly massBins: OfDraw<CalibrationBin[]>;
}

/**
 * Pairs gathered into cells of neighbours, so that a resample takes one pass over the rows for all figures together, and whatever
 * they do in an order of their own is done to the cells.
 */
class PairCells {
  /** Cell of each row; cells ascend as their keys do. */
  private readonly of: Uint16Array;
  /** P(left) of each cell: the mean over its votes, as calibration errors read it. */
  private readonly probabilities: Float64Array;
  private readonly resampled = new WeakMap<Clusters, Resampled>();
  /** Of the cells in both orders, made when they are asked for. */
  private bothOrders: BothOrders | undefined;
  private smooth: SmoothEceOfVotes | undefined;

  /**
   * @param order - rows, ascending by `keys`
   * @param probabilities - of each row: where they ascend too, cells end where bins of equal width do
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
    const most = order.length > EXACT_ROWS ? Math.ceil(order.length / CELLS) : 1;
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
    this.probabilities = Float64Array.from(means, mirrorable);
  }

  /** AUC of the keys. */
  auc(clusters: Clusters): ClusterStatistic {
    const { votes } = this.over(clusters);
    return (draws, draw) => aucOfCells(votes(draws, draw));
  }

  /** A figure of bins of equal width, or of equal numbers of votes, over both orders of every pair. */
  ofBins(clusters: Clusters, kind: 'width' | 'mass', figure: BinFigure): ClusterStatistic {
    const { widthBins, massBins } = this.over(clusters);
    const binsOf = kind === 'width' ? widthBins : massBins;
    return (draws, draw) => {
      const bins = binsOf(draws, draw);
      return bins.length > 0 ? figure(bins) : null;
    };
  }

  /** Smooth ECE over both orders of every pair. */
  smoothEce(clusters: Clusters): ClusterStatistic {
    const { votes } = this.over(clusters);
    this.smooth ??= smoothEceOf(this.probabilities, { bothOrders: true });
    const { smooth } = this;
    return (draws, draw) => {
      const { positive, negative } = votes(draws, draw);
      return smooth(positive, negative);
    };
  }

  private over(clusters: Clusters): Resampled {
    const known = this.resampled.get(clusters);
    if (known) return known;
    const add = votesByCell({ of: this.of, count: this.probabilities.length }, this.outcomes, clusters);
    const shared = emptyVotes(this.probabilities.length);
    const votes = oncePerDraw((draws, draw) => {
      const sums = draw === undefined ? emptyVotes(this.probabilities.length) : shared;
      add(draws, sums);
      return sums;
    });
    this.bothOrders ??= new BothOrders(this.probabilities);
    const { bothOrders } = this;
    const made = {
      votes,
      widthBins: oncePerDraw((draws, draw) => bothOrders.widthBins(votes(draws, draw))),
      massBins: oncePerDraw((draws, draw) => bothOrders.massBins(votes(draws, draw))),
    };
    this.resampled.set(clusters, made);
    return made;
  }
}

/** As `prepareAuc`, of votes in cells: those of one cell tie. */
function aucOfCells({ positive: left, negative: right }: Outcomes): number | null {
  let [concordant, positives, negatives] = [0, 0, 0];
  for (let cell = 0; cell < left.length; cell++) {
    concordant += left[cell] * (negatives + right[cell] / 2);
    positives += left[cell];
    negatives += right[cell];
  }
  return positives > 0 && negatives > 0 ? concordant / (positives * negatives) : null;
}

/** Both orders of every cell: as it is, and from the other side with the votes swapped. */
class BothOrders {
  /** Neighbouring cells that are in the same bins of equal width, as they are and from the other side. */
  private readonly stretches: readonly { readonly end: number; readonly bin: number; readonly otherBin: number }[];
  /** All in ascending order of their probability: the number of a cell, or so much more from the other side. */
  private readonly order: Uint32Array;
  private readonly ends: Uint8Array;
  /** Of each of them. */
  private readonly forecasts: Float64Array;
  private readonly votes: Float64Array;
  private readonly positives: Float64Array;

  constructor(private readonly probabilities: Float64Array) {
    const { length } = probabilities;
    this.stretches = stretchesOf(probabilities);
    const both = new Float64Array(2 * length);
    both.set(probabilities);
    for (let cell = 0; cell < length; cell++) both[length + cell] = 1 - probabilities[cell];
    this.order = argsort(both);
    this.ends = tieEnds(both, this.order);
    this.forecasts = new Float64Array(2 * length);
    for (let i = 0; i < 2 * length; i++) this.forecasts[i] = both[this.order[i]];
    this.votes = new Float64Array(2 * length);
    this.positives = new Float64Array(2 * length);
  }

  widthBins({ positive: left, negative: right }: Outcomes): CalibrationBin[] {
    const { probabilities, stretches } = this;
    const [votes, forecasts, positives] = [
      new Float64Array(DEFAULT_BINS),
      new Float64Array(DEFAULT_BINS),
      new Float64Array(DEFAULT_BINS),
    ];
    let cell = 0;
    for (const { end, bin, otherBin } of stretches) {
      let [lefts, rights, forecast] = [0, 0, 0];
      for (; cell < end; cell++) {
        lefts += left[cell];
        rights += right[cell];
        forecast += (left[cell] + right[cell]) * probabilities[cell];
      }
      votes[bin] += lefts + rights;
      forecasts[bin] += forecast;
      positives[bin] += lefts;
      votes[otherBin] += lefts + rights;
      forecasts[otherBin] += lefts + rights - forecast;
      positives[otherBin] += rights;
    }
    const bins: CalibrationBin[] = [];
    for (let i = 0; i < DEFAULT_BINS; i++) {
      const weight = votes[i];
      if (weight > 0) bins.push({ weight, forecast: forecasts[i] / weight, rate: positives[i] / weight });
    }
    return bins;
  }

  massBins({ positive: left, negative: right }: Outcomes): CalibrationBin[] {
    const { order, ends, forecasts, votes, positives } = this;
    const { length } = left;
    for (let i = 0; i < order.length; i++) {
      const mirrored = order[i] >= length;
      const cell = mirrored ? order[i] - length : order[i];
      votes[i] = left[cell] + right[cell];
      positives[i] = mirrored ? right[cell] : left[cell];
    }
    return equalMassBinsOf({ votes, forecasts, positives, ends }, DEFAULT_BINS);
  }
}

function stretchesOf(probabilities: Float64Array) {
  const stretches: { end: number; bin: number; otherBin: number }[] = [];
  for (const [cell, p] of probabilities.entries()) {
    const [bin, otherBin] = [binOf(p, DEFAULT_BINS), binOf(1 - p, DEFAULT_BINS)];
    const last = stretches.at(-1);
    if (last?.bin === bin && last.otherBin === otherBin) last.end = cell + 1;
    else stretches.push({ end: cell + 1, bin, otherBin });
  }
  return stretches;
}

/** 1 - (1 - p) differs from p by rounding only, and makes p and 1 - p mirror each other exactly: ties stay ties. */
export const mirrorable = (p: number): number => 1 - (1 - p);

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
export interface CellsOfPairs {
  readonly byLogit: PairCells;
  readonly byProbability: PairCells;
}

/** @param probabilities - of each row, `mirrorable` */
export function pairCells(logits: Float64Array, probabilities: Float64Array, outcomes: Outcomes): CellsOfPairs {
  const order = argsort(logits);
  const together = order.every((row, i) => i === 0 || isInStep(logits, probabilities, order[i - 1], row));
  const byLogit = new PairCells(order, logits, probabilities, outcomes, together);
  if (together) return { byLogit, byProbability: byLogit };
  return {
    byLogit,
    byProbability: new PairCells(argsort(probabilities), probabilities, probabilities, outcomes, true),
  };
}

/** Whether of two neighbouring rows neither value falls as the other rises, and equal logits have equal probabilities. */
const isInStep = (logits: Float64Array, probabilities: Float64Array, below: number, row: number): boolean =>
  logits[below] === logits[row]
    ? probabilities[below] === probabilities[row]
    : probabilities[below] <= probabilities[row];
