import { describe, expect, it } from 'vitest';
import { compareDecisions } from '../../../../src/core/gate/decisions.js';
import { judgeBudget } from '../../../../src/core/gate/verdict.js';
import { searchBudget } from '../../../../src/core/quantization/search/trial.js';

describe('searchBudget', () => {
  it('asks for half of what the gate allows', () => {
    expect(searchBudget({ flips: 3, flipRate: 0.01, score: 0.2 }, 20)).toEqual({
      flips: 1,
      flipRate: 0.005,
      score: 0.1,
    });
    expect(searchBudget({ kendall: 0.9 }, 100).kendall).toBeCloseTo(0.95, 9);
  });

  it('lets two neighbours among few scores change their order, and no more', () => {
    const scores = Float64Array.from({ length: 20 }, (_, i) => i);
    const swapped = (...at: number[]) => {
      const values = scores.slice();
      for (const i of at) [values[i], values[i + 1]] = [values[i + 1], values[i]];
      return compareDecisions(
        { kind: 'item', output: 'score', values: scores },
        { kind: 'item', output: 'score', values },
      );
    };
    const allows = (diff: ReturnType<typeof swapped>): boolean =>
      judgeBudget(diff, searchBudget({ kendall: 0.99 }, 20)).every(({ passed }) => passed);
    expect(allows(swapped(4))).toBe(true);
    expect(allows(swapped(4, 9))).toBe(false);
  });
});
