import type { Percentile } from '../data/rows.js';
import { sha256, share } from '../documents/parts.js';
import { MOST_QUANTILES, type Placing, placingSchema } from '../onnx/placing.js';
import { wilsonInterval } from '../stats/interval.js';
import type * as z from '../zod.js';

/** Below it an interval is wider than a tenth of the set at its middle. */
const FEW_SCORES = 400;

/** What other scores are compared with: part of a calibrator file. */
export const referenceSchema = placingSchema.safeExtend({
  /** Most that a share may be off for what was left out. */
  error: share,
  /** Of the file of scores. */
  scoresSha256: sha256,
  /** The model whose scores they are; null where they name none. */
  modelSha256: sha256.nullable(),
});

export type Reference = z.infer<typeof referenceSchema>;

/**
 * The quantiles that stand for a set of scores.
 * @throws RangeError for no scores, or one that is not finite
 */
export function quantilesOf(logits: Float64Array, of: Reference['of']): Placing & Pick<Reference, 'error'> {
  const n = logits.length;
  if (n === 0 || !logits.every(Number.isFinite)) throw new RangeError('a reference is of one finite score or more');
  const sorted = (of === 'pairs' ? logits.map(Math.abs) : logits.slice()).sort();
  const kept = Math.min(n, MOST_QUANTILES);
  const ranks = Array.from({ length: kept }, (_, i) => rankOf(i, n, kept));
  const between = ranks.reduce((most, rank, i) => (i === 0 ? 0 : Math.max(most, rank - ranks[i - 1] - 1)), 0);
  return { of, n, quantiles: ranks.map((rank) => sorted[rank]), error: between / n };
}

/** The rank, from 0, of the i-th of the scores that were kept. */
const rankOf = (i: number, n: number, kept: number): number =>
  kept === 1 ? 0 : Math.round((i * (n - 1)) / (kept - 1));

/**
 * Where a score stands among those of the reference.
 *
 * The interval is Wilson's (1927) for the share of lower scores, a binomial count whatever the scores are distributed like; where
 * scores between two kept ones were left out, its ends take all of them for higher and for lower. The set is taken as drawn one by
 * one: of several items a prompt, the truth is wider.
 */
export function placeIn({ of, n, quantiles }: Placing, logit: number): Percentile {
  const value = of === 'pairs' ? Math.abs(logit) : logit;
  const at = countBelow(quantiles, value);
  const kept = quantiles.length;
  const fewest = at === 0 ? 0 : rankOf(at - 1, n, kept) + 1;
  const most = at === kept ? n : rankOf(at, n, kept);
  const between = fewest === most ? 0 : (value - quantiles[at - 1]) / (quantiles[at] - quantiles[at - 1]);
  return {
    below: (fewest + between * (most - fewest)) / n,
    low: wilsonInterval(fewest, n)[0],
    high: wilsonInterval(most, n)[1],
    n,
  };
}

/** How many of the values in ascending order are less than this. */
function countBelow(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What is worth knowing of a reference, one sentence each. */
export function referenceWarnings({ n, modelSha256 }: Reference, model: string | null): string[] {
  return [
    ...(n < FEW_SCORES ? [`The reference set has ${n} scores: see the intervals of what is placed in it.`] : []),
    ...(modelSha256 !== null && model !== null && modelSha256 !== model
      ? ['The scores of the reference set are of another model: shares of it hold only where both are on one scale.']
      : []),
  ];
}
