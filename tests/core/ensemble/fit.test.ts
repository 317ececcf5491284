import { describe, expect, it } from 'vitest';
import { combineLogits, disagreementAt } from '../../../src/core/ensemble/combine.js';
import { allRows, choosePenalty, crossFit, PENALTIES } from '../../../src/core/ensemble/cross-fit.js';
import { fitEnsemble, judgeGiven } from '../../../src/core/ensemble/fit.js';
import { foldsOf, rootMeanSquare } from '../../../src/core/ensemble/rows.js';
import { fittedWeights, givenWeights } from '../../../src/core/ensemble/weights.js';
import { drawnPairs, type JudgedPair, joined } from './helpers.js';

const MEMBERS = ['small', 'large', 'guess'];
const OPTIONS = { folds: 4, seed: 0, simplex: false, resamples: 200 };
const code = (expected: string) => expect.objectContaining({ code: expected });
const weighed = (weights: Record<string, number>) => givenWeights(new Map(Object.entries(weights)));

describe('fitEnsemble', () => {
  it('beats the best of its members where their errors are their own', async () => {
    const data = await joined(drawnPairs('errors', 150), MEMBERS);
    const { figures, weights, shares, slope } = await fitEnsemble(data, OPTIONS);
    expect(figures.ensemble.accuracy.value!).toBeGreaterThan(figures.single[figures.best].accuracy.value! + 0.02);
    expect(figures.comparison.verdict).toBe('better');
    expect(figures.comparison.ci![0]).toBeGreaterThan(0);
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
    expect(Math.min(...weights)).toBeGreaterThanOrEqual(0);
    expect(slope).toBeGreaterThan(0);
  });

  it('gives members equal shares where they see equally well, whatever the size of their logits', async () => {
    const { shares, weights } = await fitEnsemble(await joined(drawnPairs('shares', 150), MEMBERS), OPTIONS);
    expect(Math.abs(shares[0] - shares[1])).toBeLessThan(0.15);
    expect(shares[2]).toBeLessThan(0.15);
    expect(weights[0] / weights[1]).toBeGreaterThan(1000);
  });

  it('says undecided where the members are one and the same', async () => {
    const pairs = drawnPairs('same', 60).map((pair) => ({
      ...pair,
      logits: { a: pair.logits.large, b: pair.logits.large },
    }));
    const { figures } = await fitEnsemble(await joined(pairs, ['a', 'b']), OPTIONS);
    expect(figures.comparison).toMatchObject({ difference: 0, ci: [0, 0], verdict: 'undecided' });
    expect(figures.best).toBe('a');
  });

  it('does not depend on the order of the rows', async () => {
    const pairs = drawnPairs('order', 40);
    const [a, b] = [await joined(pairs, MEMBERS), await joined(pairs.toReversed(), MEMBERS)];
    const [first, second] = [await fitEnsemble(a, OPTIONS), await fitEnsemble(b, OPTIONS)];
    expect(second.weights).toBeAllClose(first.weights, { atol: 1e-12 });
    expect(second.figures.ensemble.accuracy.value).toBeCloseTo(first.figures.ensemble.accuracy.value!, 12);
  });

  it('is the same in any number of threads', async () => {
    const data = await joined(drawnPairs('threads', 1300), MEMBERS);
    expect(data.count).toBeGreaterThan(5000); // fewer are fitted without threads
    const options = { ...OPTIONS, folds: 2, resamples: 20 };
    const [alone, ...others] = await Promise.all(
      [1, 2, 3].map((threads) => fitEnsemble(data, { ...options, threads })),
    );
    for (const other of others) expect(other).toEqual(alone);
  });

  it('says what each member adds', async () => {
    const { figures } = await fitEnsemble(await joined(drawnPairs('adds', 150), MEMBERS), OPTIONS);
    const { leaveOneOut } = figures;
    expect(leaveOneOut.small).toMatchObject({ verdict: 'better' });
    expect(leaveOneOut.small.nll.value).toBeLessThan(0);
    expect(Math.abs(leaveOneOut.guess.accuracy.value!)).toBeLessThan(0.02);
  });

  it('gives finite numbers, or null, whatever the votes and logits', async () => {
    const extremes = [1e300, -1e300, 1e-300, -1e-300, 5e-324, 0, 1, -1];
    for (const votes of [[1], [0], [0.5], [1, 0]]) {
      const pairs = Array.from({ length: 24 }, (_, i): JudgedPair => {
        const logit = extremes[i % extremes.length];
        return { id: `r${i}`, votes, logits: { a: logit, b: i % 3 === 0 ? Math.sign(logit) : 1 } };
      });
      const data = await joined(pairs, ['a', 'b']);
      try {
        const text = JSON.stringify(await fitEnsemble(data, OPTIONS), (_, value) =>
          typeof value === 'number' && !Number.isFinite(value) ? 'not finite' : value,
        );
        expect(text).not.toContain('not finite');
      } catch (error) {
        expect(error).toMatchObject({ code: 'DATA_INVALID' });
      }
    }
  });

  it.each<[string, string, () => Promise<unknown>]>([
    [
      'too few clusters',
      'TOO_FEW_CLUSTERS',
      async () => fitEnsemble(await joined(drawnPairs('few', 7), MEMBERS), OPTIONS),
    ],
    [
      'ties only',
      'DATA_INVALID',
      async () => {
        const tied = drawnPairs('tied', 20).map((pair) => ({ ...pair, votes: [0.5] }));
        await fitEnsemble(await joined(tied, MEMBERS), OPTIONS);
      },
    ],
    [
      'a member without any score of a judged pair',
      'DATA_INVALID',
      async () => fitEnsemble(await joined(drawnPairs('idle', 20), [...MEMBERS, 'absent']), OPTIONS),
    ],
  ])('refuses %s', async (_, expected, run) => {
    await expect(run()).rejects.toEqual(code(expected));
  });
});

describe('crossFit', () => {
  it('judges a cluster by weights that have not seen its votes', async () => {
    const pairs = drawnPairs('leak', 24);
    const swapped = pairs.map((pair) =>
      pair.prompt === 'prompt3' ? { ...pair, votes: pair.votes.map((v) => 1 - v) } : pair,
    );
    const before = await joined(pairs, MEMBERS);
    const after = await joined(swapped, MEMBERS);
    const [a, b] = [await crossFit(before, OPTIONS), await crossFit(after, OPTIONS)];
    let others = 0;
    for (let row = 0; row < before.count; row++) {
      if (pairs[row].prompt === 'prompt3') expect(b.ensemble[row]).toBe(a.ensemble[row]);
      else if (b.ensemble[row] !== a.ensemble[row]) others++;
    }
    expect(others).toBeGreaterThan(0);
  });

  it('splits no cluster, and judges every row once', async () => {
    const data = await joined(drawnPairs('folds', 11), MEMBERS);
    const folds = foldsOf(data, allRows(data), 4, 7);
    expect(folds.flatMap(({ judge }) => [...judge]).sort((a, b) => a - b)).toEqual([...allRows(data)]);
    for (const { fit, judge } of folds) {
      const judged = new Set(Array.from(judge, (row) => data.clusters.of[row]));
      expect([...fit].some((row) => judged.has(data.clusters.of[row]))).toBe(false);
    }
  });
});

describe('choosePenalty', () => {
  it('takes a stronger penalty where there is less to learn', async () => {
    const chosen = async (clusters: number) => {
      const data = await joined(drawnPairs('penalty', clusters), MEMBERS);
      return choosePenalty(data, allRows(data), OPTIONS);
    };
    const [few, many] = [await chosen(12), await chosen(300)];
    expect(PENALTIES).toContain(few);
    expect(few).toBeGreaterThan(many);
  });
});

describe('members without a score', () => {
  const pairs: JudgedPair[] = [
    { id: 'both', votes: [1], logits: { a: 2, b: -4 } },
    { id: 'a', votes: [1], logits: { a: 2 } },
    { id: 'b', votes: [0], logits: { b: -4 } },
    { id: 'none', votes: [1], logits: {} },
  ];

  it('count as a logit of 0, and are counted', async () => {
    const data = await joined(pairs, ['a', 'b']);
    const { logits } = await judgeGiven(data, weighed({ a: 0.75, b: 0.25 }), { seed: 0, resamples: 100 });
    expect([...logits]).toEqual([0.5, 1.5, -1]);
    expect(data.coverage).toEqual({
      unscored: 1,
      members: { a: { scored: 2, missing: 1, unjudged: 0 }, b: { scored: 2, missing: 1, unjudged: 0 } },
    });
  });

  it('are judged on the rows they have', async () => {
    const data = await joined(pairs, ['a', 'b']);
    const { figures } = await judgeGiven(data, weighed({ a: 1, b: 1 }), { seed: 0, resamples: 100 });
    expect(figures.single.a.accuracy.value).toBe(1);
    expect(figures.single.b.accuracy.value).toBe(0.5);
  });
});

describe('combineLogits', () => {
  it('is finite for the largest logits', () => {
    const huge = [Float64Array.of(1e308), Float64Array.of(-1e308)];
    expect(combineLogits([1e10, 1e10], huge, 0)).toBe(0);
    expect(Number.isFinite(combineLogits([1e10, 0], huge, 0))).toBe(true);
  });
});

describe('disagreementAt', () => {
  it.each([
    ['all members agree', [3, 1, 0.1], 0],
    ['a member with a share of 0.2 differs', [3, 1, -5], 0.2],
    ['a logit of 0 counts half on either side', [3, 1, 0], 0.1],
    ['a member without a score does not count', [3, -1, Number.NaN], 0.3 / 0.8],
    ['nobody has a score', [Number.NaN, Number.NaN, Number.NaN], 0],
  ])('where %s', (_, logits, expected) => {
    const columns = logits.map((logit) => Float64Array.of(logit));
    expect(disagreementAt([0.5, 0.3, 0.2], columns, 0)).toBeCloseTo(expected, 12);
  });
});

describe('weights', () => {
  it('given by hand are divided by their sum, also where that would overflow', () => {
    expect(weighed({ a: 3, b: 1 })).toEqual({ weights: [0.75, 0.25], shares: [0.75, 0.25], slope: 1 });
    expect(weighed({ a: 1e308, b: 1e308 }).weights).toEqual([0.5, 0.5]);
    expect(weighed({ a: 5e-324, b: 0 }).weights).toEqual([1, 0]);
  });

  it.each([
    [0, 0],
    [-1, 2],
    [Number.NaN, 1],
    [Number.POSITIVE_INFINITY, 1],
  ])('given by hand are refused: %d and %d', (a, b) => {
    expect(() => weighed({ a, b })).toThrow(code('USAGE'));
  });

  it('of a fit reproduce its log-odds on logits as they come', () => {
    const { weights, slope } = fittedWeights({ weights: Float64Array.of(0.6, 0, 1.2), scales: [1e-5, 3, 40] });
    const [x, y, z] = [2e-5, 5, -60];
    expect(slope * (weights[0] * x + weights[1] * y + weights[2] * z)).toBeCloseTo(
      (0.6 * x) / 1e-5 + (1.2 * z) / 40,
      9,
    );
  });

  it('of a fit are refused where no logarithm could hold them', () => {
    expect(() => fittedWeights({ weights: Float64Array.of(1), scales: [1e-310] })).toThrow(code('DATA_INVALID'));
  });
});

describe('rootMeanSquare', () => {
  it('does not overflow, and is 0 for nothing', () => {
    expect(rootMeanSquare(Float64Array.of(1e200, 1e200))).toBeCloseTo(1e200, -190);
    expect(rootMeanSquare(Float64Array.of(3, 4), Float64Array.of(1, 3))).toBeCloseTo(Math.sqrt(57 / 4), 12);
    expect(rootMeanSquare(new Float64Array(0))).toBe(0);
  });
});
