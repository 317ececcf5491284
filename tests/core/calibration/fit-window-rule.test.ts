import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { fitWindowRule, type WindowedRows } from '../../../src/core/calibration/fit-window-rule.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';

/** The rule that people judged by. */
function judged(logits: Float64Array, sharpness: number): number {
  const lowest = Math.min(...logits);
  if (sharpness === Number.POSITIVE_INFINITY) return lowest;
  const weights = logits.map((logit) => Math.exp(-sharpness * (logit - lowest)));
  return logits.reduce((sum, logit, i) => sum + logit * weights[i], 0) / weights.reduce((a, b) => a + b);
}

/** Items of 2 to 12 windows, each with one bad moment of some depth. */
function item(random: Random): Float64Array {
  const level = random.normal();
  const logits = Float64Array.from({ length: random.integer(2, 13) }, () => level + 0.5 * random.normal());
  logits[random.integer(0, logits.length)] -= 2 * random.uniform();
  return logits;
}

const clustersOf = (count: number, rows: number) => ({
  clusters: { of: Int32Array.from({ length: rows }, (_, i) => i % count), count },
  clusterNames: Array.from({ length: count }, (_, i) => `prompt ${i}`),
});

function pairs(count: number, sharpness: number, seed: string): WindowedRows {
  const random = new Random(seed);
  const sides = [0, 1].map(() => Array.from({ length: count }, () => item(random)));
  const left = Float64Array.from(sides[0], (logits, row) => {
    const p = sigmoid(2 * (judged(logits, sharpness) - judged(sides[1][row], sharpness)));
    return Array.from({ length: 3 }, () => Number(random.uniform() < p)).reduce((a, b) => a + b);
  });
  return {
    kind: 'pair',
    sides,
    votes: { left, right: left.map((votes) => 3 - votes) },
    ...clustersOf(count / 2, count),
  };
}

function items(count: number, sharpness: number, seed: string): WindowedRows {
  const random = new Random(seed);
  const logits = Array.from({ length: count }, () => item(random));
  const score = Float64Array.from(logits, (each) => 3 + 0.7 * judged(each, sharpness) + 0.2 * random.normal());
  const scores = { score, weight: new Float64Array(count).fill(1) };
  return { kind: 'absolute', sides: [logits], scores, ...clustersOf(count, count) };
}

const OPTIONS = { folds: 5, seed: 1, resamples: 100 };

describe('fitWindowRule', () => {
  it.each([
    ['votes', pairs(800, 1.5, 'votes')],
    ['scores', items(600, 1.5, 'scores')],
  ] as const)(
    'finds the rule behind %s, inside its interval, and beats mean, worst and last where it was not fitted',
    async (_, rows) => {
      const { sharpness, ci, heldOut } = await fitWindowRule(rows, OPTIONS);
      expect(Math.abs(sharpness - 1.5)).toBeLessThan(0.5);
      expect(ci![0]).toBeLessThan(1.5);
      expect(ci![1]).toBeGreaterThan(1.5);
      for (const rule of ['mean', 'worst', 'last'] as const) {
        expect(heldOut.fitted).toBeLessThan(heldOut[rule].loss);
        expect(heldOut[rule].comparison).toMatchObject({ verdict: 'better' });
      }
    },
  );

  it('finds the mean, and the worst, where people judged by them', async () => {
    const mean = await fitWindowRule(items(300, 0, 'mean'), OPTIONS);
    expect(mean.sharpness).toBeLessThan(0.15);
    expect(mean.heldOut.mean.comparison.verdict).not.toBe('better');
    const worst = await fitWindowRule(items(300, Number.POSITIVE_INFINITY, 'worst'), OPTIONS);
    expect(worst.heldOut.worst.comparison.difference!).toBeLessThan(0.002);
    expect(worst.heldOut.mean.comparison.verdict).toBe('better');
  });

  it('claims no interval where labels do not follow the scores, and tells those that go against them', async () => {
    const rows = items(120, 1, 'unlike');
    const random = new Random('by lot');
    const scored = (score: Float64Array): WindowedRows => ({ ...rows, scores: { ...rows.scores!, score } });
    const byLot = await fitWindowRule(scored(rows.scores!.score.map(() => random.normal())), OPTIONS);
    expect(byLot).toMatchObject({ ci: null, labels: 'unclear' });
    const against = await fitWindowRule(scored(rows.scores!.score.map((score) => -score)), OPTIONS);
    expect(against).toMatchObject({ ci: null, labels: 'against' });
    expect((await fitWindowRule(rows, OPTIONS)).labels).toBe('follow');
  });

  it('has an interval as wide as it looks closely, which holds the sharpness at the end of what is looked for', async () => {
    const rows = items(60, Number.POSITIVE_INFINITY, 'exact');
    const score = Float64Array.from(rows.sides[0], (logits) => Math.min(...logits));
    const { sharpness, ci, isOpen } = await fitWindowRule({ ...rows, scores: { ...rows.scores!, score } }, OPTIONS);
    expect(isOpen).toBe(true);
    expect(ci![0]).toBeLessThan(sharpness);
    expect(ci![1]).toBeGreaterThanOrEqual(sharpness);
  });

  it('is the same of the same rows and seed', async () => {
    const rows = items(100, 1, 'again');
    expect(await fitWindowRule(rows, OPTIONS)).toEqual(await fitWindowRule(rows, OPTIONS));
  });

  it('refuses too few clusters, and windows and labels that do not differ', async () => {
    await expect(fitWindowRule(items(49, 1, 'few'), OPTIONS)).rejects.toMatchObject({ code: 'TOO_FEW_CLUSTERS' });
    const rows = items(60, 1, 'flat');
    const flat = { ...rows, sides: [rows.sides[0].map((logits) => logits.fill(1))] };
    await expect(fitWindowRule(flat, OPTIONS)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    const same = { ...rows, scores: { ...rows.scores!, score: new Float64Array(60).fill(3) } };
    await expect(fitWindowRule(same, OPTIONS)).rejects.toThrow('every score is 3');
    const ones = new Float64Array(120).fill(1);
    const ties = { ...pairs(120, 1, 'ties'), votes: { left: ones, right: ones } };
    await expect(fitWindowRule(ties, OPTIONS)).rejects.toThrow('every pair is a tie');
  });
});
