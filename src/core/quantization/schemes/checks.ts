import { formatDiff } from '../../gate/compare.js';
import type { GateCheck } from '../../gate/invariances.js';
import type { GateReport } from '../../gate/report.js';
import type { QuantizationScheme } from './scheme.js';

const BATCH_CHECK = /^(batch-\d+|neighbours)$/;
const LEVEL_CHECK = /^optimization-/;

/**
 * The gate's report as it counts for a quantized file.
 *
 * Integer kernels round otherwise than the emulation that lower levels of optimisation run. That may move scores, but no output
 * by more than quantizing itself moved that output: a level that does is a fault. Rows that depend on their neighbours fail unless allowed.
 */
export function judgeChecks(
  report: GateReport,
  determinism: QuantizationScheme['determinism'],
  allowBatchDependence: boolean,
): GateReport {
  const checks = report.checks.map((check) => {
    if (check.passed || determinism === 'exact') return check;
    if (LEVEL_CHECK.test(check.name)) return judgeLevel(check, report.parity.source);
    return allowBatchDependence && BATCH_CHECK.test(check.name) ? allowed(check) : check;
  });
  return { ...report, checks, passed: checks.every(({ passed }) => passed) };
}

/** Output by output: an embedding moves by other amounts than the score that is made of it. */
function judgeLevel(check: GateCheck, parity: GateReport['parity']['source']): GateCheck {
  const moved = Object.entries(check.outputs ?? {}).map(([output, diff]) => {
    const allowed = parity?.outputs[output]?.maxAbsDiff ?? 0;
    return { output, diff, allowed, beyond: !(diff <= allowed) };
  });
  const passed = moved.length > 0 && moved.every(({ beyond }) => !beyond);
  const told = moved.filter(({ beyond }) => beyond || passed);
  const spread = told.map(({ output, diff, allowed }) => `${output} ${formatDiff(diff)} of ${formatDiff(allowed)}`);
  const verdict = passed ? 'Within what quantizing moved each by' : 'Beyond what quantizing moved it by';
  return { ...check, passed, detail: `${check.detail} ${verdict}: ${spread.join(', ')}.` };
}

const allowed = (check: GateCheck): GateCheck => ({
  ...check,
  passed: true,
  detail: `${check.detail} Allowed: rows depend on their batch.`,
});
