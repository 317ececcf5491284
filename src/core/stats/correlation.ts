import { argsort } from './argsort.js';
import { assertFinite, assertLength } from './outcomes.js';
import { averageRanks, tieEnds } from './ranks.js';
import type { Statistic } from './statistic.js';

/** Weighted Pearson correlation; null where either side does not vary. */
function weightedPearson(x: Float64Array, y: Float64Array, weights?: Float64Array): number | null {
  let total = 0;
  let meanX = 0;
  let meanY = 0;
  let variesX = false;
  let variesY = false;
  let first = -1; // the first row that counts: rounding makes a constant vary about its mean, so compare instead
  for (let i = 0; i < x.length; i++) {
    const weight = weights === undefined ? 1 : weights[i];
    if (!(weight > 0)) continue;
    if (first < 0) first = i;
    variesX ||= x[i] !== x[first];
    variesY ||= y[i] !== y[first];
    total += weight;
    meanX += weight * x[i];
    meanY += weight * y[i];
  }
  if (!variesX || !variesY) return null;
  meanX /= total;
  meanY /= total;
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (let i = 0; i < x.length; i++) {
    const weight = weights === undefined ? 1 : weights[i];
    const dx = x[i] - meanX;
    const dy = y[i] - meanY;
    xx += weight * dx * dx;
    yy += weight * dy * dy;
    xy += weight * dx * dy;
  }
  const correlation = xy / (Math.sqrt(xx) * Math.sqrt(yy));
  // Squares of numbers near the ends of float64's range under- or overflow.
  return Number.isFinite(correlation) ? Math.min(1, Math.max(-1, correlation)) : null;
}

/**
 * Pearson correlation as a function of row weights; null where either side is constant.
 *
 * @throws RangeError if a number is not finite
 */
export function preparePearson(x: Float64Array, y: Float64Array): Statistic {
  assertLength('y', y, x.length);
  assertFinite('x', x);
  assertFinite('y', y);
  return (weights) => weightedPearson(x, y, weights);
}

/** Writes the middle of each tie group's stretch of weight: the average rank, less one half. */
function writeWeightedRanks(order: Uint32Array, ends: Uint8Array, weights: Float64Array, ranks: Float64Array): void {
  let below = 0;
  let tied = 0;
  let start = 0;
  for (let i = 0; i < order.length; i++) {
    tied += weights[order[i]];
    if (ends[i] === 0) continue;
    const rank = below + tied / 2;
    for (; start <= i; start++) ranks[order[start]] = rank;
    below += tied;
    tied = 0;
  }
}

/**
 * Spearman's rank correlation as a function of row weights, both sides sorted once; null where either side is constant.
 * Infinities are ordered as numbers.
 *
 * @throws RangeError if a number is NaN
 */
export function prepareSpearman(x: Float64Array, y: Float64Array): Statistic {
  assertLength('y', y, x.length);
  const sides = [x, y].map((values) => {
    const order = argsort(values);
    return { order, ends: tieEnds(values, order), ranks: new Float64Array(values.length) };
  });
  const once = new Float64Array(x.length).fill(1);
  return (weights = once) => {
    for (const { order, ends, ranks } of sides) writeWeightedRanks(order, ends, weights, ranks);
    return weightedPearson(sides[0].ranks, sides[1].ranks, weights);
  };
}

/** Pearson correlation; null where either side is constant. @throws RangeError if a number is not finite */
export const pearson = (x: Float64Array, y: Float64Array): number | null => preparePearson(x, y)();

/**
 * Spearman's rank correlation, ties by average rank; null where either side is constant.
 *
 * @throws RangeError if a number is NaN
 * @see scipy.stats.spearmanr
 */
export function spearman(x: Float64Array, y: Float64Array): number | null {
  assertLength('y', y, x.length);
  return weightedPearson(averageRanks(x), averageRanks(y));
}
