import { argsort } from './argsort.js';
import { assertOutcomes, assertProbabilities, type Outcomes } from './outcomes.js';
import { tieEnds } from './ranks.js';
import { type Clusters, oncePerDraw } from './statistic.js';

/** Bins of every calibration error unless a caller says otherwise (Guo et al. 2017). */
export const DEFAULT_BINS = 15;

/** Votes and forecasts of each bin; bins nobody voted in are not listed. */
export interface CalibrationBin {
  /** Votes in the bin. */
  readonly weight: number;
  /** Mean probability over those votes. */
  readonly forecast: number;
  /** Share of positive votes. */
  readonly rate: number;
}

/** Bins as a function of how often each row, or each cluster, counts. */
export interface Binning {
  /** Without weights every row counts once. */
  ofRows(weights?: Float64Array): CalibrationBin[];
  /** The bins of a numbered draw (see `ClusterStatistic`) are counted once, whatever number of statistics is made of them. */
  ofClusters(clusters: Clusters): (draws: Float64Array, draw?: number) => CalibrationBin[];
}

/**
 * @param order - the rows by their probability
 * @param count - gets counts, and where in them the count of each row in that order is; without counts every row counts once
 */
function binning(
  order: Uint32Array,
  count: (counts: Float64Array | undefined, at: Uint32Array) => CalibrationBin[],
): Binning {
  const prepared = new WeakMap<Clusters, ReturnType<Binning['ofClusters']>>();
  return {
    ofRows: (weights) => count(weights, order),
    ofClusters: (clusters) => {
      const known = prepared.get(clusters);
      if (known) return known;
      // A count a cluster is a short table, which stays in the cache where weights of a million rows in random order do not.
      const clusterAt = order.map((row) => clusters.of[row]);
      const made = oncePerDraw((draws) => count(draws, clusterAt));
      prepared.set(clusters, made);
      return made;
    },
  };
}

/** Rows in the order of their probabilities, with their votes. */
type SortedRows = ReturnType<typeof sortByProbability>;

/** @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite */
function sortByProbability(probabilities: Float64Array, outcomes: Outcomes) {
  assertProbabilities(probabilities);
  assertOutcomes(outcomes, probabilities.length);
  const { positive, negative } = outcomes;
  const order = argsort(probabilities);
  const [votes, forecasts, positives] = [1, 2, 3].map(() => new Float64Array(order.length));
  for (let i = 0; i < order.length; i++) {
    const row = order[i];
    votes[i] = positive[row] + negative[row];
    forecasts[i] = probabilities[row];
    positives[i] = positive[row];
  }
  return { probabilities, order, ends: tieEnds(probabilities, order), votes, forecasts, positives };
}

const binOfSums = (votes: number, forecasts: number, positives: number): CalibrationBin => ({
  weight: votes,
  forecast: forecasts / votes,
  rate: positives / votes,
});

/** Which of `bins` equal parts of [0, 1] a probability is in: (i / bins, (i + 1) / bins], 0 in the first. */
export function binOf(probability: number, bins: number): number {
  const guess = Math.max(0, Math.ceil(probability * bins) - 1);
  // The product is rounded: the edges themselves decide.
  if (guess > 0 && probability <= guess / bins) return guess - 1;
  return guess < bins - 1 && probability > (guess + 1) / bins ? guess + 1 : guess;
}

/**
 * Bins of equal width, closed on the right.
 *
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 */
export const prepareEqualWidthBins = (probabilities: Float64Array, outcomes: Outcomes, bins = DEFAULT_BINS): Binning =>
  equalWidthBins(sortByProbability(probabilities, outcomes), bins);

function equalWidthBins({ probabilities, order, votes, forecasts, positives }: SortedRows, bins: number): Binning {
  const binEnds = new Uint32Array(bins);
  for (const row of order) binEnds[binOf(probabilities[row], bins)]++;
  for (let bin = 1; bin < bins; bin++) binEnds[bin] += binEnds[bin - 1];
  return binning(order, (counts, at) => {
    const finished: CalibrationBin[] = [];
    let i = 0;
    for (const end of binEnds) {
      let [inBin, forecast, positive] = [0, 0, 0];
      for (; i < end; i++) {
        const weight = counts === undefined ? 1 : counts[at[i]];
        inBin += weight * votes[i];
        forecast += weight * votes[i] * forecasts[i];
        positive += weight * positives[i];
      }
      if (inBin > 0) finished.push(binOfSums(inBin, forecast, positive));
    }
    return finished;
  });
}

/**
 * Bins of equal numbers of votes: a bin closes at the first probability at which the votes so far reach the next of `bins`
 * equal shares. Equal probabilities stay together, so there may be fewer bins.
 *
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 */
export const prepareEqualMassBins = (probabilities: Float64Array, outcomes: Outcomes, bins = DEFAULT_BINS): Binning =>
  equalMassBins(sortByProbability(probabilities, outcomes), bins);

function equalMassBins({ order, ends, votes, forecasts, positives }: SortedRows, bins: number): Binning {
  return binning(order, (counts, at) => {
    if (counts === undefined) return equalMassBinsOf({ votes, forecasts, positives, ends }, bins);
    const weighted = (values: Float64Array) => values.map((value, i) => counts[at[i]] * value);
    const [weights, positive] = [weighted(votes), weighted(positives)];
    return equalMassBinsOf({ votes: weights, forecasts, positives: positive, ends }, bins);
  });
}

/** Rows in the order of their probabilities: these, votes, positive votes, and where equal probabilities end. */
interface AscendingRows {
  readonly forecasts: Float64Array;
  readonly votes: Float64Array;
  readonly positives: Float64Array;
  readonly ends: Uint8Array;
}

/** Bins of equal numbers of votes; see `prepareEqualMassBins`. */
export function equalMassBinsOf({ forecasts, votes, positives, ends }: AscendingRows, bins: number): CalibrationBin[] {
  let total = 0;
  for (let i = 0; i < votes.length; i++) total += votes[i];
  const open = new EqualMassBins(total, bins);
  for (let i = 0; i < votes.length; i++) open.add(votes[i], forecasts[i], positives[i], ends[i] === 1);
  return open.finish();
}

/** Bins of equal numbers of votes, filled row by row. */
class EqualMassBins {
  private readonly finished: CalibrationBin[] = [];
  /** Votes in finished bins. */
  private seen = 0;
  /** Votes times bins at which the bin that is open closes. */
  private fullAt: number;
  private inBin = 0;
  private forecast = 0;
  private positive = 0;

  constructor(
    private readonly total: number,
    private readonly bins: number,
  ) {
    this.fullAt = total;
  }

  /** @param mayClose - whether the next row has another forecast */
  add(votes: number, forecast: number, positives: number, mayClose: boolean): void {
    this.inBin += votes;
    this.forecast += votes * forecast;
    this.positive += positives;
    if (mayClose && this.inBin > 0 && (this.seen + this.inBin) * this.bins >= this.fullAt) this.close();
  }

  finish(): CalibrationBin[] {
    if (this.inBin > 0) this.close();
    return this.finished;
  }

  private close(): void {
    this.finished.push(binOfSums(this.inBin, this.forecast, this.positive));
    this.seen += this.inBin;
    this.fullAt = (Math.floor((this.seen * this.bins) / this.total) + 1) * this.total;
    this.inBin = this.forecast = this.positive = 0;
  }
}

/**
 * Both kinds of bins over both orders of every row, as `prepareBinnings` has them of the rows followed by their mirror images, to the
 * last bit: the mirror images are met from the other end of the same order, so that very many rows are neither doubled nor copied.
 *
 * @param probabilities - as `mirrorable` leaves them: those that differ still do seen from the other side
 * @throws RangeError if a probability is not in [0, 1] or a vote count is negative or not finite
 */
export function binsOfBothOrders(
  probabilities: Float64Array,
  outcomes: Outcomes,
  bins = DEFAULT_BINS,
): { readonly width: CalibrationBin[]; readonly mass: CalibrationBin[] } {
  assertProbabilities(probabilities);
  assertOutcomes(outcomes, probabilities.length);
  const { positive, negative } = outcomes;
  const order = argsort(probabilities);
  const visit = (take: (votes: number, forecast: number, positives: number, mayClose: boolean) => void): void =>
    visitBothOrders(probabilities, order, (row, forecast, mirrored, isLast) =>
      take(
        mirrored ? negative[row] + positive[row] : positive[row] + negative[row],
        forecast,
        mirrored ? negative[row] : positive[row],
        isLast,
      ),
    );
  const sums = Array.from({ length: bins }, () => ({ votes: 0, forecast: 0, positive: 0 }));
  let total = 0;
  visit((votes, forecast, positives) => {
    total += votes;
    const bin = sums[binOf(forecast, bins)];
    bin.votes += votes;
    bin.forecast += votes * forecast;
    bin.positive += positives;
  });
  const mass = new EqualMassBins(total, bins);
  visit((votes, forecast, positives, mayClose) => mass.add(votes, forecast, positives, mayClose));
  return {
    width: sums.filter(({ votes }) => votes > 0).map((bin) => binOfSums(bin.votes, bin.forecast, bin.positive)),
    mass: mass.finish(),
  };
}

/** Rows and their mirror images by ascending probability; of equal ones the rows first, each in the order of the rows. */
function visitBothOrders(
  probabilities: Float64Array,
  order: Uint32Array,
  take: (row: number, forecast: number, mirrored: boolean, isLast: boolean) => void,
): void {
  const n = order.length;
  const at = (place: number): number => probabilities[order[place]];
  const runFrom = (end: number): number => {
    let start = end - 1;
    while (start > 0 && at(start - 1) === at(end - 1)) start--;
    return start;
  };
  let next = 0;
  let end = n; // of the run of equal probabilities whose mirror images come next
  let start = n > 0 ? runFrom(n) : 0;
  let place = start; // in that run, from its start on
  const other = (): number => (end > 0 ? 1 - at(start) : Number.POSITIVE_INFINITY);
  for (let taken = 0; taken < 2 * n; taken++) {
    const [own, mirrored] = [next < n ? at(next) : Number.POSITIVE_INFINITY, other()];
    const isMirrored = mirrored < own;
    const forecast = isMirrored ? mirrored : own;
    const row = isMirrored ? order[place++] : order[next++];
    if (isMirrored && place === end) {
      end = start;
      start = end > 0 ? runFrom(end) : 0;
      place = start;
    }
    take(row, forecast, isMirrored, (next >= n || at(next) !== forecast) && other() !== forecast);
  }
}

/** Both kinds of bins over rows that are sorted once. @throws RangeError as each of them */
export function prepareBinnings(
  probabilities: Float64Array,
  outcomes: Outcomes,
): { readonly width: Binning; readonly mass: Binning } {
  const rows = sortByProbability(probabilities, outcomes);
  return { width: equalWidthBins(rows, DEFAULT_BINS), mass: equalMassBins(rows, DEFAULT_BINS) };
}
