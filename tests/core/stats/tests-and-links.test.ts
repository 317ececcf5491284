import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auc } from '../../../src/core/stats/auc.js';
import { prepareBrierDecomposition } from '../../../src/core/stats/brier.js';
import { type Binning, prepareEqualMassBins, prepareEqualWidthBins } from '../../../src/core/stats/calibration-bins.js';
import { delongAuc } from '../../../src/core/stats/delong.js';
import { holmAdjust } from '../../../src/core/stats/holm.js';
import { wilsonInterval } from '../../../src/core/stats/interval.js';
import { prepareLogitLoss, prepareLogLoss } from '../../../src/core/stats/log-loss.js';
import { logit, logSigmoid, sigmoid } from '../../../src/core/stats/logistic.js';
import { erfc, normalCdf, normalQuantile } from '../../../src/core/stats/normal.js';
import { outcomesOfLabels } from '../../../src/core/stats/outcomes.js';
import { clusterDifferences, signFlipTest } from '../../../src/core/stats/sign-flip.js';
import { spiegelhalterTest } from '../../../src/core/stats/spiegelhalter.js';
import { finite, tiedProbability, toRows, tuples } from './arbitraries.js';

describe('the logistic function', () => {
  it('of x and of -x add up to 1 exactly', () => {
    fc.assert(
      fc.property(finite, (x) => {
        expect(sigmoid(x) + sigmoid(-x)).toBe(1);
      }),
    );
  });

  it('has a finite logarithm for every finite x', () => {
    expect([-1e6, -800, 0, 800].map(logSigmoid)).toBeAllClose([-1e6, -800, -Math.LN2, 0], { atol: 1e-15 });
  });

  it('is undone by logit', () => {
    expect([-20, -1, 0, 3].map((x) => logit(sigmoid(x)))).toBeAllClose([-20, -1, 0, 3], { atol: 1e-13 });
  });
});

describe('log loss', () => {
  it('of a confident mistake is its logit, where the probability itself has rounded to 1', () => {
    const wrong = outcomesOfLabels([0]);
    expect(prepareLogitLoss(Float64Array.of(800), wrong)()).toBe(800);
    expect([prepareLogLoss(Float64Array.of(1), wrong)()]).toBeAllClose([52 * Math.LN2], { atol: 1e-9 });
  });

  it('of a soft label is that of its votes', () => {
    const soft = prepareLogitLoss(Float64Array.of(0.7), outcomesOfLabels([0.25], [4]));
    const votes = prepareLogitLoss(Float64Array.of(0.7), {
      positive: Float64Array.of(1),
      negative: Float64Array.of(3),
    });
    expect(soft()).toBe(votes());
  });

  it('refuses an infinite logit and a probability outside [0, 1]', () => {
    expect(() => prepareLogitLoss(Float64Array.of(Number.POSITIVE_INFINITY), outcomesOfLabels([1]))).toThrow(
      RangeError,
    );
    expect(() => prepareLogLoss(Float64Array.of(1.0000001), outcomesOfLabels([1]))).toThrow(RangeError);
  });
});

describe('outcomesOfLabels', () => {
  it.each([
    ['a label above 1', [1.5], undefined],
    ['a label that is NaN', [Number.NaN], undefined],
    ['a negative weight', [1], [-1]],
    ['an infinite weight', [1], [Number.POSITIVE_INFINITY]],
    ['weights of another length', [1], [1, 1]],
  ])('refuses %s', (_, labels, weights) => {
    expect(() => outcomesOfLabels(labels, weights)).toThrow(RangeError);
  });
});

describe('AUC', () => {
  it('is one half where all scores are tied, and null with one class', () => {
    expect(auc(new Float64Array(4).fill(7), outcomesOfLabels([1, 0, 1, 1]))).toBe(0.5);
    expect(auc(Float64Array.of(1, 2), outcomesOfLabels([1, 1]))).toBeNull();
  });

  it('orders infinite scores', () => {
    const scores = Float64Array.of(Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY);
    expect(auc(scores, outcomesOfLabels([0, 0, 1]))).toBe(1);
  });

  it('and that of the opposite scores add up to 1', () => {
    fc.assert(
      fc.property(tuples(finite), (list) => {
        const { values, outcomes } = toRows(list);
        const value = auc(values, outcomes);
        fc.pre(value !== null);
        expect([
          (value as number) +
            (auc(
              values.map((x) => -x),
              outcomes,
            ) as number),
        ]).toBeAllClose([1], { atol: 1e-12 });
      }),
    );
  });

  it('has the standard error of DeLong where every row is its own cluster', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(tiedProbability, fc.boolean()), { minLength: 1, maxLength: 30 }), (list) => {
        const scores = Float64Array.from(list, ([score]) => score);
        const outcomes = outcomesOfLabels(list.map(([, label]) => (label ? 1 : 0)));
        const plain = delongAuc(scores, outcomes);
        const clustered = delongAuc(scores, outcomes, { clusterOf: Int32Array.from(scores.keys()) });
        if (plain === null) expect(clustered).toBeNull();
        else expect([clustered?.standardError]).toBeAllClose([plain.standardError], { atol: 1e-12 });
      }),
    );
  });

  it('has no standard error with fewer than two votes of a class, or all in one cluster', () => {
    const scores = Float64Array.of(1, 2, 3, 4);
    expect(delongAuc(scores, outcomesOfLabels([0, 1, 1, 1]))).toBeNull();
    expect(delongAuc(scores, outcomesOfLabels([0, 1, 0, 1]), { clusterOf: new Int32Array(4) })).toBeNull();
  });
});

describe('calibration bins', () => {
  const binsOf = (binning: Binning) => binning.ofRows();
  const binsAt = (p: number) =>
    binsOf(prepareEqualWidthBins(Float64Array.of(p, 1), outcomesOfLabels([1, 1], [1, 0]), 15));

  it('of equal width are closed on the right, at the edges as float64 has them', () => {
    for (let i = 1; i <= 15; i++) {
      const edges = Float64Array.of(i / 15, (i - 0.5) / 15);
      expect(binsOf(prepareEqualWidthBins(edges, outcomesOfLabels([1, 0]), 15))).toHaveLength(1);
    }
    expect(binsAt(0)).toEqual([{ weight: 1, forecast: 0, rate: 1 }]);
  });

  it('of equal mass keep equal probabilities together', () => {
    const p = Float64Array.of(0.1, 0.5, 0.5, 0.5, 0.5, 0.9);
    const bins = binsOf(prepareEqualMassBins(p, outcomesOfLabels([0, 1, 1, 0, 0, 1]), 3));
    expect(bins.map(({ weight }) => weight)).toEqual([5, 1]);
  });

  it('hold every vote once', () => {
    fc.assert(
      fc.property(tuples(tiedProbability), (list) => {
        const { values, outcomes } = toRows(list);
        const votes = outcomes.positive.reduce((sum, value, i) => sum + value + outcomes.negative[i], 0);
        for (const prepare of [prepareEqualWidthBins, prepareEqualMassBins]) {
          const bins = binsOf(prepare(values, outcomes));
          expect(bins.reduce((sum, { weight }) => sum + weight, 0)).toBe(votes);
          expect(bins.length).toBeLessThanOrEqual(15);
        }
      }),
    );
  });
});

describe('the CORP decomposition', () => {
  it('adds up: Brier score = miscalibration - discrimination + uncertainty', () => {
    fc.assert(
      fc.property(tuples(tiedProbability), (list) => {
        const { values, outcomes } = toRows(list);
        const parts = prepareBrierDecomposition(values, outcomes)();
        if (parts === null) return;
        const { brier, miscalibration, discrimination, uncertainty } = parts;
        expect([miscalibration - discrimination + uncertainty]).toBeAllClose([brier], { atol: 1e-12 });
      }),
    );
  });

  it('is null where nobody voted', () => {
    expect(prepareBrierDecomposition(Float64Array.of(0.5), outcomesOfLabels([1], [0]))()).toBeNull();
  });
});

describe('tests', () => {
  it('Spiegelhalter’s has no variance where every probability is 0, 0.5 or 1', () => {
    expect(spiegelhalterTest(Float64Array.of(0, 0.5, 1), outcomesOfLabels([1, 1, 0]))).toBeNull();
  });

  it('sign flips of whole clusters take rows of one prompt together, and half credits as halves', () => {
    const model = Float64Array.of(1, 1, 1, 1, 0.5, 0);
    const baseline = Float64Array.of(0, 0, 0, 0, 0, 1);
    const together = clusterDifferences(model, baseline, { of: Int32Array.of(0, 0, 0, 0, 1, 2), count: 3 });
    expect(Array.from(together)).toEqual([4, 0.5, -1]);
    expect(signFlipTest(together).pValue).toBe(0.75); // 5.5, 4.5 and 3.5 of the four sizes are 3.5 or more
    expect(signFlipTest(Float64Array.of(0, 0))).toEqual({ pValue: 1, midP: 1 });
    expect(() => signFlipTest(Float64Array.of(Number.NaN))).toThrow(RangeError);
  });

  it('sign flips of differences that are no halves are about normal, as those of halves beside them', () => {
    const exact = Float64Array.from({ length: 400 }, (_, i) => (i % 9 < 5 ? 1 : -1));
    const { pValue } = signFlipTest(exact);
    expect(Math.abs(signFlipTest(exact.map((value) => value * 1.0001)).midP - signFlipTest(exact).midP)).toBeLessThan(
      0.003,
    );
    expect(pValue).toBeGreaterThan(0.01);
  });

  // Vector: R 4, p.adjust(c(0.01, 0.04, 0.03, 0.005, 0.9), method = "holm")
  it('Holm’s adjusts as R does, in the order given', () => {
    expect(holmAdjust([0.01, 0.04, 0.03, 0.005, 0.9])).toBeAllClose([0.04, 0.09, 0.09, 0.025, 0.9], { atol: 1e-15 });
    expect(holmAdjust([])).toEqual([]);
    expect(() => holmAdjust([Number.NaN])).toThrow(RangeError);
  });
});

describe('the normal distribution', () => {
  it('is finite at the ends, and its quantile refuses them', () => {
    const { POSITIVE_INFINITY: above, NEGATIVE_INFINITY: below } = Number;
    expect([below, -50, 50, above].map(normalCdf)).toEqual([0, 0, 1, 1]);
    expect(erfc(0)).toBe(1);
    for (const p of [0, 1, -0.1, Number.NaN]) expect(() => normalQuantile(p)).toThrow(RangeError);
  });

  it('has a quantile that undoes it', () => {
    fc.assert(
      fc.property(fc.double({ min: -8, max: 5, noNaN: true }), (x) => {
        expect([normalQuantile(normalCdf(x))]).toBeAllClose([x], { atol: 1e-8 });
      }),
    );
  });

  it('gives no interval of a proportion that is none', () => {
    for (const [successes, trials] of [
      [1, 0],
      [2, 1],
      [Number.NaN, 3],
    ]) {
      expect(() => wilsonInterval(successes, trials)).toThrow(RangeError);
    }
  });
});
