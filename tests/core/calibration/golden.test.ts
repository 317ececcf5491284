import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { applyCurve } from '../../../src/core/calibration/curve.js';
import { beta } from '../../../src/core/calibration/methods/beta.js';
import { isotonicKnots } from '../../../src/core/calibration/methods/isotonic.js';
import { platt } from '../../../src/core/calibration/methods/platt.js';
import { SCALE_METHODS } from '../../../src/core/calibration/methods/scale.js';
import { temperature } from '../../../src/core/calibration/methods/temperature.js';
import { interpolate } from '../../../src/core/stats/isotonic.js';
import { outcomesOfLabels } from '../../../src/core/stats/outcomes.js';

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
  beta: { logits: number[]; labels: number[]; predicted: number[] };
  linear: { logits: number[]; scores: number[]; slope: number; intercept: number };
} = JSON.parse(readFileSync(new URL('../../golden/calibration/vectors.json', import.meta.url), 'utf8'));

const both = { symmetric: true, strictlyMonotone: false };
const ordered = { symmetric: false, strictlyMonotone: false };

describe.each(vectors.cases)('calibrators against scikit-learn, case %#', (vector) => {
  const data = {
    logits: Float64Array.from(vector.logits),
    outcomes: { positive: Float64Array.from(vector.positive), negative: Float64Array.from(vector.negative) },
  };

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

  it('temperature finds the same scale', () => {
    expect((temperature.fit(data, both) as { slope: number }).slope).toBeCloseTo(vector.temperature, 6);
  });

  it('isotonic regression is the same map, from one side and from both', () => {
    const oneSided = isotonicKnots(data, false);
    expect(vectors.grid.map((x) => interpolate(oneSided, x))).toBeAllClose(vector.isotonic, { atol: 1e-9 });
    const mirrored = isotonicKnots(data, true);
    const values = vectors.grid.map((x) => (x < 0 ? 1 - interpolate(mirrored, -x) : interpolate(mirrored, x)));
    expect(values).toBeAllClose(vector.isotonicSymmetric, { atol: 1e-9 });
  });
});

it('beta calibration predicts as betacal', () => {
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
