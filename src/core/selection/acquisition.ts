import { gaussHermite } from '../stats/gauss-hermite.js';
import type { Difference } from './beliefs.js';
import { outcomeOf } from './davidson.js';

/** How the next pairs are chosen. */
export const SELECTION_METHODS = ['bt-eig', 'bald', 'entropy', 'random'] as const;
export type SelectionMethod = (typeof SELECTION_METHODS)[number];

const NODES = gaussHermite(21);

/** In bits. */
export function binaryEntropy(p: number): number {
  const nats = (p > 0 ? -p * Math.log(p) : 0) + (p < 1 ? -(1 - p) * Math.log1p(-p) : 0);
  return nats / Math.LN2;
}

/** In bits, of probabilities that sum to 1. */
const entropyOf = (a: number, b: number, c: number): number => -(term(a) + term(b) + term(c)) / Math.LN2;
const term = (p: number): number => (p > 0 ? p * Math.log(p) : 0);

/**
 * How many bits one vote on a pair is expected to tell of utilities: H(E p) - E H(p). What raters disagree on whatever the utilities
 * are is in both terms, and falls away.
 */
export function informationGain({ mean, variance }: Difference, ties: number): number {
  const spread = Math.sqrt(variance);
  let [left, right, tie, noise] = [0, 0, 0, 0];
  for (let i = 0; i < NODES.nodes.length; i++) {
    // `outcomeOf` written out: a million pairs take it 21 times each.
    const d = mean + spread * NODES.nodes[i];
    const size = Math.abs(d);
    const small = Math.exp(-size);
    const tied = ties === 0 ? 0 : ties * Math.exp(-size / 2);
    const total = 1 + small + tied;
    const weight = NODES.weights[i] / total;
    left += d < 0 ? weight * small : weight;
    right += d < 0 ? weight : weight * small;
    tie += weight * tied;
    noise += weight * (total * Math.log(total) + size * small);
    if (tied > 0) noise += weight * tied * (size / 2 - Math.log(ties));
  }
  return Math.max(0, entropyOf(left, right, tie) - noise / Math.LN2);
}

/**
 * How much more often the side a vote makes the better one is expected to be right, on this pair: E max over what may be voted, less
 * max now. A tie counts one half for either side. What other pairs learn from it comes on top.
 */
export function decisionGain({ mean, variance }: Difference, ties: number): number {
  const spread = Math.sqrt(variance);
  // P(left) with ties shared, by what was voted before: sums of P(vote) and P(vote) P(left).
  const votes = [0, 0, 0];
  const wins = [0, 0, 0];
  for (let i = 0; i < NODES.nodes.length; i++) {
    const { left, right, tie } = outcomeOf(mean + spread * NODES.nodes[i], ties);
    const win = left + tie / 2;
    for (const [v, p] of [left, right, tie].entries()) {
      votes[v] += NODES.weights[i] * p;
      wins[v] += NODES.weights[i] * p * win;
    }
  }
  const after = votes.reduce((sum, p, v) => sum + Math.max(wins[v], p - wins[v]), 0);
  const now = wins[0] + wins[1] + wins[2];
  return Math.max(0, after - Math.max(now, 1 - now));
}

/** What members of an ensemble disagree on, in bits: H(mean p) - mean H(p) (Houlsby 2011). */
export function disagreement(probabilities: ArrayLike<number>): number {
  let [mean, noise] = [0, 0];
  for (let k = 0; k < probabilities.length; k++) {
    mean += probabilities[k] / probabilities.length;
    noise += binaryEntropy(probabilities[k]) / probabilities.length;
  }
  return Math.max(0, binaryEntropy(mean) - noise);
}
