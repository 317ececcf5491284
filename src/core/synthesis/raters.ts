import { Random } from '../bytes/random.js';

/** A simulated rater, in units of utility (one step of damage is 1). */
export interface Rater {
  readonly name: string;
  /** Inverse scale of the noise: the larger, the more often the better item is seen. */
  readonly reliability: number;
  /** Added to every difference: positive prefers the left. */
  readonly sideBias: number;
  /** A perceived difference below it is called a tie. */
  readonly tieThreshold: number;
}

/** Probabilities of a rater's three answers; they sum to 1. */
export interface VoteProbabilities {
  readonly left: number;
  readonly tie: number;
  readonly right: number;
}

/** The noise model in one sentence, for the manifest. */
export const NOISE_MODEL =
  'Bradley-Terry with ties (Rao and Kupper 1967): perceived = utility(left) - utility(right) + sideBias + Logistic(0, 1 / reliability); ' +
  'a tie where |perceived| < tieThreshold, else its sign';

const RELIABILITY = { least: 1.5, most: 4 }; // one step apart: from 0.7 to 0.95 of the votes that are not ties
const SIDE_BIAS_SD = 0.08; // a few votes in a hundred, as in annotation studies with shown sides
const TIE_THRESHOLD = { least: 0.3, most: 0.7 }; // equal items: half of the votes are ties; one step apart: one in five

/**
 * Raters of one seed. Each depends on the seed and its own number, so that asking for more keeps the first ones; the seed is
 * part of the name, since another seed's first rater is another person.
 */
export function drawRaters(count: number, seed: number): Rater[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new Random(`synth:${seed}:rater:${i + 1}`);
    const [low, high] = [Math.log(RELIABILITY.least), Math.log(RELIABILITY.most)];
    return {
      name: `sim-${seed}-${i + 1}`,
      reliability: Math.exp(random.uniform(low, high)),
      sideBias: SIDE_BIAS_SD * random.normal(),
      tieThreshold: random.uniform(TIE_THRESHOLD.least, TIE_THRESHOLD.most),
    };
  });
}

/**
 * What a rater answers, and how often.
 * @param difference - utility(left) - utility(right)
 * @see Rao and Kupper, "Ties in paired-comparison experiments" (1967)
 */
export function voteProbabilities(rater: Rater, difference: number): VoteProbabilities {
  const centre = difference + rater.sideBias;
  const left = logistic(rater.reliability * (centre - rater.tieThreshold));
  const right = logistic(rater.reliability * (-centre - rater.tieThreshold));
  return { left, right, tie: Math.max(0, 1 - left - right) };
}

/** One answer: 1 left, 0 right, 0.5 tie. */
export function drawVote(rater: Rater, difference: number, random: Random): 0 | 0.5 | 1 {
  const { left, right } = voteProbabilities(rater, difference);
  const place = random.uniform();
  if (place < left) return 1;
  return place < left + right ? 0 : 0.5;
}

/** A rater's rating of one item on the scale of the scores, to two decimals: the score, plus noise of the rater's reliability. */
export function drawRating(rater: Rater, score: number, random: Random): number {
  const noise = RATING_NOISE * (random.normal() / rater.reliability);
  return Math.round(100 * Math.min(1, Math.max(-1, score + noise))) / 100;
}

/** Standard deviation of a rating by a rater of reliability 1: one step of damage is 0.4 on the scale of the scores. */
const RATING_NOISE = 0.4;

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
