import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ABSOLUTE_METRICS,
  type AbsoluteRows,
  type Metric,
  PAIR_METRICS,
  type PairRows,
} from '../../../src/core/stats/metric.js';
import { tiedLogit, toRows, tuples } from './arbitraries.js';

type PairTuple = readonly [number, number, number];
type AbsoluteTuple = readonly [number, number];

function pairRows(rows: readonly PairTuple[]): PairRows {
  const { values, outcomes } = toRows(rows);
  return { logits: values, probabilities: null, outcomes };
}

const absoluteRows = (rows: readonly AbsoluteTuple[]): AbsoluteRows => ({
  predicted: Float64Array.from(rows, ([predicted]) => predicted),
  actual: Float64Array.from(rows, ([, actual]) => actual),
});

const absoluteTuples = fc.array(fc.tuple(tiedLogit, tiedLogit), { minLength: 1, maxLength: 40 });

/** Both undefined, or equal but for rounding. */
function expectSame(actual: number | null, expected: number | null): void {
  if (actual === null || expected === null) expect(actual).toBe(expected);
  else expect([actual]).toBeAllClose([expected], { atol: 1e-10 });
}

/** Smooth ECE convolves some twenty times a call. */
const runsOf = ({ id }: { id: string }): { numRuns: number } => ({ numRuns: id === 'smece' ? 10 : 100 });

function properties<Row, Rows>(metric: Metric<Rows>, rows: fc.Arbitrary<Row[]>, build: (rows: readonly Row[]) => Rows) {
  const figureOf = (list: readonly Row[], weights?: Float64Array) => metric.prepare(build(list))(weights);

  it('is in its range, or null: never NaN', () => {
    fc.assert(
      fc.property(rows, (list) => {
        const value = figureOf(list);
        if (value === null) return;
        expect(value).toBeGreaterThanOrEqual(metric.range[0]);
        expect(value).toBeLessThanOrEqual(metric.range[1] + 1e-12);
      }),
      runsOf(metric),
    );
  });

  it('does not depend on the order of the rows', () => {
    const shuffled = rows.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length })),
    );
    fc.assert(
      fc.property(shuffled, ([list, permuted]) => expectSame(figureOf(permuted), figureOf(list))),
      runsOf(metric),
    );
  });

  it('takes a weight as that many equal rows', () => {
    const weighted = rows.chain((list) =>
      fc.tuple(
        fc.constant(list),
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: list.length, maxLength: list.length }),
      ),
    );
    fc.assert(
      fc.property(weighted, ([list, counts]) => {
        const repeated = list.flatMap((row, i) => new Array<Row>(counts[i]).fill(row));
        fc.pre(repeated.length > 0);
        expectSame(figureOf(list, Float64Array.from(counts)), figureOf(repeated));
      }),
      runsOf(metric),
    );
  });

  it('is prepared once and asked many times, without memory of earlier weights', () => {
    fc.assert(
      fc.property(rows, (list) => {
        const statistic = metric.prepare(build(list));
        const before = statistic();
        statistic(new Float64Array(list.length).map((_, i) => i % 3));
        expect(statistic()).toBe(before);
        expectSame(statistic(new Float64Array(list.length).fill(1)), before);
      }),
      runsOf(metric),
    );
  });

  it('is null without rows that count', () => {
    fc.assert(
      fc.property(rows, (list) => {
        expect(figureOf(list, new Float64Array(list.length))).toBeNull();
      }),
      runsOf(metric),
    );
    expect(figureOf([])).toBeNull();
  });
}

describe.each(PAIR_METRICS)('$id of pairs', (metric) => {
  properties(metric, tuples(tiedLogit), pairRows);

  it('refuses a logit that is NaN and votes that are not counts', () => {
    expect(() => metric.prepare(pairRows([[Number.NaN, 1, 0]]))).toThrow(RangeError);
    expect(() => metric.prepare(pairRows([[1, -1, 0]]))).toThrow(RangeError);
    expect(() => metric.prepare(pairRows([[1, Number.POSITIVE_INFINITY, 0]]))).toThrow(RangeError);
  });
});

// An AUC ranks rows against each other, so it does not look at one pair alone; all others see either order alike.
describe.each(PAIR_METRICS.filter(({ id }) => id !== 'auc'))('$id of pairs', (metric) => {
  it('is the same when the sides of every pair are swapped', () => {
    fc.assert(
      fc.property(tuples(tiedLogit), (list) => {
        const swapped = list.map(([logit, left, right]) => [-logit, right, left] as const);
        expectSame(metric.prepare(pairRows(swapped))(), metric.prepare(pairRows(list))());
      }),
      runsOf(metric),
    );
  });
});

describe.each(ABSOLUTE_METRICS)('$id of items', (metric) => {
  properties(metric, absoluteTuples, absoluteRows);

  it('refuses NaN and columns of different lengths', () => {
    expect(() => metric.prepare(absoluteRows([[Number.NaN, 1]]))).toThrow(RangeError);
    expect(() => metric.prepare({ predicted: new Float64Array(2), actual: new Float64Array(3) })).toThrow(RangeError);
  });
});

describe('the registry', () => {
  it('names every metric once, with a range, a direction and a source', () => {
    const metrics = [...PAIR_METRICS, ...ABSOLUTE_METRICS];
    expect(new Set(metrics.map(({ id }) => id)).size).toBe(metrics.length);
    for (const { range, source, undefinedWhen } of metrics) {
      expect(range[0]).toBeLessThan(range[1]);
      expect(source).not.toBe('');
      expect(undefinedWhen).not.toBe('');
    }
  });

  it('scores a perfect and a worst model at the ends their direction says', () => {
    const right: PairTuple[] = [
      [8, 1, 0],
      [-9, 0, 1],
      [7, 1, 0],
      [-8.5, 0, 1],
    ];
    const wrong = right.map(([logit, left, right_]) => [-logit, left, right_] as const);
    for (const metric of PAIR_METRICS) {
      const best = metric.prepare(pairRows(right))() as number;
      const worst = metric.prepare(pairRows(wrong))() as number;
      expect(metric.direction === 'higher' ? best - worst : worst - best, metric.id).toBeGreaterThan(0.5);
    }
  });
});
