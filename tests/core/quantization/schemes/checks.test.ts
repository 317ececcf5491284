import { describe, expect, it } from 'vitest';
import { checkOptimization, ROUNDING } from '../../../../src/core/gate/invariances.js';
import type { GateReport } from '../../../../src/core/gate/report.js';
import { judgeChecks } from '../../../../src/core/quantization/schemes/checks.js';
import { float32Value } from '../../../../src/core/runtime/value.js';

const outputs = (score: number, embedding: number) =>
  new Map([
    ['utility_logit', float32Value([1, 1], Float32Array.of(score))],
    ['embedding', float32Value([1, 1], Float32Array.of(embedding))],
  ]);

/** The report on a file whose quantizing moved its score by 0.1 and its embedding by 0.5. */
function judged(score: number, embedding: number) {
  const check = checkOptimization('basic', outputs(0, 0), outputs(score, embedding), ROUNDING);
  const source = { maxAbsDiff: 0.5, outputs: { utility_logit: { maxAbsDiff: 0.1 }, embedding: { maxAbsDiff: 0.5 } } };
  const report = { checks: [check], maxScoreDiff: 0.1, parity: { golden: null, source } };
  return judgeChecks(report as unknown as GateReport, 'rounded', false);
}

describe('judgeChecks', () => {
  it('holds each output of another level of optimisation to what quantizing moved it by', () => {
    const { passed, checks } = judged(0.05, 0.25);
    expect(passed).toBe(true);
    expect(checks[0].detail).toMatch(
      /Within what quantizing moved each by: utility_logit 0\.0500 of 0\.100, embedding 0\.250 of 0\.500\.$/,
    );
  });

  it('refuses one that moves further, and names it', () => {
    const { passed, checks } = judged(0.2, 0.25);
    expect(passed).toBe(false);
    expect(checks[0].detail).toMatch(/Beyond what quantizing moved it by: utility_logit 0\.200 of 0\.100\.$/);
  });
});
