import { argsort } from '../stats/argsort.js';
import { cellOf } from './betting.js';

/** How a score follows from a logit: points in ascending order, between which it does not decrease. */
export interface ScoreMap {
  readonly logits: readonly number[];
  readonly scores: readonly number[];
}

/** Points that are kept. */
const POINTS = 512;
/** What another processor, or single precision, may make of the same score. */
const ROUNDING = 1e-4;

/** The map behind rows; null where scores do not follow from logits alone, say by a calibrator of several groups. */
export function fitScoreMap(logits: Float64Array, scores: Float64Array): ScoreMap | null {
  if (logits.length === 0) return null;
  const order = argsort(logits);
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < order.length; i++) {
    const score = scores[order[i]];
    const tied = i > 0 && logits[order[i]] === logits[order[i - 1]];
    if (score < most - ROUNDING || (tied && Math.abs(score - scores[order[i - 1]]) > ROUNDING)) return null;
    most = Math.max(most, score);
  }
  const last = order.length - 1;
  const count = Math.min(POINTS, order.length);
  const places = Array.from({ length: count }, (_, i) => (count === 1 ? 0 : Math.round((i * last) / (count - 1))));
  return {
    logits: places.map((place) => logits[order[place]]),
    scores: places.map((place) => scores[order[place]]),
  };
}

/** Whether a score may come out of the same map: beyond its ends nothing is known but the direction. */
export function fitsScoreMap({ logits, scores }: ScoreMap, knots: Float64Array, logit: number, score: number): boolean {
  const above = cellOf(knots, logit);
  const low = above > 0 ? scores[above - 1] : Number.NEGATIVE_INFINITY;
  const at = above > 0 && logits[above - 1] === logit;
  const high = at ? scores[above - 1] : above < scores.length ? scores[above] : Number.POSITIVE_INFINITY;
  return score >= low - ROUNDING && score <= high + ROUNDING;
}
