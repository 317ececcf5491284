import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { type Block, blockOf, judgeBaseline, judgeNoise, type Round } from '../../../src/core/profiling/compare.js';
import { turnsOf } from '../../../src/core/runtime/turns.js';

/**
 * Runs on a machine that others use: at times something holds it up for several times a run, and that fades over the next runs.
 * @param factors - time of each trial
 */
function busyRounds(seed: string, factors: readonly number[], count = 60): Round[] {
  const random = new Random(seed);
  let held = 0;
  return Array.from({ length: count }, (_, round) => {
    const turns = turnsOf(round, factors.length);
    const ms = new Array<number>(factors.length);
    for (const trial of turns) {
      held = random.uniform() < 0.1 ? 5 * random.uniform() : held / 2;
      ms[trial] = factors[trial] * (1 + 0.01 * Math.abs(random.normal())) * (1 + held);
    }
    return { ms, turns };
  });
}

const blocks = (seed: string, factors: readonly number[]): Block[] =>
  Array.from({ length: 12 }, (_, i) => blockOf(busyRounds(`${seed}/${i}`, factors)));

describe('a model against itself', () => {
  it('does not differ, however the machine is disturbed, in at least 19 of 20', () => {
    const noises = Array.from({ length: 20 }, (_, i) => judgeNoise(blocks(`aa${i}`, [1, 1]), 1.05));
    expect(noises.filter(({ quiet }) => quiet).length).toBeGreaterThanOrEqual(19);
    for (const { ratio } of noises) expect(Math.abs(ratio.value - 1)).toBeLessThan(0.02);
  });

  it('that differs from itself is noise, and so is one whose differences spread', () => {
    const differs = judgeNoise(blocks('d', [1, 1.1]), 1.05);
    expect(differs).toMatchObject({ quiet: false, reason: expect.stringContaining('differs from itself') });
    const wide = [-0.2, 0.2, -0.1, 0.1, -0.15, 0.15, 0, -0.3, 0.3, 0.01, -0.01, 0.05];
    const noise = judgeNoise(
      wide.map((self) => ({ self, baseline: null, pairs: 9 })),
      1.05,
    );
    expect(noise).toMatchObject({
      quiet: false,
      reason: 'differences under 22.1 % cannot be told on this machine now',
    });
    expect(noise.resolution).toBeCloseTo(Math.exp(0.2) - 1, 12);
  });

  it('of too few processes for an interval tells nothing', () => {
    const noise = judgeNoise([{ self: 0, baseline: null, pairs: 9 }], 1.05);
    expect(noise).toMatchObject({ quiet: false, resolution: null, reason: expect.stringContaining('too few') });
  });
});

describe('a model against a baseline', () => {
  it('that takes a tenth longer is found, in a median of the ratio', () => {
    for (const block of blocks('slow', [1.1, 1.1, 1])) expect(block.baseline).toBeCloseTo(Math.log(1.1), 1);
  });

  const quiet = { quiet: true, resolution: 0.01, reason: null, ratio: ratio(1, 0.99, 1.01) };
  function ratio(value: number, low: number, high: number) {
    return { value, ci: [low, high] as [number, number], level: 0.99, blocks: 12, pairs: 100 };
  }

  it.each([
    ['slower', 'slower', ratio(1.1, 1.07, 1.13)],
    ['slower', 'within', ratio(1.02, 1.01, 1.03)],
    ['none', 'within', ratio(1, 0.99, 1.02)],
    ['faster', 'within', ratio(0.9, 0.88, 0.92)],
    ['slower', 'none', ratio(1.05, 1.02, 1.08)],
    ['none', 'none', ratio(1.01, 0.9, 1.1)],
  ])('is %s and its verdict %s by the interval', (difference, verdict, measured) => {
    expect(judgeBaseline(measured, 1.05, quiet)).toMatchObject({ difference, verdict });
  });

  it('gets no verdict on a noisy machine', () => {
    const noisy = { ...quiet, quiet: false, reason: 'it is loud' };
    const judged = judgeBaseline(ratio(2, 1.9, 2.1), 1.05, noisy);
    expect(judged).toEqual({ difference: 'unknown', verdict: 'none', reason: 'No verdict: it is loud.' });
  });
});
