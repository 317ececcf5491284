import type { Beliefs, Prior } from './beliefs.js';
import { fitTies, type PairVotes } from './davidson.js';

/** How far votes are believed to be from the model, before and after there are any. */
export interface Scale {
  /** Of the model's utilities. */
  readonly slope: number;
  /** Standard deviation of utilities about that. */
  readonly deviation: number;
  /** See `outcomeOf`. */
  readonly ties: number;
}

export interface ScaleOptions {
  /** The model's utilities; 0 where there is none. */
  readonly utilities: Float64Array;
  /** Given instead of fitted. */
  readonly deviation?: number;
  /** The logits are calibrated: their scale is that of votes. */
  readonly calibrated: boolean;
}

/** Fewer judged items than this say too little of a scale. */
const FEWEST_ITEMS = 10;
const RANGE = { deviation: [0.3, 5], slope: [0, 20] } as const;
const STEPS = 5;

const clamp = (value: number, [low, high]: readonly [number, number]): number => Math.min(high, Math.max(low, value));

export const FIRST_SCALE: Scale = { slope: 1, deviation: 2, ties: 0 };

export const priorOf = ({ utilities }: ScaleOptions, { slope, deviation, ties }: Scale): Prior => ({
  mean: utilities.map((value) => slope * value),
  variance: deviation ** 2,
  ties,
});

/**
 * Steps of expectation and maximisation (Dempster, Laird and Rubin 1977) of the prior's scale by the votes so far: what the model's
 * utilities are times, and how far those of people lie about them. What few votes say of either is little.
 *
 * @returns the scale; `beliefs` is fitted under it
 */
export function fitScale(beliefs: Beliefs, scale: Scale, options: ScaleOptions, steps = STEPS): Scale {
  let now = scale;
  const items = [...beliefs.touched()];
  if (items.length < FEWEST_ITEMS) return now;
  const { utilities, calibrated } = options;
  for (let step = 0; step < steps; step++) {
    let [above, below, second] = [0, 0, 0];
    for (const item of items) {
      above += beliefs.meanOf(item) * utilities[item];
      below += utilities[item] ** 2;
    }
    const slope = calibrated || below === 0 ? now.slope : clamp(above / below, RANGE.slope);
    for (const item of items)
      second += (beliefs.meanOf(item) - slope * utilities[item]) ** 2 + beliefs.varianceOf(item);
    const deviation = options.deviation ?? clamp(Math.sqrt(second / items.length), RANGE.deviation);
    now = { slope, deviation, ties: tiesOf(beliefs) };
    beliefs.refit(priorOf(options, now));
  }
  return now;
}

function tiesOf(beliefs: Beliefs): number {
  const differences: number[] = [];
  const votes: PairVotes[] = [];
  for (const pair of beliefs.judged()) {
    differences.push(beliefs.difference(pair.left, pair.right).mean);
    votes.push(pair.votes);
  }
  return fitTies(differences, votes);
}
