import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { prepareBestOf, type RatedItems } from '../../../src/core/stats/best-of.js';
import { overClusters } from '../../../src/core/stats/statistic.js';
import vectors from '../../golden/best-of/vectors.json' with { type: 'json' };

interface Prompt {
  readonly scores: readonly number[];
  readonly human: readonly number[];
}

/** Items of all prompts, those of one after the other. */
function itemsOf(prompts: readonly Prompt[]): RatedItems {
  return {
    scores: Float64Array.from(prompts.flatMap(({ scores }) => scores)),
    human: Float64Array.from(prompts.flatMap(({ human }) => human)),
    clusters: {
      of: Int32Array.from(prompts.flatMap(({ scores }, prompt) => scores.map(() => prompt))),
      count: prompts.length,
    },
  };
}

const KEYS = ['humanScore', 'winRate', 'regret', 'captured'] as const;

describe('best of N', () => {
  // Vectors: tests/golden/best-of/make.py, which goes through every set of N items
  describe.each(vectors.cases)('$name', ({ prompts, expected }) => {
    it.each(expected)('is the mean over all sets of $n items', ({ n, prompts: having, ...figures }) => {
      const found = prepareBestOf(itemsOf(prompts), n);
      expect(found.prompts).toBe(having);
      for (const key of KEYS) {
        const [value, due] = [found[key](), figures[key]];
        if (due === null) expect(value, key).toBeNull();
        else expect(Math.abs(value! - due), `${key}: ${value} for ${due}`).toBeLessThan(1e-12);
      }
    });
  });

  const prompt = fc
    .array(fc.tuple(fc.integer({ min: -3, max: 3 }), fc.integer({ min: 1, max: 5 })), { minLength: 2, maxLength: 8 })
    .map((items): Prompt => ({ scores: items.map(([score]) => score), human: items.map(([, rating]) => rating) }));

  it('wins half of the time where the scorer says nothing, and has no regret where it says what people say', () => {
    fc.assert(
      fc.property(fc.array(prompt, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 2 }), (prompts, n) => {
        const mute = prompts.map(({ human }) => ({ human, scores: human.map(() => 0) }));
        expect(prepareBestOf(itemsOf(mute), n).winRate()).toBeCloseTo(0.5, 12);
        const wise = prompts.map(({ human }) => ({ human, scores: human }));
        expect(prepareBestOf(itemsOf(wise), n).regret()).toBe(0);
      }),
    );
  });

  it('counts prompts as often as they are drawn, wherever their rows stand', () => {
    const prompts = [
      { scores: [1, 2, 3], human: [3, 1, 2] },
      { scores: [5, 4], human: [1, 0] },
    ];
    const interleaved: RatedItems = {
      scores: Float64Array.of(1, 5, 2, 4, 3),
      human: Float64Array.of(3, 1, 1, 0, 2),
      clusters: { of: Int32Array.of(0, 1, 0, 1, 0), count: 2 },
    };
    const [twice, once] = [itemsOf([prompts[0], prompts[0], prompts[1]]), interleaved];
    const drawn = overClusters(prepareBestOf(once, 2).humanScore, once.clusters)(Float64Array.of(2, 1));
    expect(drawn).toBeCloseTo(prepareBestOf(twice, 2).humanScore()!, 14);
  });

  it('refuses a number that is no number of items', () => {
    for (const n of [0, 1.5, -1, Number.NaN]) expect(() => prepareBestOf(itemsOf([]), n)).toThrow(RangeError);
  });
});
