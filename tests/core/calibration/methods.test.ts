import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyCurve } from '../../../src/core/calibration/curve.js';
import type { JudgedLogits } from '../../../src/core/calibration/judged.js';
import { CALIBRATION_METHODS } from '../../../src/core/calibration/methods/registry.js';
import { curveSchema, MAX_KNOTS } from '../../../src/core/onnx/curve.js';

const judged = (rows: readonly (readonly [logit: number, left: number, right: number])[]): JudgedLogits => ({
  logits: Float64Array.from(rows, ([logit]) => logit),
  outcomes: {
    positive: Float64Array.from(rows, ([, left]) => left),
    negative: Float64Array.from(rows, ([, , right]) => right),
  },
});

const row = fc.tuple(
  fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 5 }),
);
const data = fc.array(row, { minLength: 1, maxLength: 60 }).map((rows) => judged([...rows, [0.5, 1, 0]]));
const probes = [-1e30, -1e6, -3.2, -1, -1e-9, 0, 1e-9, 0.5, 2, 1e6, 1e30];

describe.each(CALIBRATION_METHODS)('$id', (method) => {
  const curveOf = (rows: JudgedLogits, symmetric = true, strictlyMonotone = false) =>
    method.fit(rows, { symmetric, strictlyMonotone });

  it('gives a finite, never decreasing curve that its file can hold, whatever the votes', () => {
    fc.assert(
      fc.property(data, fc.boolean(), fc.boolean(), (rows, symmetric, strict) => {
        const curve = curveOf(rows, symmetric, strict);
        expect(curveSchema.safeParse(curve).success).toBe(true);
        const values = probes.map((x) => applyCurve(curve, x));
        for (const [i, value] of values.entries()) {
          expect(value >= 0 && value <= 1).toBe(true);
          if (i > 0) expect(value).toBeGreaterThanOrEqual(values[i - 1]);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives p(a over b) = 1 - p(b over a) exactly on both orders', () => {
    fc.assert(
      fc.property(data, fc.double({ min: -100, max: 100, noNaN: true }), (rows, x) => {
        const curve = curveOf(rows);
        expect(applyCurve(curve, x) + applyCurve(curve, -x)).toBe(1);
      }),
      { numRuns: 60 },
    );
  });

  it('does not depend on which side is called left', () => {
    const rows = judged([
      [1, 3, 1],
      [-2, 1, 4],
      [0.3, 2, 2],
      [4, 5, 0],
      [-0.1, 1, 0],
    ]);
    const swapped = judged([
      [-1, 1, 3],
      [2, 4, 1],
      [-0.3, 2, 2],
      [-4, 0, 5],
      [0.1, 0, 1],
    ]);
    for (const x of probes) expect(applyCurve(curveOf(swapped), x)).toBeCloseTo(applyCurve(curveOf(rows), x), 9);
  });

  it('takes votes as counts: two rows of one vote are one row of two', () => {
    const once = judged([
      [1, 2, 0],
      [2, 1, 1],
      [-1, 1, 2],
      [3, 4, 2],
    ]);
    const twice = judged([
      [1, 1, 0],
      [1, 1, 0],
      [2, 1, 0],
      [2, 0, 1],
      [-1, 1, 0],
      [-1, 0, 2],
      [3, 4, 2],
    ]);
    if (method.id === 'isotonic') return; // its clamp counts rows: fewer are further from 0 and 1
    for (const x of [-3, -1, 0.4, 2])
      expect(applyCurve(curveOf(twice), x)).toBeCloseTo(applyCurve(curveOf(once), x), 7);
  });

  // HOSTILE 113
  it.each([
    ['one row', judged([[1, 1, 0]])],
    [
      'equal logits',
      judged([
        [2, 1, 0],
        [2, 0, 1],
        [2, 1, 0],
      ]),
    ],
    [
      'logits of 0',
      judged([
        [0, 1, 0],
        [0, 0, 1],
      ]),
    ],
    [
      'ties only',
      judged([
        [1, 0.5, 0.5],
        [-2, 0.5, 0.5],
      ]),
    ],
    [
      'one class',
      judged([
        [1, 1, 0],
        [2, 1, 0],
        [-1, 1, 0],
      ]),
    ],
    [
      'separable votes',
      judged([
        [1, 3, 0],
        [2, 3, 0],
        [-1, 0, 3],
        [-2, 0, 3],
      ]),
    ],
    [
      'huge logits',
      judged([
        [1e300, 1, 0],
        [-1e300, 0, 1],
        [5, 0, 1],
      ]),
    ],
    [
      'tiny logits',
      judged([
        [1e-300, 1, 0],
        [-1e-300, 1, 0],
        [2e-300, 0, 1],
      ]),
    ],
    [
      'a contradicted score',
      judged([
        [1, 0, 9],
        [-1, 9, 0],
        [3, 0, 9],
      ]),
    ],
  ])('stays finite on %s', (_, rows) => {
    for (const symmetric of [true, false]) {
      const curve = curveOf(rows, symmetric);
      expect(curveSchema.safeParse(curve).success).toBe(true);
      for (const x of probes) expect(Number.isFinite(applyCurve(curve, x))).toBe(true);
    }
  });
});

describe('the isotonic curve', () => {
  const isotonic = CALIBRATION_METHODS.find(({ id }) => id === 'isotonic')!;
  const steep = judged(
    Array.from({ length: 4000 }, (_, i) => {
      const x = (i - 2000) / 300 + (i % 7) * 1e-7;
      const left = Math.round(10 / (1 + Math.exp(-x)) + ((i * 37) % 5) - 2);
      return [x, Math.min(10, Math.max(0, left)), 10 - Math.min(10, Math.max(0, left))] as const;
    }),
  );

  it.each([true, false])('has few knots, each a float32, inside (0, 1), when symmetric is %s', (symmetric) => {
    const curve = isotonic.fit(steep, { symmetric, strictlyMonotone: false });
    if (curve.kind !== 'knots') throw new TypeError('isotonic gives knots');
    const { x, y } = curve;
    expect(x.length).toBeLessThanOrEqual(symmetric ? MAX_KNOTS / 2 : MAX_KNOTS);
    for (let i = 1; i < x.length; i++) expect(x[i]).toBeGreaterThan(x[i - 1]);
    for (const at of x) expect(Math.fround(at)).toBe(at);
    for (const value of y) expect(value >= 1 / 4002 && value <= 1 - 1 / 4002).toBe(true);
  });

  it('has no flat stretch in the range of the data, or as far again beyond it, when it must be strictly monotone', () => {
    for (const symmetric of [true, false]) {
      const curve = isotonic.fit(steep, { symmetric, strictlyMonotone: true });
      for (let x = -13; x < 13; x += 0.01) expect(applyCurve(curve, x + 0.01)).toBeGreaterThan(applyCurve(curve, x));
    }
  });

  it('fits a million rows', () => {
    const n = 1_000_000;
    const logits = Float64Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898) * 4);
    const positive = logits.map((x, i) => (Math.abs(Math.sin(i * 78.233)) < 1 / (1 + Math.exp(-x)) ? 1 : 0));
    const curve = isotonic.fit(
      { logits, outcomes: { positive, negative: positive.map((vote) => 1 - vote) } },
      { symmetric: true, strictlyMonotone: false },
    );
    expect(applyCurve(curve, 1)).toBeGreaterThan(0.6);
  });
});
