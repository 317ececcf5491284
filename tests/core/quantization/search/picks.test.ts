import { describe, expect, it } from 'vitest';
import { Random } from '../../../../src/core/bytes/random.js';
import { heldOutPlaces, type JudgedComparison, judgementsOf } from '../../../../src/core/quantization/sample-rows.js';
import { comparePromptPicks } from '../../../../src/core/quantization/search/picks.js';

const PROMPTS = 40;
const ITEMS = 5;

/** Prompts of five rated items; the float model ranks them as people do, the quantized one swaps the best two of each. */
function planted() {
  const random = new Random('picks');
  const ratings = [];
  const [float, quantized] = [new Float64Array(PROMPTS * ITEMS), new Float64Array(PROMPTS * ITEMS)];
  for (let prompt = 0; prompt < PROMPTS; prompt++) {
    const human = Array.from({ length: ITEMS }, () => random.uniform()).sort((a, b) => b - a);
    for (const [i, score] of human.entries()) {
      const row = prompt * ITEMS + i;
      ratings.push({ promptId: `p${prompt}`, score, row });
      float[row] = score;
      quantized[row] = human[i === 0 ? 1 : i === 1 ? 0 : i];
    }
  }
  return { ratings, float, quantized };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe('the best of N before and after quantizing', () => {
  it('shows the damage at the top, which few random pairs are of', async () => {
    const { ratings, float, quantized } = planted();
    const change = (await comparePromptPicks({ float, quantized }, { ratings, comparisons: [] }, { seed: 0 }))!;
    expect(change).toMatchObject({ from: 'ratings', prompts: PROMPTS, incomplete: 0 });
    expect(change.picks.map(({ n }) => n)).toEqual([2, 4]);
    for (const { n, float: before, quantized: after, difference, regret, verdict } of change.picks) {
      // Brute force: every set of N of each prompt.
      const worth = (scores: Float64Array) =>
        mean(
          Array.from({ length: PROMPTS }, (_, prompt) => {
            const rows = Array.from({ length: ITEMS }, (_, i) => prompt * ITEMS + i);
            const sets = subsets(rows, n);
            return mean(sets.map((set) => ratings[set.reduce((a, b) => (scores[b] > scores[a] ? b : a))].score));
          }),
        );
      expect(before.value).toBeCloseTo(worth(float), 12);
      expect(after.value).toBeCloseTo(worth(quantized), 12);
      expect(difference).toBeCloseTo(worth(quantized) - worth(float), 12);
      expect(regret.float).toBeCloseTo(0, 12);
      expect(regret.quantized).toBeCloseTo(worth(float) - worth(quantized), 12);
      expect(verdict).toBe('worse');
    }
    const [two, four] = change.picks;
    expect(four.difference!).toBeLessThan(4 * two.difference!); // one pair in ten flipped; most sets of four have it
  });

  it('is the same for pairs of a model of pairs and of a model of items', async () => {
    const { ratings, float, quantized } = planted();
    const pairs: JudgedComparison[] = [];
    const [ofPairs, afterPairs]: number[][] = [[], []];
    for (const a of ratings) {
      for (const b of ratings) {
        if (a.promptId !== b.promptId || a.row >= b.row) continue;
        const votes = a.score > b.score ? { votesLeft: 3, votesRight: 0 } : { votesLeft: 0, votesRight: 3 };
        pairs.push({ promptId: a.promptId, left: `${a.row}`, right: `${b.row}`, ...votes, rows: [a.row, b.row] });
        ofPairs.push(float[a.row] - float[b.row]);
        afterPairs.push(quantized[a.row] - quantized[b.row]);
      }
    }
    const items = await comparePromptPicks({ float, quantized }, { ratings: [], comparisons: pairs }, { seed: 0 });
    const own = pairs.map((pair, row) => ({ ...pair, rows: [row] as const }));
    const scores = { float: Float64Array.from(ofPairs), quantized: Float64Array.from(afterPairs) };
    expect(await comparePromptPicks(scores, { ratings: [], comparisons: own }, { seed: 0 })).toEqual(items);
    expect(items).toMatchObject({ from: 'comparisons', prompts: PROMPTS });
    expect(items!.picks[1].verdict).toBe('worse');
  });

  it('says nothing where no prompt has two items', async () => {
    const ratings = [0, 1, 2].map((row) => ({ promptId: `${row}`, score: row, row }));
    const scores = { float: new Float64Array(3), quantized: new Float64Array(3) };
    expect(await comparePromptPicks(scores, { ratings, comparisons: [] }, { seed: 0 })).toBeNull();
  });
});

describe('rows that are held out', () => {
  it('are whole prompts, by turns', () => {
    expect(heldOutPlaces(['a', 'a', 'b', 'c', 'b', 'c', 'd'])).toEqual([2, 4, 6]);
    expect(heldOutPlaces(['a', 'b', 'c', 'd'])).toEqual([1, 3]);
    expect(heldOutPlaces(['a', 'a', 'a', 'a'])).toEqual([1, 3]);
    expect(heldOutPlaces(['a'])).toEqual([0]);
  });

  it('keep what was said of them, by their new places', () => {
    const said = {
      judgements: [null, { leftShare: 1, promptId: 'b' }, null],
      comparisons: [
        { promptId: 'b', left: 'l', right: 'r', votesLeft: 1, votesRight: 0, rows: [1, 2] as const },
        { promptId: 'a', left: 'l', right: 'r', votesLeft: 1, votesRight: 0, rows: [0] as const },
        { promptId: 'c', left: 'l', right: 'r', votesLeft: 1, votesRight: 0, rows: [0, 1] as const },
      ],
      ratings: [
        { promptId: 'b', score: 3, row: 2 },
        { promptId: 'a', score: 1, row: 0 },
      ],
    };
    expect(judgementsOf(said, [1, 2])).toEqual({
      judgements: [said.judgements[1], null],
      comparisons: [{ ...said.comparisons[0], rows: [0, 1] }],
      ratings: [{ promptId: 'b', score: 3, row: 1 }],
    });
  });
});

function subsets(rows: readonly number[], n: number): number[][] {
  if (n === 0) return [[]];
  return rows.flatMap((row, i) => subsets(rows.slice(i + 1), n - 1).map((rest) => [row, ...rest]));
}
