import { describe, expect, it } from 'vitest';
import type { JoinedPairs } from '../../../src/core/data/join.js';
import { distributionsOf } from '../../../src/core/evaluation/distributions.js';
import { RELIABILITY_BINS, reliabilityOf } from '../../../src/core/evaluation/reliability.js';

/** Rows of one vote each, every row a cluster. */
function pairs(votes: readonly number[], kinds: readonly string[] = []): JoinedPairs {
  const names = [...new Set(kinds)];
  return {
    kind: 'pair',
    count: votes.length,
    logit: new Float64Array(votes.length),
    votesLeft: Float64Array.from(votes),
    votesRight: Float64Array.from(votes, (vote) => 1 - vote),
    ties: new Float64Array(votes.length),
    cluster: Int32Array.from(votes.keys()),
    clusterCount: votes.length,
    groups: new Map([['kind', { names, codes: Int32Array.from(kinds, (kind) => names.indexOf(kind)) }]]),
  } as unknown as JoinedPairs;
}

const options = { seed: 'a', resamples: 50 };

describe('reliabilityOf', () => {
  it('sees each pair from the side that is predicted to win', async () => {
    const bins = await reliabilityOf(pairs([1, 0, 1, 0]), Float64Array.of(0.9, 0.1, 0.1, 0.5), options);
    expect(bins.map(({ weight, forecast, observed }) => [weight, forecast, observed.value])).toEqual([
      [1, 0.5, 0.5],
      [3, 0.9, 2 / 3],
    ]);
  });

  it('has bins of equally many votes, each with an interval that holds its share', async () => {
    const probabilities = Float64Array.from({ length: 200 }, (_, i) => 0.5 + i / 400);
    const bins = await reliabilityOf(
      pairs(Array.from(probabilities, (p, i) => Number((i % 10) / 10 < p))),
      probabilities,
      options,
    );
    expect(bins).toHaveLength(RELIABILITY_BINS);
    for (const { weight, observed } of bins) {
      expect(weight).toBe(20);
      expect(observed.ci![0]).toBeLessThanOrEqual(observed.value!);
      expect(observed.ci![1]).toBeGreaterThanOrEqual(observed.value!);
    }
  });

  it('leaves rows without votes out', async () => {
    const joined = pairs([1, 1]);
    joined.votesLeft[1] = 0;
    joined.votesRight[1] = 0;
    expect(await reliabilityOf(joined, Float64Array.of(0.8, 0.9), options)).toMatchObject([
      { weight: 1, forecast: 0.8 },
    ]);
  });
});

describe('distributionsOf', () => {
  it('counts the probability of the side that most raters preferred, and leaves small groups out', () => {
    const joined = pairs([1, 0, 1, 0.5], ['a', 'a', 'b', 'a']);
    const kind = { name: 'kind', column: joined.groups.get('kind')! };
    const { low, high, rows } = distributionsOf(joined, Float64Array.of(0.92, 0.12, 0.31, 0.7), [kind], 2);
    expect([low, high]).toEqual([0, 1]);
    expect(rows.map(({ by, value, n }) => [by, value, n])).toEqual([
      [null, null, 3],
      ['kind', 'a', 2],
    ]);
    expect(rows[0].counts).toEqual(Array.from({ length: 20 }, (_, bin) => ([6, 17, 18].includes(bin) ? 1 : 0)));
    expect(rows[0].quantiles[2]).toBe(0.88);
  });
});
