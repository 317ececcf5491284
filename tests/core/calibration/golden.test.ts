import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { applyCurve } from '../../../src/core/calibration/curve.js';
import { buildCurveGraph, CURVE_INPUT, CURVE_OUTPUT } from '../../../src/core/calibration/curve-graph.js';
import { fitCalibrator } from '../../../src/core/calibration/fit-calibrator.js';
import type { JudgedLogits } from '../../../src/core/calibration/judged.js';
import { beta } from '../../../src/core/calibration/methods/beta.js';
import { isotonic, isotonicPoints } from '../../../src/core/calibration/methods/isotonic.js';
import { platt } from '../../../src/core/calibration/methods/platt.js';
import { CALIBRATION_METHODS } from '../../../src/core/calibration/methods/registry.js';
import { SCALE_METHODS } from '../../../src/core/calibration/methods/scale.js';
import { temperature } from '../../../src/core/calibration/methods/temperature.js';
import { PAIR_TASK } from '../../../src/core/calibration/pair-task.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import { interpolate } from '../../../src/core/stats/isotonic.js';
import { prepareLogLoss } from '../../../src/core/stats/log-loss.js';
import { outcomesOfLabels } from '../../../src/core/stats/outcomes.js';
import { floats, runModel } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';

// Origin: tests/golden/calibration/make.py, scikit-learn 1.9.1 and betacal 1.1.0.
interface Case {
  logits: number[];
  positive: number[];
  negative: number[];
  platt: [number, number];
  plattSymmetric: [number, number];
  temperature: number;
  isotonic: number[];
  isotonicSymmetric: number[];
}
const vectors: {
  grid: number[];
  cases: Case[];
  far: {
    name: string;
    logits: number[];
    positive: number[];
    negative: number[];
    loss: number;
    lossSymmetric: number;
  }[];
  separable: Pick<Case, 'logits' | 'positive' | 'negative' | 'temperature'> & { betaQuantile: number };
  beta: { logits: number[]; labels: number[]; predicted: number[] };
  linear: { logits: number[]; scores: number[]; slope: number; intercept: number };
} = JSON.parse(readFileSync(new URL('../../golden/calibration/vectors.json', import.meta.url), 'utf8'));

const both = { symmetric: true, strictlyMonotone: false };
const ordered = { symmetric: false, strictlyMonotone: false };

const judgedOf = ({ logits, positive, negative }: Pick<Case, 'logits' | 'positive' | 'negative'>): JudgedLogits => ({
  logits: Float64Array.from(logits),
  outcomes: { positive: Float64Array.from(positive), negative: Float64Array.from(negative) },
});

/** Mean negative log likelihood of the votes. */
const meanLoss = ({ logits, outcomes }: JudgedLogits, predict: (logit: number) => number): number =>
  prepareLogLoss(logits.map(predict), outcomes)()!;

describe.each(vectors.cases)('calibrators against scikit-learn, case %#', (vector) => {
  const data = judgedOf(vector);

  it('Platt finds the same slope and intercept', () => {
    expect(platt.fit(data, ordered)).toMatchObject({ kind: 'sigmoid' });
    const { slope, intercept } = platt.fit(data, ordered) as { slope: number; intercept: number };
    expect([slope, intercept]).toBeAllClose(vector.platt, { atol: 1e-6 }); // sklearn stops L-BFGS at a gradient of 1e-6
  });

  it('Platt on both orders is their fit to mirrored rows, whose intercept is 0', () => {
    const { slope, intercept } = platt.fit(data, both) as { slope: number; intercept: number };
    expect(intercept).toBe(0);
    expect([slope, intercept]).toBeAllClose(vector.plattSymmetric, { atol: 1e-6 });
  });

  it('temperature finds the scale of a logistic regression on the votes and two imagined ones', () => {
    expect((temperature.fit(data, both) as { slope: number }).slope).toBeCloseTo(vector.temperature, 6);
  });

  it('isotonic regression is the same map, from one side and from both', () => {
    const oneSided = isotonicPoints(data, false);
    expect(vectors.grid.map((x) => interpolate(oneSided, x))).toBeAllClose(vector.isotonic, { atol: 1e-9 });
    const mirrored = isotonicPoints(data, true);
    const values = vectors.grid.map((x) => (x < 0 ? 1 - interpolate(mirrored, -x) : interpolate(mirrored, x)));
    expect(values).toBeAllClose(vector.isotonicSymmetric, { atol: 1e-9 });
  });
});

describe('votes that the score has all right', () => {
  const data = judgedOf(vectors.separable);

  it('have the temperature of a logistic regression with two imagined votes', () => {
    expect((temperature.fit(data, both) as { slope: number }).slope).toBeCloseTo(vectors.separable.temperature, 6);
  });

  it.each(CALIBRATION_METHODS.filter(({ id }) => id !== 'none'))('end in no certainty by $id', (method) => {
    const n = data.logits.length;
    for (const options of [both, ordered]) {
      const curve = method.fit(data, options);
      const sizes = [...data.logits].map(Math.abs).sort((a, b) => a - b);
      // By the rule of Laplace, on average; at the largest a sigmoid is surer, and not certain.
      const mean = sizes.reduce((sum, size) => sum + applyCurve(curve, size), 0) / n;
      expect(mean).toBeLessThan((n + 1) / (n + 2) + 1e-9);
      expect(applyCurve(curve, sizes[n - 1])).toBeLessThan(0.9999999);
    }
  });

  it.each(['temperature', 'platt', 'beta'])(
    'of ten raters leave a band about that of Beta(11, 1), by %s',
    async (id) => {
      const method = CALIBRATION_METHODS.find((one) => one.id === id)!;
      const ten = new Float64Array(10);
      const rows = {
        logits: ten.map(() => 1),
        outcomes: { positive: ten.map(() => 1), negative: ten },
        cluster: { names: [...ten.keys()].map(String), codes: Int32Array.from(ten.keys()) },
      };
      const fitted = await fitCalibrator(
        PAIR_TASK,
        rows,
        [{ id, minClusters: method.minClusters, fit: (some) => method.fit(some, both) }],
        { auto: false, folds: 5, seed: 0, resamples: 500 },
      );
      const { band, warnings } = fitted;
      const at = band!.x.indexOf(1);
      if (id !== 'platt') expect(Math.abs(band!.lower[at] - vectors.separable.betaQuantile)).toBeLessThan(0.05);
      expect(band!.upper[at]).toBeLessThan(1);
      expect(band!.upper[at] - band!.lower[at]).toBeGreaterThan(0.15);
      expect(warnings.join(' ')).toContain('All votes are for the left: how steep the curve is cannot be told');
    },
  );
});

describe.each(vectors.far)('isotonic regression on $name', (vector) => {
  const data = judgedOf(vector);

  it.each([true, false])('has the log loss of scikit-learn, when symmetric is %s', (symmetric) => {
    const curve = isotonic.fit(data, { symmetric, strictlyMonotone: false });
    const loss = meanLoss(data, (logit) => applyCurve(curve, logit));
    expect(Math.abs(loss - (symmetric ? vector.lossSymmetric : vector.loss))).toBeLessThan(0.01);
  });

  it.each([true, false])('is the same as a graph in float32, when symmetric is %s', async (symmetric) => {
    const curve = isotonic.fit(data, { symmetric, strictlyMonotone: false });
    if (curve.kind !== 'knots') throw new TypeError('isotonic gives knots');
    const between = curve.x.flatMap((x, i) => [x, (x + (curve.x[i + 1] ?? x)) / 2]);
    const logits = Float32Array.from([...vector.logits, ...between, ...between.map((x) => -x)]);
    const graph = buildCurveGraph(curve, 14, { dtype: 'F32', shape: ['rows'] });
    const feeds = new Map([[CURVE_INPUT, float32Value([logits.length], logits)]]);
    const values = floats(await runModel(graph, tempFolder(), feeds), CURVE_OUTPUT);
    const expected = Array.from(logits, (x) => applyCurve(curve, x));
    expect(values).toBeAllClose(expected, { atol: 2e-6 });
  });
});

it('beta calibration predicts as betacal, with the two imagined votes', () => {
  const outcomes = outcomesOfLabels(vectors.beta.labels);
  const curve = beta.fit({ logits: Float64Array.from(vectors.beta.logits), outcomes }, ordered);
  expect(vectors.grid.map((x) => applyCurve(curve, x))).toBeAllClose(vectors.beta.predicted, { atol: 1e-6 });
});

it('the line to a human scale is the least-squares line', () => {
  const { logits, scores, slope, intercept } = vectors.linear;
  const items = {
    logits: Float64Array.from(logits),
    scores: Float64Array.from(scores),
    weights: new Float64Array(logits.length).fill(1),
    cluster: { names: [], codes: new Int32Array(logits.length) },
  };
  const line = SCALE_METHODS[0].fit(items, { strictlyMonotone: false }) as { slope: number; intercept: number };
  expect([line.slope, line.intercept]).toBeAllClose([slope, intercept], { atol: 1e-9 });
});
