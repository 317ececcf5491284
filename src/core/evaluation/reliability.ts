import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { argsort } from '../stats/argsort.js';
import { type BootstrapOptions, type Estimate, estimateOf, replicate } from '../stats/bootstrap.js';
import { inBlocks, ratioAmong } from '../stats/statistic.js';

/** Rows that a model says about the same of, and what raters said of them. */
export interface ReliabilityBin {
  /** Votes, or items. */
  readonly weight: number;
  /** Mean prediction: the probability of the predicted winner, or the place on the human scale. */
  readonly forecast: number;
  /** What raters said: the share of votes for that winner, or the mean score. */
  readonly observed: Estimate;
}

/** Fewer than calibration errors have: a picture is read bin by bin, and each wants an interval that says something. */
export const RELIABILITY_BINS = 10;

/** One prediction a row, with what was observed as a sum over `weight` judgements. */
interface Judgements {
  readonly forecast: Float64Array;
  readonly weight: Float64Array;
  readonly observed: Float64Array;
}

/**
 * The reliability diagram of some predictions, in bins of about equally many judgements. Pairs are seen from the side that is
 * predicted to win: which side was called left says nothing. Intervals resample clusters; the bins stay where they are.
 */
export async function reliabilityOf(
  joined: JoinedPairs | JoinedAbsolutes,
  values: Float64Array,
  options: BootstrapOptions,
): Promise<ReliabilityBin[]> {
  const judgements = joined.kind === 'pair' ? ofWinners(joined, values) : ofItems(joined, values);
  const bins = equalMassBins(judgements, RELIABILITY_BINS);
  const clusters = { of: joined.cluster, count: joined.clusterCount };
  const terms = { numerator: judgements.observed, denominator: judgements.weight };
  const statistics = Array.from({ length: bins.count }, (_, bin) => ratioAmong(terms, bins.of, bin));
  const replicates = await replicate(statistics, inBlocks(clusters, options.seed), options);
  return replicates.map((one, bin) => {
    let [weight, forecast] = [0, 0];
    for (let row = 0; row < bins.of.length; row++) {
      if (bins.of[row] !== bin) continue;
      weight += judgements.weight[row];
      forecast += judgements.weight[row] * judgements.forecast[row];
    }
    return { weight, forecast: forecast / weight, observed: estimateOf(one, clusters, options.level) };
  });
}

function ofWinners({ votesLeft, votesRight }: JoinedPairs, probabilities: Float64Array): Judgements {
  const weight = votesLeft.map((votes, row) => votes + votesRight[row]);
  return {
    forecast: probabilities.map((p) => Math.max(p, 1 - p)),
    weight,
    observed: probabilities.map((p, row) => {
      if (p === 0.5) return weight[row] / 2; // nobody is predicted to win
      return p > 0.5 ? votesLeft[row] : votesRight[row];
    }),
  };
}

const ofItems = ({ score }: JoinedAbsolutes, predicted: Float64Array): Judgements => ({
  forecast: predicted,
  weight: new Float64Array(score.length).fill(1),
  observed: score,
});

/** Rows of equal forecast share a bin, so there may be fewer; rows without judgements are in none (-1). */
function equalMassBins({ forecast, weight }: Judgements, most: number): { of: Int32Array; count: number } {
  const order = judgedOf(argsort(forecast), weight);
  const total = order.reduce((sum, row) => sum + weight[row], 0);
  const of = new Int32Array(forecast.length).fill(-1);
  let [count, seen] = [0, 0];
  for (let i = 0; i < order.length; i++) {
    const row = order[i];
    of[row] = count;
    seen += weight[row];
    const tied = i + 1 < order.length && forecast[order[i + 1]] === forecast[row];
    if (!tied && seen * most >= (count + 1) * total) count = Math.floor((seen * most) / total);
  }
  return renumbered(of);
}

/** The rows of some weight. A loop: `filter` makes an object of each row on the way. */
function judgedOf(rows: Uint32Array, weight: Float64Array): Uint32Array {
  let count = 0;
  for (const row of rows) if (weight[row] > 0) rows[count++] = row;
  return rows.subarray(0, count);
}

/** Codes numbered anew without gaps, in their order. */
function renumbered(codes: Int32Array): { of: Int32Array; count: number } {
  const used = [...new Set(codes)].filter((code) => code >= 0).sort((a, b) => a - b);
  const place = new Map(used.map((code, i) => [code, i]));
  return { of: codes.map((code) => place.get(code) ?? -1), count: used.length };
}
