import { argsort } from './argsort.js';
import type { Interval } from './interval.js';
import { normalQuantile } from './normal.js';
import { assertLength, assertOutcomes, type Outcomes } from './outcomes.js';

export interface AucEstimate {
  readonly auc: number;
  readonly standardError: number;
  /** Normal interval, cut to [0, 1]. */
  readonly ci: Interval;
}

interface Placements {
  readonly positives: number;
  readonly negatives: number;
  /** Share of negatives below a row's score, ties one half. */
  readonly ofPositive: Float64Array;
  /** Share of positives above a row's score, ties one half. */
  readonly ofNegative: Float64Array;
}

function placements(scores: Float64Array, { positive, negative }: Outcomes): Placements {
  const order = argsort(scores);
  const positives = positive.reduce((sum, value) => sum + value, 0);
  const negatives = negative.reduce((sum, value) => sum + value, 0);
  const ofPositive = new Float64Array(order.length);
  const ofNegative = new Float64Array(order.length);
  let positivesBelow = 0;
  let negativesBelow = 0;
  for (let start = 0; start < order.length; ) {
    let end = start;
    let tiedPositive = 0;
    let tiedNegative = 0;
    for (; end < order.length && scores[order[end]] === scores[order[start]]; end++) {
      tiedPositive += positive[order[end]];
      tiedNegative += negative[order[end]];
    }
    const below = (negativesBelow + tiedNegative / 2) / negatives;
    const above = (positives - positivesBelow - tiedPositive / 2) / positives;
    for (let i = start; i < end; i++) {
      ofPositive[order[i]] = below;
      ofNegative[order[i]] = above;
    }
    positivesBelow += tiedPositive;
    negativesBelow += tiedNegative;
    start = end;
  }
  return { positives, negatives, ofPositive, ofNegative };
}

/** Variance when every vote is an observation of its own. */
function independentVariance({ positive, negative }: Outcomes, at: Placements, auc: number): number {
  let positiveSquares = 0;
  let negativeSquares = 0;
  for (let i = 0; i < positive.length; i++) {
    positiveSquares += positive[i] * (at.ofPositive[i] - auc) ** 2;
    negativeSquares += negative[i] * (at.ofNegative[i] - auc) ** 2;
  }
  const { positives, negatives } = at;
  return positiveSquares / ((positives - 1) * positives) + negativeSquares / ((negatives - 1) * negatives);
}

/** Variance when votes of one cluster depend on each other. */
function clusteredVariance(outcomes: Outcomes, at: Placements, auc: number, clusterOf: Int32Array): number {
  const clusters = clusterOf.reduce((most, code) => Math.max(most, code + 1), 0);
  const positiveSums = new Float64Array(clusters);
  const negativeSums = new Float64Array(clusters);
  const hasPositive = new Uint8Array(clusters);
  const hasNegative = new Uint8Array(clusters);
  clusterOf.forEach((cluster, i) => {
    positiveSums[cluster] += outcomes.positive[i] * (at.ofPositive[i] - auc);
    negativeSums[cluster] += outcomes.negative[i] * (at.ofNegative[i] - auc);
    if (outcomes.positive[i] > 0) hasPositive[cluster] = 1;
    if (outcomes.negative[i] > 0) hasNegative[cluster] = 1;
  });
  const count = (flags: Uint8Array) => flags.reduce((sum, flag) => sum + flag, 0);
  const bessel = (n: number) => n / (n - 1);
  const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const both = count(hasPositive.map((flag, i) => flag | hasNegative[i]));
  const { positives, negatives } = at;
  return (
    (bessel(count(hasPositive)) * dot(positiveSums, positiveSums)) / positives ** 2 +
    (bessel(count(hasNegative)) * dot(negativeSums, negativeSums)) / negatives ** 2 +
    (2 * bessel(both) * dot(positiveSums, negativeSums)) / (positives * negatives)
  );
}

/**
 * AUC with its analytic standard error: DeLong's, or with `clusterOf` Obuchowski's extension to clustered rows, which is
 * DeLong's where every vote is a cluster. Votes are counts: a row with three counts as three rows.
 *
 * @param clusterOf - cluster of each row, codes from 0
 * @returns null where a class has fewer than two votes (or lies in fewer than two clusters): there is no variance
 * @throws RangeError if a score is NaN or a vote count is negative or not finite
 * @see DeLong, DeLong and Clarke-Pearson (1988); Obuchowski (1997), "Nonparametric analysis of clustered ROC curve data"
 */
export function delongAuc(
  scores: Float64Array,
  outcomes: Outcomes,
  { clusterOf, level = 0.95 }: { clusterOf?: Int32Array; level?: number } = {},
): AucEstimate | null {
  assertOutcomes(outcomes, scores.length);
  if (clusterOf !== undefined) assertLength('clusterOf', clusterOf, scores.length);
  const at = placements(scores, outcomes);
  if (!(at.positives > 1 && at.negatives > 1)) return null;
  const auc = outcomes.positive.reduce((sum, votes, i) => sum + votes * at.ofPositive[i], 0) / at.positives;
  const variance = clusterOf ? clusteredVariance(outcomes, at, auc, clusterOf) : independentVariance(outcomes, at, auc);
  if (!Number.isFinite(variance)) return null;
  const standardError = Math.sqrt(Math.max(variance, 0));
  const half = normalQuantile((1 + level) / 2) * standardError;
  return { auc, standardError, ci: [Math.max(0, auc - half), Math.min(1, auc + half)] };
}
