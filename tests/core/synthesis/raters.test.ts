import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { drawRaters, drawRating, drawVote, type Rater, voteProbabilities } from '../../../src/core/synthesis/raters.js';

const difference = fc.double({ min: -6, max: 6, noNaN: true });
const rater = fc.record({
  name: fc.constant('r'),
  reliability: fc.double({ min: 0.1, max: 10, noNaN: true }),
  sideBias: fc.double({ min: -1, max: 1, noNaN: true }),
  tieThreshold: fc.double({ min: 0, max: 2, noNaN: true }),
});
const fair: Rater = { name: 'fair', reliability: 2, sideBias: 0, tieThreshold: 0.5 };

describe('voteProbabilities', () => {
  it('sums to 1, every part in 0 to 1', () => {
    fc.assert(
      fc.property(rater, difference, (who, d) => {
        const { left, tie, right } = voteProbabilities(who, d);
        expect(left + tie + right).toBeCloseTo(1, 12);
        for (const part of [left, tie, right]) expect(part >= 0 && part <= 1).toBe(true);
      }),
    );
  });

  it('gives the left more votes, and the right fewer, the better the left is', () => {
    fc.assert(
      fc.property(rater, difference, fc.double({ min: 0.01, max: 3, noNaN: true }), (who, d, more) => {
        const [now, then] = [voteProbabilities(who, d), voteProbabilities(who, d + more)];
        expect(then.left).toBeGreaterThanOrEqual(now.left);
        expect(then.right).toBeLessThanOrEqual(now.right);
      }),
    );
  });

  it('treats both sides alike without a side bias', () => {
    fc.assert(
      fc.property(difference, (d) => {
        const [one, other] = [voteProbabilities(fair, d), voteProbabilities(fair, -d)];
        expect(one.left).toBeCloseTo(other.right, 12);
        expect(one.tie).toBeCloseTo(other.tie, 12);
      }),
    );
  });

  it('has most ties where both sides are equal, and none without a threshold', () => {
    const ties = [0, 0.5, 1, 2, 4].map((d) => voteProbabilities(fair, d).tie);
    expect(ties).toEqual(ties.toSorted((a, b) => b - a));
    expect(ties[0]).toBeCloseTo(Math.tanh(0.5), 12); // 1 - 2 sigmoid(-1)
    expect(voteProbabilities({ ...fair, tieThreshold: 0 }, 0.3).tie).toBeCloseTo(0, 12);
  });

  it('prefers the side of its bias between equals', () => {
    const { left, right } = voteProbabilities({ ...fair, sideBias: 0.3 }, 0);
    expect(left).toBeGreaterThan(right);
  });
});

describe('drawVote', () => {
  it.each([-1.5, 0, 0.4, 2])('answers as often as the probabilities say, at a difference of %d', (d) => {
    const who = { ...fair, sideBias: 0.1 };
    const random = new Random(`votes:${d}`);
    const counts = new Map<number, number>();
    const draws = 20_000;
    for (let i = 0; i < draws; i++) {
      const vote = drawVote(who, d, random);
      counts.set(vote, (counts.get(vote) ?? 0) + 1);
    }
    const { left, tie, right } = voteProbabilities(who, d);
    const shares = [1, 0.5, 0].map((vote) => (counts.get(vote) ?? 0) / draws);
    expect(shares).toBeAllClose([left, tie, right], { atol: 0.015 }); // four standard errors
  });
});

describe('drawRaters', () => {
  it('keeps the first raters when more are asked for, and names no rater of another seed the same', () => {
    expect(drawRaters(7, 3).slice(0, 4)).toEqual(drawRaters(4, 3));
    const names = [...drawRaters(5, 1), ...drawRaters(5, 2)].map(({ name }) => name);
    expect(new Set(names).size).toBe(10);
  });

  it('makes raters that differ, each better than a coin', () => {
    const raters = drawRaters(50, 0);
    expect(new Set(raters.map(({ reliability }) => reliability)).size).toBe(50);
    for (const one of raters) {
      const { left, right } = voteProbabilities(one, 1);
      expect(left).toBeGreaterThan(2 * right);
    }
    const bias = raters.reduce((sum, { sideBias }) => sum + sideBias, 0) / raters.length;
    expect(Math.abs(bias)).toBeLessThan(0.05);
  });
});

describe('drawRating', () => {
  it('is near the score, nearer for a reliable rater, and stays on the scale', () => {
    const spread = (reliability: number): number => {
      const random = new Random('ratings');
      const ratings = Array.from({ length: 2000 }, () => drawRating({ ...fair, reliability }, 0, random));
      for (const rating of ratings) expect(Math.abs(rating)).toBeLessThanOrEqual(1);
      return Math.sqrt(ratings.reduce((sum, rating) => sum + rating ** 2, 0) / ratings.length);
    };
    expect(spread(4)).toBeCloseTo(0.1, 1);
    expect(spread(2)).toBeGreaterThan(1.5 * spread(4));
  });
});
