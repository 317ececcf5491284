import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { decisionGain, disagreement, informationGain } from '../../../src/core/selection/acquisition.js';
import { Beliefs, tiltedBy } from '../../../src/core/selection/beliefs.js';
import { fitTies, logLikelihood, outcomeOf, type PairVotes } from '../../../src/core/selection/davidson.js';
import { utilitiesOf } from '../../../src/core/selection/utilities.js';
import { gaussHermite } from '../../../src/core/stats/gauss-hermite.js';

interface Case {
  readonly items: number;
  readonly alpha: number;
  readonly won: readonly (readonly [number, number])[];
  readonly mean: readonly number[];
  readonly covariance: readonly (readonly number[])[];
  /** Of the posterior itself, by sampling. */
  readonly exact: { readonly mean: readonly number[]; readonly covariance: readonly (readonly number[])[] };
}

const pairsOf = ({ items }: Case) =>
  Array.from({ length: items }, (_, i) => Array.from({ length: i }, (_, j) => [i, j] as const)).flat();
const varianceOf = (covariance: Case['covariance'], [i, j]: readonly [number, number]): number =>
  covariance[i][i] + covariance[j][j] - 2 * covariance[i][j];
/** Of what is sampled. */
const SAMPLING = 0.002;

/** Made by choix 0.4.1 and numpy (tests/golden/selection/make.py). */
const golden = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../golden/selection/choix.json', import.meta.url)), 'utf8'),
) as {
  readonly cases: readonly Case[];
  readonly hermite: { readonly nodes: readonly number[]; readonly weights: readonly number[] };
};

const NO_TIES = 0;

function posteriorOf({ items, alpha, won }: Case): Beliefs {
  const beliefs = new Beliefs({ mean: new Float64Array(items), variance: 1 / alpha, ties: NO_TIES });
  const votes = new Map<string, { left: number; right: number; votes: PairVotes }>();
  for (const [winner, loser] of won) {
    const [left, right] = winner < loser ? [winner, loser] : [loser, winner];
    const known = votes.get(`${left},${right}`)?.votes ?? { left: 0, right: 0, ties: 0 };
    const more = winner < loser ? { ...known, left: known.left + 1 } : { ...known, right: known.right + 1 };
    votes.set(`${left},${right}`, { left, right, votes: more });
  }
  beliefs.observe(votes.values());
  return beliefs;
}

describe('posterior of utilities', () => {
  it.each(golden.cases.map((one) => [`${one.items} items, ${one.won.length} votes`, one] as const))(
    'has the means and deviations of choix within 2 %%: %s',
    (_, one) => {
      const beliefs = posteriorOf(one);
      const largest = Math.max(...one.mean.map(Math.abs));
      for (let i = 0; i < one.items; i++) {
        expect(Math.abs(beliefs.meanOf(i) - one.mean[i])).toBeLessThan(0.02 * largest);
      }
      for (const [i, j] of pairsOf(one)) {
        const ratio = Math.sqrt(beliefs.difference(i, j).variance / varianceOf(one.covariance, [i, j]));
        expect(Math.abs(ratio - 1)).toBeLessThan(0.02);
      }
    },
  );

  it.each(golden.cases.map((one) => [`${one.items} items, ${one.won.length} votes`, one] as const))(
    'has variances that are nearer to the exact ones than those of choix, where they differ: %s',
    (_, one) => {
      const beliefs = posteriorOf(one);
      const furthest = (variance: (pair: readonly [number, number]) => number): number =>
        Math.max(...pairsOf(one).map((pair) => Math.abs(variance(pair) / varianceOf(one.exact.covariance, pair) - 1)));
      const [own, theirs] = [
        furthest(([i, j]) => beliefs.difference(i, j).variance),
        furthest((pair) => varianceOf(one.covariance, pair)),
      ];
      expect(own).toBeLessThan(theirs + SAMPLING);
      expect(own).toBeLessThan(0.05);
    },
  );

  it('is the exact posterior for one pair, with ties too', () => {
    const votes = { left: 3, right: 1, ties: 2 };
    const prior = { mean: 0.5, variance: 4 };
    let [total, first, second] = [0, 0, 0];
    for (let d = -30; d <= 30; d += 0.001) {
      const weight = Math.exp(logLikelihood(votes, d, 0.6) - (d - prior.mean) ** 2 / (2 * prior.variance));
      total += weight;
      first += weight * d;
      second += weight * d * d;
    }
    const exact = { mean: first / total, variance: second / total - (first / total) ** 2 };
    const found = tiltedBy(votes, prior, 0.6);
    expect(found.mean).toBeCloseTo(exact.mean, 6);
    expect(found.variance).toBeCloseTo(exact.variance, 6);
  });

  it('does not depend on which side is called left, nor on the order of votes', () => {
    const prior = { mean: new Float64Array(4), variance: 2, ties: 0.3 };
    const pairs = [
      { left: 0, right: 1, votes: { left: 2, right: 0, ties: 1 } },
      { left: 1, right: 2, votes: { left: 1, right: 3, ties: 0 } },
      { left: 2, right: 3, votes: { left: 0, right: 0, ties: 2 } },
    ];
    const [one, other] = [new Beliefs(prior), new Beliefs(prior)];
    one.observe(pairs);
    const swapped = pairs.map(({ left, right, votes }) => ({
      left: right,
      right: left,
      votes: { left: votes.right, right: votes.left, ties: votes.ties },
    }));
    for (const pair of swapped.reverse()) other.observe([pair]);
    for (let item = 0; item < 4; item++) expect(other.meanOf(item)).toBeCloseTo(one.meanOf(item), 3);
  });

  it('keeps a pair of the same item out, and an expected vote until the next fit', () => {
    const beliefs = new Beliefs({ mean: new Float64Array(2), variance: 1, ties: 0 });
    beliefs.observe([{ left: 0, right: 0, votes: { left: 1, right: 0, ties: 0 } }]);
    expect(beliefs.difference(0, 1)).toEqual({ mean: 0, variance: 2 });
    beliefs.expectVote(0, 1);
    expect(beliefs.difference(0, 1).variance).toBeLessThan(2);
    beliefs.observe([{ left: 0, right: 1, votes: { left: 0, right: 0, ties: 0 } }]);
    expect(beliefs.difference(0, 1)).toEqual({ mean: 0, variance: 2 });
  });
});

describe('information', () => {
  it('is that of Gauss and Hermite', () => {
    const { nodes, weights } = gaussHermite(21);
    golden.hermite.nodes.forEach((node, i) => void expect(nodes[i]).toBeCloseTo(node, 12));
    golden.hermite.weights.forEach((weight, i) => void expect(weights[i] / weight).toBeCloseTo(1, 10));
    for (const n of [1, 2, 21, 64])
      expect(gaussHermite(n).nodes.every((x, i, all) => i === 0 || x > all[i - 1])).toBe(true);
    expect(() => gaussHermite(65)).toThrow(RangeError);
  });

  it('is what a fine grid gives, and nothing where the difference is known', () => {
    const [mean, variance, ties] = [0.7, 3, 0.4];
    const expected = [0, 0, 0, 0];
    let total = 0;
    for (let z = -10; z <= 10; z += 0.001) {
      const weight = Math.exp((-z * z) / 2);
      const { left, right, tie, entropy } = outcomeOf(mean + Math.sqrt(variance) * z, ties);
      [left, right, tie, entropy].forEach((value, i) => {
        expected[i] += weight * value;
      });
      total += weight;
    }
    const [left, right, tie, noise] = expected.map((value) => value / total);
    const entropy = -[left, right, tie].reduce((sum, p) => sum + p * Math.log2(p), 0);
    expect(informationGain({ mean, variance }, ties)).toBeCloseTo(entropy - noise, 6);
    expect(informationGain({ mean: 0, variance: 1e-12 }, ties)).toBeCloseTo(0, 9);
    expect(decisionGain({ mean: 9, variance: 0.01 }, 0)).toBeCloseTo(0, 9);
    expect(decisionGain({ mean: 0, variance: 4 }, 0)).toBeGreaterThan(0.1);
  });

  it('of members is what they disagree on, and not what they all doubt', () => {
    expect(disagreement([0.5, 0.5, 0.5])).toBeCloseTo(0, 12);
    expect(disagreement([0, 1])).toBeCloseTo(1, 12);
  });

  it('finds how often equals tie', () => {
    const votes = [{ left: 10, right: 10, ties: 80 }];
    const nu = fitTies([0], votes);
    expect(outcomeOf(0, nu).tie).toBeCloseTo(80.5 / 101, 3);
    expect(fitTies([0], [{ left: 3, right: 1, ties: 0 }])).toBe(0);
  });

  it('starts from the utilities whose differences the logits are', () => {
    const truth = [0.3, -1, 2, 5, 4];
    const left = Int32Array.of(0, 1, 2, 3);
    const right = Int32Array.of(1, 2, 0, 4);
    const logits = Float64Array.from(left, (item, i) => truth[item] - truth[right[i]]);
    const found = utilitiesOf({ left, right, items: 5 }, logits);
    left.forEach((item, i) => void expect(found[item] - found[right[i]]).toBeCloseTo(logits[i], 5));
    expect(utilitiesOf({ left, right, items: 5 }, new Float64Array(4).fill(Number.NaN))).toEqual(new Float64Array(5));
  });
});
