import { describe, expect, it } from 'vitest';
import { compareOutputs, compareValues, firstMoved, NOT_FINITE } from '../../../src/core/gate/compare.js';
import { decisionTable } from '../../../src/core/gate/decision-table.js';
import { compareDecisions, orderBias, type Scores, scoresOf } from '../../../src/core/gate/decisions.js';
import { checkOptimization, HALF_ROUNDING, ROUNDING } from '../../../src/core/gate/invariances.js';
import { judgeBudget } from '../../../src/core/gate/verdict.js';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';

const column = (...values: number[]): TensorValue => float32Value([values.length], Float32Array.from(values));
const pair = (...values: number[]): Scores => ({
  kind: 'pair',
  output: 'pair_logit',
  values: Float64Array.from(values),
});
const item = (...values: number[]): Scores => ({
  kind: 'item',
  output: 'utility_logit',
  values: Float64Array.from(values),
});

describe('compareDecisions', () => {
  it('counts a flip where the winner differs by more than twice the budget on at least one side', () => {
    const [a, b] = [pair(1, 1e-5, 1e-5, -3), pair(-1, -1e-5, -1, -3)];
    expect(compareDecisions(a, b, 1e-4)).toMatchObject({ pairs: 4, flips: 2, flipRate: 0.5 });
    expect(compareDecisions(a, b, 0)).toMatchObject({ flips: 3 });
  });

  it('takes a tie to a winner for a flip, if the margin is wide', () => {
    expect(compareDecisions(pair(0), pair(0.5), 1e-4).flips).toBe(1);
    expect(compareDecisions(pair(0), pair(0), 0).flips).toBe(0);
  });

  it('decides every two items by the difference of their scores', () => {
    expect(compareDecisions(item(1, 2, 3), item(11, 12, 13), 1e-4)).toMatchObject({
      pairs: 3,
      flips: 0,
      kendall: 1,
      maxScoreDiff: 10,
    });
    expect(compareDecisions(item(1, 2, 3), item(3, 2, 1), 1e-4)).toMatchObject({ flips: 3, kendall: -1 });
  });

  it('gives the tau-b of the reference, ties included', () => {
    // Vector: scipy 1.17.1 stats.kendalltau([12, 2, 1, 12, 2], [1, 4, 7, 1, 0]) = -0.4714045207910316
    expect(compareDecisions(pair(12, 2, 1, 12, 2), pair(1, 4, 7, 1, 0)).kendall).toBeCloseTo(-0.4714045207910316, 12);
  });

  it('gives exactly 1 for the same order, whatever the number of scores', () => {
    for (let n = 2; n < 60; n++) {
      const scores = Array.from({ length: n }, (_, i) => Math.sin(i));
      expect(compareDecisions(item(...scores), item(...scores.map((x) => 2 * x))).kendall).toBe(1);
    }
  });

  it('has no tau where one side scores all alike', () => {
    expect(compareDecisions(item(1, 1, 1), item(1, 2, 3)).kendall).toBeNull();
  });

  it('counts NaN as a flip and as no finite difference', () => {
    expect(compareDecisions(pair(1), pair(Number.NaN), 10)).toMatchObject({ flips: 1, maxScoreDiff: NOT_FINITE });
  });
});

describe('scoresOf', () => {
  it('prefers the pair logit, then the utility logit, then the first column of floats', () => {
    const other: [string, TensorValue] = ['y', float32Value([2, 2], Float32Array.of(1, 2, 3, 4))];
    const ids: [string, TensorValue] = ['ids', { dtype: 'I64', shape: [2], data: BigInt64Array.of(7n, 8n) }];
    expect(scoresOf(new Map([other, ['utility_logit', column(5, 6)], ['pair_logit', column(7, 8)]]))).toEqual(
      pair(7, 8),
    );
    expect(scoresOf(new Map([other, ['utility_logit', column(5, 6)]]))).toEqual(item(5, 6));
    expect(scoresOf(new Map([ids, other]))).toEqual({ kind: 'item', output: 'y', values: Float64Array.of(1, 3) });
    expect(() => scoresOf(new Map([ids]))).toThrow(expect.objectContaining({ code: 'ONNX_UNSUPPORTED' }));
  });
});

describe('orderBias', () => {
  it('is the mean of |head(l, r) + head(r, l)|', () => {
    // head(l, r) = 3 and head(r, l) = -1: the pair logit is 2, the bias 2. Antisymmetric in the second row.
    expect(
      orderBias(
        new Map([
          ['logit', column(3, 4)],
          ['pair_logit', column(2, 4)],
        ]),
      ),
    ).toBe(1);
    expect(orderBias(new Map([['logit', column(3)]]))).toBeUndefined();
  });
});

describe('compareValues', () => {
  it('finds the largest difference, and the scale of the reference', () => {
    expect(compareValues(column(1, -8), column(1.5, -8))).toEqual({ maxAbsDiff: 0.5, scale: 8 });
  });

  it.each([
    ['NaN', column(1), column(Number.NaN)],
    ['NaN on both sides', column(Number.NaN), column(Number.NaN)],
    ['infinity', column(1), column(Number.POSITIVE_INFINITY)],
    ['another shape', column(1), column(1, 2)],
  ])('calls %s not finite, as a number that fails every threshold and survives JSON', (_, a, b) => {
    const { maxAbsDiff, note } = compareValues(a, b);
    expect(maxAbsDiff).toBe(NOT_FINITE);
    expect(JSON.parse(JSON.stringify(maxAbsDiff))).toBe(NOT_FINITE);
    expect(note).toBeTruthy();
  });

  it('compares the bits of float16 as numbers', () => {
    const half = (bits: number): TensorValue => ({ dtype: 'F16', shape: [1], data: Uint16Array.of(bits) });
    expect(compareValues(half(0x3c00), half(0xbc00)).maxAbsDiff).toBe(2);
  });
});

describe('firstMoved', () => {
  it('names the first output beyond the tolerance in the order of the graph', () => {
    const reference = new Map([
      ['z', column(3)],
      ['y', column(2)],
      ['x', column(1)],
    ]);
    const actual = new Map([
      ['x', column(1)],
      ['y', column(2.5)],
      ['z', column(9)],
    ]);
    expect(firstMoved(compareOutputs(reference, actual), () => 0.1)).toEqual({ output: 'y', maxAbsDiff: 0.5 });
    expect(firstMoved(compareOutputs(reference, actual), () => 10)).toBeUndefined();
  });
});

describe('rounding', () => {
  it.each([
    [1, 0.9e-5, ROUNDING, true],
    [1, 1.2e-5, ROUNDING, false],
    [100, 0.9e-3, ROUNDING, true],
    [0.001, 0.9e-5, ROUNDING, true],
    [1, 4e-3, HALF_ROUNDING, true],
  ])('of an output of size %d by %d', (size, diff, tolerance, passed) => {
    const values = (x: number) =>
      new Map([['y', { dtype: 'F64', shape: [1], data: Float64Array.of(x) } as TensorValue]]);
    const check = checkOptimization('disabled', values(size), values(size + diff), tolerance);
    expect(check).toMatchObject({ name: 'optimization-disabled', passed });
    expect(check.detail).toMatch(passed ? /equal within rounding/ : /y differs/);
  });

  it('does not pass an output that changes its shape or goes missing', () => {
    expect(
      checkOptimization('basic', new Map([['y', column(1)]]), new Map([['y', column(1, 1)]]), ROUNDING).passed,
    ).toBe(false);
    expect(checkOptimization('basic', new Map([['y', column(1)]]), new Map(), ROUNDING).passed).toBe(false);
  });
});

describe('judgeBudget', () => {
  const diff = { pairs: 1000, flips: 5, flipRate: 0.005, kendall: 0.99, maxScoreDiff: 0.1 };

  it('judges what the budget sets, at its edge', () => {
    const passed = (budget: object) => judgeBudget(diff, budget).map((check) => [check.name, check.passed]);
    expect(passed({})).toEqual([]);
    expect(passed({ flips: 5, kendall: 0.99, score: 0.1 })).toEqual([
      ['flips', true],
      ['kendall', true],
      ['score', true],
    ]);
    expect(passed({ flips: 4 })).toEqual([['flips', false]]);
    expect(passed({ flipRate: 0.005 })).toEqual([['flips', true]]);
    expect(passed({ flipRate: 0.004, kendall: 0.991 })).toEqual([
      ['flips', false],
      ['kendall', false],
    ]);
  });

  it('fails an order that one side has and the other has lost', () => {
    expect(judgeBudget({ ...diff, kendall: null }, { kendall: 0.5 })[0].passed).toBe(false);
    expect(judgeBudget({ ...diff, kendall: null, maxScoreDiff: 0 }, { kendall: 0.5 })[0].passed).toBe(true);
  });
});

describe('decisionTable', () => {
  const pair = (...values: number[]): Scores => ({
    kind: 'pair',
    output: 'pair_logit',
    values: Float64Array.from(values),
  });

  it('counts who won where, before and after', () => {
    const { confusion } = decisionTable(pair(1, 1, -1, -1, 0, 2), pair(2, -1, 1, -3, 1, Number.NaN));
    expect(confusion).toEqual({ leftLeft: 1, leftRight: 1, rightLeft: 1, rightRight: 1, even: 1 + 1 });
  });

  it('tells flips by the margin there was, in parts of about equally many pairs', () => {
    const before = Array.from({ length: 16 }, (_, i) => (i + 1) / 10);
    const { byMargin } = decisionTable(pair(...before), pair(...before.map((x, i) => (i < 3 ? -x : x))));
    expect(byMargin).toHaveLength(8);
    expect(byMargin[0]).toEqual({ low: 0.1, high: 0.2, pairs: 2, flips: 2 });
    expect(byMargin.map(({ flips }) => flips)).toEqual([2, 1, 0, 0, 0, 0, 0, 0]);
  });
});
