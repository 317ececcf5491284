import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { prepareAuc } from '../../../src/core/stats/auc.js';
import { bcaInterval, percentileInterval } from '../../../src/core/stats/bootstrap.js';
import { prepareBrier, prepareBrierDecomposition } from '../../../src/core/stats/brier.js';
import {
  prepareDebiasedEce,
  prepareDebiasedRmsce,
  prepareEce,
  prepareEceMass,
  prepareMce,
} from '../../../src/core/stats/calibration-error.js';
import { pearson, spearman } from '../../../src/core/stats/correlation.js';
import { delongAuc } from '../../../src/core/stats/delong.js';
import { wilsonInterval } from '../../../src/core/stats/interval.js';
import { fitIsotonic, knotIndices } from '../../../src/core/stats/isotonic.js';
import { kendallTau } from '../../../src/core/stats/kendall.js';
import { prepareLogitLoss, prepareLogLoss } from '../../../src/core/stats/log-loss.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';
import { normalCdf, normalQuantile } from '../../../src/core/stats/normal.js';
import { shareAndWeight } from '../../../src/core/stats/outcomes.js';
import { poolAdjacentViolators } from '../../../src/core/stats/pava.js';
import { prepareMae, prepareRmse } from '../../../src/core/stats/prediction-error.js';
import { averageRanks } from '../../../src/core/stats/ranks.js';
import { signFlipTest } from '../../../src/core/stats/sign-flip.js';
import { prepareSmoothEce } from '../../../src/core/stats/smooth-ece.js';
import { spiegelhalterTest } from '../../../src/core/stats/spiegelhalter.js';

// Origin, versions and formulas: tests/golden/stats/make.py.
const vectors = JSON.parse(readFileSync(new URL('../../golden/stats/vectors.json', import.meta.url), 'utf8'));
const EXACT = 1e-9;

interface BinaryCase {
  name: string;
  logits: number[];
  positive: number[];
  negative: number[];
  clusters: number[];
  corp: { miscalibration: number; discrimination: number; uncertainty: number };
  spiegelhalter: { z: number; pValue: number };
  isotonic: { x: number[]; y: number[] };
  [figure: string]: unknown;
}

describe.each<BinaryCase>(vectors.binary)('on $name rows', (golden) => {
  const logits = Float64Array.from(golden.logits);
  const probabilities = logits.map(sigmoid);
  const outcomes = { positive: Float64Array.from(golden.positive), negative: Float64Array.from(golden.negative) };

  it.each([
    ['auc', prepareAuc(logits, outcomes)],
    ['nll', prepareLogitLoss(logits, outcomes)],
    ['nll', prepareLogLoss(probabilities, outcomes)],
    ['brier', prepareBrier(probabilities, outcomes)],
    ['ece', prepareEce(probabilities, outcomes)],
    ['eceVerified', prepareEce(probabilities, outcomes)],
    ['mce', prepareMce(probabilities, outcomes)],
    ['eceMass', prepareEceMass(probabilities, outcomes)],
    ['eceDebiased', prepareDebiasedEce(probabilities, outcomes)],
    ['rmsceDebiased', prepareDebiasedRmsce(probabilities, outcomes)],
    ['smece', prepareSmoothEce(probabilities, outcomes)],
  ] as const)('%s agrees with its reference', (figure, statistic) => {
    expect([statistic()]).toBeAllClose([golden[figure] as number], { atol: EXACT });
  });

  it('decomposes the Brier score as scikit-learn’s isotonic regression does', () => {
    const parts = prepareBrierDecomposition(probabilities, outcomes)();
    const { miscalibration, discrimination, uncertainty } = golden.corp;
    expect([parts?.miscalibration, parts?.discrimination, parts?.uncertainty]).toBeAllClose(
      [miscalibration, discrimination, uncertainty],
      { atol: EXACT },
    );
  });

  it('gives the AUC the standard errors of DeLong and of Obuchowski', () => {
    const clusterOf = Int32Array.from(golden.clusters);
    expect([
      delongAuc(logits, outcomes)?.standardError,
      delongAuc(logits, outcomes, { clusterOf })?.standardError,
    ]).toBeAllClose([golden['delong'] as number, golden['obuchowski'] as number], { atol: EXACT });
  });

  it('tests calibration as Spiegelhalter does', () => {
    const test = spiegelhalterTest(probabilities, outcomes);
    expect([test?.z, test?.pValue]).toBeAllClose([golden.spiegelhalter.z, golden.spiegelhalter.pValue], {
      atol: EXACT,
    });
  });

  it('fits the knots of scikit-learn’s isotonic regression', () => {
    const { share, weight } = shareAndWeight(outcomes);
    const points = fitIsotonic(logits, share, weight);
    const knots = Array.from(knotIndices(points));
    expect(knots.map((i) => points.x[i])).toBeAllClose(golden.isotonic.x, { atol: 0 });
    expect(knots.map((i) => points.y[i])).toBeAllClose(golden.isotonic.y, { atol: EXACT });
  });
});

describe.each<{ name: string; x: number[]; y: number[]; ranks: number[] } & Record<string, unknown>>(
  vectors.correlations,
)('between $name columns', (golden) => {
  const x = Float64Array.from(golden.x);
  const y = Float64Array.from(golden.y);

  it.each([
    ['pearson', pearson(x, y)],
    ['spearman', spearman(x, y)],
    ['kendall', kendallTau(x, y)],
    ['rmse', prepareRmse(x, y)()],
    ['mae', prepareMae(x, y)()],
  ])('%s agrees with its reference', (figure, value) => {
    expect([value]).toBeAllClose([golden[figure] as number], { atol: EXACT });
  });

  it('ranks are scipy’s', () => {
    expect(averageRanks(x)).toBeAllClose(golden.ranks, { atol: 0 });
  });
});

describe('single figures', () => {
  it('pools adjacent violators with weights as scikit-learn does', () => {
    const { y, weights, fit } = vectors.pava;
    expect(poolAdjacentViolators(y, weights)).toBeAllClose(fit, { atol: 1e-12 });
  });

  it('agrees with scipy on the normal distribution, tails included', () => {
    const { x, cdf, p, quantile } = vectors.normal;
    expect(x.map(normalCdf)).toBeAllClose(cdf, { atol: 0, rtol: 1e-13 });
    expect(p.map(normalQuantile)).toBeAllClose(quantile, { atol: 1e-14, rtol: 1e-13 });
  });

  it('gives percentile and BCa intervals as numpy and scipy do from the same resamples', () => {
    const { data, replicates, bca, percentile } = vectors.bootstrap;
    const sorted = Float64Array.from(replicates);
    const sum = data.reduce((total: number, value: number) => total + value, 0);
    const jackknife = Float64Array.from(data, (value: number) => (sum - value) / (data.length - 1));
    expect(percentileInterval(sorted)).toBeAllClose(percentile, { atol: EXACT });
    expect(bcaInterval(sum / data.length, sorted, jackknife)).toBeAllClose(bca, { atol: EXACT });
  });

  it.each<{ onlyFirst: number; onlySecond: number; pValue: number; midP: number }>(vectors.mcnemar)(
    'sign flips of $onlyFirst rows against $onlySecond are McNemar’s, the exact binomial',
    ({ onlyFirst, onlySecond, pValue, midP }) => {
      const differences = Float64Array.from({ length: onlyFirst + onlySecond }, (_, i) => (i < onlyFirst ? 1 : -1));
      const test = signFlipTest(differences);
      expect([test.pValue, test.midP]).toBeAllClose([pValue, midP], { atol: 1e-12 });
    },
  );

  it.each<{ differences: number[]; pValue: number }>(vectors.signFlips)(
    'sign flips of the clusters $differences are scipy’s permutation test',
    ({ differences, pValue }) => {
      expect(signFlipTest(Float64Array.from(differences)).pValue).toBeCloseTo(pValue, 12);
    },
  );

  it.each<{ successes: number; trials: number; ci: [number, number] }>(vectors.wilson)(
    'Wilson’s interval of $successes in $trials is scipy’s',
    ({ successes, trials, ci }) => {
      expect(wilsonInterval(successes, trials)).toBeAllClose(ci, { atol: EXACT });
    },
  );
});
