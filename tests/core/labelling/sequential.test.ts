import { expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { AccuracyTest, GOLD_ALARM, SIDE_ALARM, sideEValue } from '../../../src/core/labelling/sequential.js';

it('a rater who always takes the first is found by the 15th vote, and either way', () => {
  const needed = Array.from({ length: 60 }, (_, n) => n).find((n) => sideEValue(n, 0) >= SIDE_ALARM);
  expect(needed).toBe(14);
  expect(sideEValue(0, 14)).toBe(sideEValue(14, 0));
});

it('one who takes the first in four of five is found within 60 votes in most runs', () => {
  const found = Array.from({ length: 200 }, (_, run) => looks(`biased ${run}`, 0.8, 60)).filter(Boolean).length;
  expect(found).toBeGreaterThan(150);
});

it('one who looks is accused in less than one of a thousand runs, however often one looks', () => {
  const accused = Array.from({ length: 2000 }, (_, run) => looks(`fair ${run}`, 0.5, 500)).filter(Boolean).length;
  expect(accused).toBeLessThanOrEqual(6); // 2 expected at most
});

function looks(seed: string, share: number, votes: number): boolean {
  const random = new Random(seed);
  let first = 0;
  for (let n = 1; n <= votes; n++) {
    if (random.uniform() < share) first++;
    if (sideEValue(first, n - first) >= SIDE_ALARM) return true;
  }
  return false;
}

it('the bets on accuracy are fair: at the border the alarm rings in at most one of 20 runs of 500 answers', () => {
  let alarms = 0;
  for (let run = 0; run < 400; run++) {
    const random = new Random(`border ${run}`);
    const test = new AccuracyTest();
    for (let n = 0; n < 500; n++) {
      test.add(random.uniform() < 0.8);
      if (test.eValue < GOLD_ALARM) continue;
      alarms++;
      break;
    }
  }
  expect(alarms).toBeLessThanOrEqual(30); // 20 expected at most
});

it('the side bet equals the integral that it is', () => {
  // By Simpson's rule over 10,000 steps.
  const integral = (first: number, second: number): number => {
    const steps = 10_000;
    let sum = 0;
    for (let i = 0; i <= steps; i++) {
      const p = i / steps;
      sum += (i === 0 || i === steps ? 1 : i % 2 ? 4 : 2) * p ** first * (1 - p) ** second;
    }
    return (sum / (3 * steps)) * 2 ** (first + second);
  };
  for (const [first, second] of [
    [3, 5],
    [20, 4],
    [0, 9],
  ])
    expect(sideEValue(first, second) / integral(first, second)).toBeCloseTo(1, 9);
});
