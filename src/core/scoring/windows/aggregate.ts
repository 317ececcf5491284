import { AUXILIARY, type AuxScores, type PairAuxScores } from '../../data/rows.js';
import type { WindowCurve, WindowRule, WindowScore } from '../../data/score-windows.js';

/** A rule by which windows become one score; `sharpness` is that of a fitted one. */
export type Aggregation = Pick<WindowRule, 'aggregate' | 'sharpness'>;

/** How much each window counts, by its logit; the weights add up to 1. */
export function weightsOf({ aggregate, sharpness }: Aggregation, logits: readonly number[]): number[] {
  if (sharpness !== undefined) return sharpWeights(logits, sharpness);
  if (aggregate === 'mean') return logits.map(() => 1 / logits.length);
  const one = aggregate === 'last' ? logits.length - 1 : worstOf(logits);
  return logits.map((_, i) => Number(i === one));
}

/** Those in proportion to exp(-sharpness * logit), as `fitWindowRule` has them. */
function sharpWeights(logits: readonly number[], sharpness: number): number[] {
  const lowest = logits[worstOf(logits)];
  const counts = logits.map((logit) => Math.exp(-sharpness * (logit - lowest)));
  const sum = counts.reduce((a, b) => a + b, 0);
  return counts.map((each) => each / sum);
}

/** The first of the lowest. */
export const worstOf = (logits: readonly number[]): number =>
  logits.reduce((lowest, logit, i) => (logit < logits[lowest] ? i : lowest), 0);

/** Sum of values times weights; of a single value it is that value, bit for bit. */
export const weighted = (values: readonly number[], weights: readonly number[]): number =>
  values.reduce((sum, value, i) => sum + value * weights[i], 0);

/** What auxiliary heads say of windows, weighed as their logits are; undefined where there are none. */
export function weightedAux(
  each: readonly (AuxScores | undefined)[],
  weights: readonly number[],
): AuxScores | undefined {
  const [first] = each;
  if (!first) return undefined;
  return Object.fromEntries(
    AUXILIARY.filter((head) => first[head] !== undefined).map((head) => [
      head,
      weighted(
        each.map((one) => one![head]!),
        weights,
      ),
    ]),
  );
}

/** As `weightedAux`, of both sides of windows that met. */
export function weightedPairAux(
  each: readonly (PairAuxScores | undefined)[],
  weights: readonly number[],
): PairAuxScores | undefined {
  const left = weightedAux(
    each.map((one) => one?.left),
    weights,
  );
  const right = weightedAux(
    each.map((one) => one?.right),
    weights,
  );
  return left && right ? { left, right } : undefined;
}

/** A window of the left side and one of the right that are compared, and how much that counts. */
export interface Meeting {
  readonly left: number;
  readonly right: number;
  readonly weight: number;
}

/**
 * Which windows of two sides are compared: those at the same place between beginning and end, however many each side has. The
 * weights of the meetings of a window add up to its own (the north-west corner rule of transport), so of a model that decides by
 * differences of utilities the mean of all comparisons is the difference of both sides' means.
 */
export function meetings(left: readonly number[], right: readonly number[]): Meeting[] {
  const met: Meeting[] = [];
  let [i, j] = [0, 0];
  let [restLeft, restRight] = [left[0], right[0]];
  while (i < left.length && j < right.length) {
    // Rests that differ by rounding are over together.
    const weight = Math.min(restLeft, restRight);
    if (weight > ROUNDING) met.push({ left: i, right: j, weight });
    restLeft -= weight;
    restRight -= weight;
    const [isLeftOver, isRightOver] = [restLeft <= ROUNDING, restRight <= ROUNDING];
    if (isLeftOver) restLeft = left[++i];
    if (isRightOver) restRight = right[++j];
  }
  return met;
}

const ROUNDING = 1e-12;

/** The curve of an item. */
export function curveOf(curve: readonly WindowScore[]): WindowCurve {
  return { count: curve.length, worst: curve[worstOf(curve.map(({ logit }) => logit))], curve };
}
