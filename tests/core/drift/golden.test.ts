import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CalibrationBet, eBenjaminiHochberg, RankBet } from '../../../src/core/drift/betting.js';
import { effectOfCategories, gOf } from '../../../src/core/drift/categories.js';
import { EnergyTest } from '../../../src/core/drift/energy.js';
import { estimatePerformance } from '../../../src/core/drift/estimated.js';
import { distancesOf } from '../../../src/core/drift/numbers.js';

// Origin, versions and formulas: tests/golden/drift/make.py.
const vectors = JSON.parse(readFileSync(new URL('../../golden/drift/vectors.json', import.meta.url), 'utf8'));

interface NumbersCase {
  name: string;
  a: number[];
  b: number[];
  ks: number;
  wasserstein: number;
  energy: number;
}

const alone = (values: number[]) => ({
  values: Float64Array.from(values),
  columns: 1,
  cluster: Int32Array.from(values, (_, i) => i),
  clusters: values.length,
});

describe.each<NumbersCase>(vectors.numbers)('two samples that are $name', ({ a, b, ks, wasserstein, energy }) => {
  const size = [...a, ...b].reduce((most, value) => Math.max(most, Math.abs(value)), 0);

  it('are as far apart as scipy says', () => {
    const found = distancesOf(Float64Array.from(a), Float64Array.from(b));
    expect(Math.abs(found.ks - ks)).toBeLessThanOrEqual(1e-12);
    expect(Math.abs(found.wasserstein - wasserstein)).toBeLessThanOrEqual(1e-12 * Math.max(1, size));
  });

  it('have the energy distance that scipy gives', () => {
    const test = new EnergyTest(alone(a), alone(b));
    const into = new Float64Array(1);
    test.measure(new Uint8Array(a.length + b.length).fill(1, a.length), into);
    expect(Math.abs(into[0] - energy)).toBeLessThanOrEqual(1e-9 * Math.max(1, size));
  });
});

describe('categories', () => {
  it.each<{ name: string; a: number[]; b: number[]; g: number }>(vectors.categories)(
    'have the G statistic of scipy: $name',
    ({ a, b, g }) => {
      expect(gOf(a, b)).toBeCloseTo(g, 9);
    },
  );

  it('of two kinds are apart by the h of Cohen', () => {
    const h = 2 * Math.asin(Math.sqrt(0.6)) - 2 * Math.asin(Math.sqrt(0.5));
    expect(effectOfCategories([0.5, 0.5], [0.6, 0.4])).toBeCloseTo(h, 9);
  });
});

describe('estimated performance', () => {
  it.each<{ name: string; p: number[]; auc: number; accuracy: number }>(vectors.cbpe)(
    'is that of nannyml: $name',
    ({ p, auc, accuracy }) => {
      const estimated = estimatePerformance(Float64Array.from(p));
      expect(Math.abs(estimated.accuracy - accuracy)).toBeLessThanOrEqual(1e-6);
      expect(Math.abs(estimated.auc! - auc)).toBeLessThanOrEqual(1e-6);
    },
  );
});

describe('evidence', () => {
  it.each<{ name: string; p: number[]; y: number[]; logE: number }>(vectors.calibration)(
    'on labels is that of the definition: $name',
    ({ p, y, logE }) => {
      const whole = new CalibrationBet();
      let resumed = new CalibrationBet();
      p.forEach((probability, i) => {
        whole.take([{ probability, label: y[i] }]);
        resumed = new CalibrationBet(JSON.parse(JSON.stringify(resumed.wealth)));
        resumed.take([{ probability, label: y[i] }]);
      });
      expect(whole.logE).toBeCloseTo(logE, 9);
      expect(resumed.logE).toBe(whole.logE);
    },
  );

  it.each<{ name: string; knots: number[]; counts: number[]; scores: number[]; ties: number[]; logE: number }>(
    vectors.ranks,
  )('on scores is that of the definition: $name', ({ knots, counts, scores, ties, logE }) => {
    const bet = new RankBet(Float64Array.from(knots), counts);
    scores.forEach((score, i) => void bet.take(score, ties[i]));
    expect(bet.logE).toBeCloseTo(logE, 9);
  });

  it('of several monitors is weighed by e-BH', () => {
    const logs = [30, 100, 1, 25].map(Math.log);
    expect(eBenjaminiHochberg(logs, 0.1)).toEqual([true, true, false, true]);
    expect(eBenjaminiHochberg(logs, 0.05)).toEqual([false, true, false, false]);
  });
});
