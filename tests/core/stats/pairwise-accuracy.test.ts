import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  prepareMajorityAccuracy,
  prepareMajorityCeiling,
  prepareVoteAccuracy,
  prepareVoteCeiling,
  type VoteCounts,
} from '../../../src/core/stats/pairwise-accuracy.js';

type Vote = 0 | 0.5 | 1;

/** Counts of rows given vote by vote: 1 left, 0 right, 0.5 tie. */
function counts(rows: readonly (readonly Vote[])[]): VoteCounts {
  const count = (row: readonly Vote[], value: Vote) => row.filter((vote) => vote === value).length;
  return {
    positive: Float64Array.from(rows, (row) => count(row, 1) + count(row, 0.5) / 2),
    negative: Float64Array.from(rows, (row) => count(row, 0) + count(row, 0.5) / 2),
    ties: Float64Array.from(rows, (row) => count(row, 0.5)),
  };
}

const votesOfRows = fc.array(fc.array(fc.constantFrom<Vote>(0, 0.5, 1), { maxLength: 6 }), {
  minLength: 1,
  maxLength: 8,
});
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const agreement = (a: number, b: number) => (a === 0.5 || b === 0.5 ? 0.5 : a === b ? 1 : 0);
const majority = (votes: readonly number[]) => (Math.sign(mean(votes) - 0.5) + 1) / 2;
const others = (votes: readonly Vote[], i: number) => votes.filter((_, k) => k !== i);

function expectMean(actual: number | null, values: readonly number[]): void {
  if (values.length === 0) expect(actual).toBeNull();
  else expect([actual]).toBeAllClose([mean(values)], { atol: 1e-12 });
}

describe('accuracy', () => {
  it('counts votes, a tie vote and a zero logit one half', () => {
    const votes = counts([
      [1, 1, 0],
      [0.5, 1],
      [1, 0, 0],
    ]);
    expect(prepareVoteAccuracy(Float64Array.of(2, -1, 0), votes)()).toBe((2 + 0.5 + 1.5) / 8);
  });

  it('counts rows against the majority, an even vote and a zero logit one half', () => {
    const votes = counts([[1, 1, 0], [1, 0], [0, 0], [1], []]);
    expect(prepareMajorityAccuracy(Float64Array.of(2, 1, 3, 0, 5), votes)()).toBe((1 + 0.5 + 0 + 0.5) / 4);
  });

  it('takes infinite logits as decisions, and refuses NaN', () => {
    const votes = counts([[1], [0]]);
    const logits = Float64Array.of(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    expect(prepareVoteAccuracy(logits, votes)()).toBe(1);
    expect(() => prepareVoteAccuracy(Float64Array.of(Number.NaN, 1), votes)).toThrow(RangeError);
  });

  it('of a model and of its opposite add up to 1', () => {
    fc.assert(
      fc.property(
        votesOfRows,
        fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 8, maxLength: 8 }),
        (rows, signs) => {
          const logits = Float64Array.from(rows, (_, i) => signs[i]);
          for (const prepare of [prepareVoteAccuracy, prepareMajorityAccuracy]) {
            const value = prepare(logits, counts(rows))();
            const opposite = prepare(
              logits.map((logit) => -logit),
              counts(rows),
            )();
            if (value === null || opposite === null) expect(value).toBe(opposite);
            else expect([value + opposite]).toBeAllClose([1], { atol: 1e-12 });
          }
        },
      ),
    );
  });
});

describe('the human ceiling', () => {
  it('against votes is how often a vote agrees with another of its row', () => {
    fc.assert(
      fc.property(votesOfRows, (rows) => {
        const expected = rows
          .filter((row) => row.length > 1)
          .flatMap((row) => row.map((vote, i) => mean(others(row, i).map((other) => agreement(vote, other)))));
        expectMean(prepareVoteCeiling(counts(rows))(), expected);
      }),
    );
  });

  it('against the majority is how often a rater agrees with the majority of the others', () => {
    fc.assert(
      fc.property(votesOfRows, (rows) => {
        const expected = rows
          .filter((row) => row.length > 1)
          .map((row) => mean(row.map((vote, i) => agreement(vote, majority(others(row, i))))));
        expectMean(prepareMajorityCeiling(counts(rows))(), expected);
      }),
    );
  });

  it('is 1 where all agree, and null where nobody was asked twice', () => {
    for (const ceiling of [prepareVoteCeiling, prepareMajorityCeiling]) {
      expect(ceiling(counts([[1, 1, 1], [0, 0], [1]]))()).toBe(1);
      expect(ceiling(counts([[1], []]))()).toBeNull();
    }
  });
});
