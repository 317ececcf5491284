import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { minimizeQuadratic } from '../../../src/core/ensemble/quadratic.js';
import { fitStack, stackLoss } from '../../../src/core/ensemble/stack.js';
import type { StackRows } from '../../../src/core/ensemble/stack-loss.js';

interface Problem {
  name: string;
  simplex: boolean;
  penalty: number;
  members: number;
  logits: number[];
  left: number[];
  right: number[];
  weights: number[];
  loss: number;
}

// Vectors: scipy L-BFGS-B and SLSQP, scikit-learn LogisticRegression, by tests/golden/ensemble/make.py.
const VECTORS = fileURLToPath(new URL('../../golden/ensemble/vectors.json', import.meta.url));
const { problems } = JSON.parse(readFileSync(VECTORS, 'utf8')) as { problems: Problem[] };

const rowsOf = ({
  members,
  logits,
  left,
  right,
}: Pick<Problem, 'members' | 'logits' | 'left' | 'right'>): StackRows => ({
  members,
  logits: Float64Array.from(logits),
  outcomes: { positive: Float64Array.from(left), negative: Float64Array.from(right) },
});

describe('fitStack', () => {
  it.each(problems)('agrees with the reference: $name', async (problem) => {
    const rows = rowsOf(problem);
    const weights = await fitStack(rows, problem);
    expect(weights).toBeAllClose(problem.weights, { atol: 1e-6 });
    expect(stackLoss(rows, weights)).toBeCloseTo(problem.loss, 8);
  });

  it.each(problems)('comes to the same weights from another start: $name', async (problem) => {
    const start = new Float64Array(problem.members);
    start[0] = 1;
    const weights = await fitStack(rowsOf(problem), problem);
    expect(await fitStack(rowsOf(problem), { ...problem, start })).toBeAllClose(weights, { atol: 1e-9 });
  });

  const anyProblem = fc
    .record({ members: fc.integer({ min: 1, max: 5 }), rows: fc.integer({ min: 1, max: 12 }), simplex: fc.boolean() })
    .chain(({ members, rows, simplex }) =>
      fc.record({
        members: fc.constant(members),
        simplex: fc.constant(simplex),
        logits: fc.array(fc.double({ min: -5, max: 5, noNaN: true }), {
          minLength: members * rows,
          maxLength: members * rows,
        }),
        left: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: rows, maxLength: rows }),
        right: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: rows, maxLength: rows }),
      }),
    );

  it('finds weights that no step in a feasible direction improves', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyProblem,
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 4 }),
        async (problem, i, j) => {
          const rows = rowsOf(problem);
          const penalty = 0.01;
          const weights = await fitStack(rows, { penalty, simplex: problem.simplex });
          const objective = (w: Float64Array) =>
            stackLoss(rows, w) + (penalty / 2) * w.reduce((sum, value) => sum + value * value, 0);
          expect(Math.min(...weights)).toBeGreaterThanOrEqual(0);
          if (problem.simplex) expect(weights.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 9);
          const [from, to] = [i % problem.members, j % problem.members];
          const moved = Float64Array.from(weights);
          const step = problem.simplex ? Math.min(1e-4, weights[from]) : 1e-4;
          moved[to] += step;
          if (problem.simplex) moved[from] -= step;
          expect(objective(moved)).toBeGreaterThanOrEqual(objective(weights) - 1e-12);
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });

  it('gives the same for a row repeated and a row with twice the votes', async () => {
    const [{ members, logits, left, right, penalty, simplex }] = problems;
    const double = (values: number[]) => values.map((value) => 2 * value);
    const once = await fitStack(rowsOf({ members, logits, left: double(left), right: double(right) }), {
      penalty,
      simplex,
    });
    const twice = await fitStack(
      rowsOf({ members, logits: [...logits, ...logits], left: [...left, ...left], right: [...right, ...right] }),
      { penalty, simplex },
    );
    expect(twice).toBeAllClose(once, { atol: 1e-10 });
  });

  it('gives the same when sides are swapped', async () => {
    const [{ members, logits, left, right, penalty, simplex }] = problems;
    const swapped = await fitStack(rowsOf({ members, logits: logits.map((x) => -x), left: right, right: left }), {
      penalty,
      simplex,
    });
    expect(swapped).toBeAllClose(await fitStack(rowsOf(problems[0]), { penalty, simplex }), { atol: 1e-10 });
  });

  it('gives 0 to members that only mislead, and to all where every vote is a tie', async () => {
    const rows = { members: 1, logits: [1, 2, 3], left: [0, 0, 0], right: [1, 1, 1] };
    expect([...(await fitStack(rowsOf(rows), { penalty: 0.01, simplex: false }))]).toEqual([0]);
    const tied = { ...rows, left: [0.5, 1, 2], right: [0.5, 1, 2] };
    expect([...(await fitStack(rowsOf(tied), { penalty: 0.01, simplex: false }))]).toEqual([0]);
  });

  it('refuses to fit without a penalty', async () => {
    await expect(fitStack(rowsOf(problems[0]), { penalty: 0, simplex: false })).rejects.toThrow(RangeError);
  });
});

describe('minimizeQuadratic', () => {
  it('equals the plain solution where no constraint binds', () => {
    const hessian = Float64Array.of(4, 1, 1, 3);
    const x = minimizeQuadratic({ hessian, linear: Float64Array.of(1, 2), simplex: false }, new Float64Array(2));
    expect(x).toBeAllClose([1 / 11, 7 / 11], { atol: 1e-12 });
  });

  it('splits evenly between equal members on the simplex', () => {
    const hessian = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
    const x = minimizeQuadratic({ hessian, linear: new Float64Array(3), simplex: true }, Float64Array.of(1, 0, 0));
    expect(x).toBeAllClose([1 / 3, 1 / 3, 1 / 3], { atol: 1e-12 });
  });

  it('says that a matrix is not positive definite', () => {
    const program = { hessian: Float64Array.of(0), linear: Float64Array.of(1), simplex: false };
    expect(() => minimizeQuadratic(program, Float64Array.of(1))).toThrow(RangeError);
  });
});
