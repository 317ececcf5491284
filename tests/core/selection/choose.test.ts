import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { type ChooseOptions, choose } from '../../../src/core/selection/choose.js';
import { costsOf } from '../../../src/core/selection/cost.js';
import { type ReplayOptions, replay } from '../../../src/core/selection/replay.js';
import { simulatedPool, simulatedWorld } from '../../../src/core/selection/simulation.js';

const candidates = Int32Array.from({ length: 100 }, (_, i) => i);
const byNumber = (options: Partial<ChooseOptions> = {}) =>
  choose(candidates, {
    budget: 20,
    randomShare: 0.1,
    perPrompt: Number.POSITIVE_INFINITY,
    promptOf: (candidate) => candidate % 10,
    costOf: () => 1,
    gains: Float64Array.from(candidates),
    gainOf: (candidate) => candidate,
    onChosen: () => {},
    random: new Random('choose'),
    ...options,
  });

describe('choosing', () => {
  it('takes the highest gains for certain and some by lot, with propensities that sum to the budget', () => {
    const chosen = byNumber();
    const byGain = chosen.filter(({ reason }) => reason === 'gain').map(({ candidate }) => candidate);
    expect(byGain).toEqual(Array.from({ length: 18 }, (_, i) => 99 - i));
    const byLot = chosen.filter(({ reason }) => reason === 'random');
    expect(byLot).toHaveLength(2);
    expect(byLot[0].propensity).toBe(2 / 82);
    expect(18 + 82 * byLot[0].propensity).toBeCloseTo(20, 12);
    expect(new Set(chosen.map(({ candidate }) => candidate)).size).toBe(20);
    expect(chosen.map(({ reason }) => reason).indexOf('random')).toBe(9);
  });

  it('gives the lot the propensity it has', () => {
    const times = new Map<number, number>();
    for (let draw = 0; draw < 2000; draw++)
      for (const { candidate, reason } of byNumber({ random: new Random(`${draw}`) }))
        if (reason === 'random') times.set(candidate, (times.get(candidate) ?? 0) + 1);
    expect(times.size).toBe(82);
    for (const count of times.values()) expect(Math.abs(count / 2000 - 2 / 82)).toBeLessThan(0.015);
  });

  it('looks at a gain again before it takes it', () => {
    const taken = new Set<number>();
    const chosen = byNumber({
      randomShare: 0,
      budget: 10,
      gainOf: (candidate) => (taken.has(candidate % 10) ? candidate - 50 : candidate),
      onChosen: (candidate) => taken.add(candidate % 10),
    });
    expect(chosen.map(({ candidate }) => candidate % 10).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('holds prompts to their share, divides by cost, and takes all where there is no more', () => {
    const held = byNumber({ perPrompt: 1 }).filter(({ reason }) => reason === 'gain');
    expect(held).toHaveLength(10);
    const cheap = byNumber({ budget: 1, randomShare: 0, costOf: (candidate) => (candidate === 3 ? 0.001 : 1) });
    expect(cheap[0].candidate).toBe(3);
    const all = byNumber({ budget: 1000 });
    expect(all).toHaveLength(100);
    expect(all.every(({ propensity }) => propensity === 1)).toBe(true);
  });

  it('takes the median time of a kind, of rare ones that of all', () => {
    const times = [1, 2, 3, 4, 50].map((seconds, i) => ({ pair: i, seconds })).concat([{ pair: 5, seconds: 100 }]);
    const costs = costsOf(['a', 'a', 'a', 'a', 'a', 'b'], times);
    expect(costs.of(0)).toBe(3);
    expect(costs.of(5)).toBe(3.5);
    expect(costsOf(['a'], [])).toMatchObject({ measured: false });
  });
});

describe('replay', () => {
  const about = { prompts: 3, items: 6, deviation: 2, ties: 0.3, seed: 0 };
  const pool = simulatedPool(about);
  const options: ReplayOptions = {
    pool,
    scale: { utilities: new Float64Array(pool.items), calibrated: false },
    worldOf: (i) => simulatedWorld(pool, about, i),
    replays: 6,
    batch: 4,
    target: 0.7,
    metric: 'kendall',
    seed: 0,
  };

  it('needs fewer labels than chance on a simulation, and says the same again', async () => {
    const first = await replay(options);
    expect(first.start).toBe(0);
    expect(first.full).toBe(1);
    expect(first.goal).toBe(0.7);
    expect(first.saving.value).toBeGreaterThan(0);
    expect(first.chosen.labels).toBeLessThan(first.atRandom.labels!);
    expect(await replay(options)).toEqual(first);
  });

  it('has no figure for a goal that votes cannot reach', async () => {
    const { chosen, saving } = await replay({
      ...options,
      worldOf: (i) => ({ ...simulatedWorld(pool, about, i), hasVotes: () => false }),
    });
    expect(chosen).toMatchObject({ labels: null, ci: null });
    expect(saving).toEqual({ value: null, ci: null });
  });
});
