import { formatDiff } from '../../gate/compare.js';
import type { GateCheck } from '../../gate/invariances.js';
import type { GateReport } from '../../gate/report.js';
import type { QuantizationScheme } from './scheme.js';

const BATCH_CHECK = /^(batch-\d+|neighbours)$/;
const LEVEL_CHECK = /^optimization-/;

/**
 * The gate's report as it counts for a quantized file.
 *
 * Integer kernels round otherwise than the emulation that lower levels of optimisation run. That may move scores, but by no
 * more than quantizing itself did: a level that does is a fault. Rows that depend on their neighbours fail unless allowed.
 */
export function judgeChecks(
  report: GateReport,
  determinism: QuantizationScheme['determinism'],
  allowBatchDependence: boolean,
): GateReport {
  const checks = report.checks.map((check) => {
    if (check.passed || determinism === 'exact') return check;
    if (LEVEL_CHECK.test(check.name)) return judgeLevel(check, report.maxScoreDiff ?? 0);
    return allowBatchDependence && BATCH_CHECK.test(check.name) ? allowed(check) : check;
  });
  return { ...report, checks, passed: checks.every(({ passed }) => passed) };
}

function judgeLevel(check: GateCheck, quantizationDiff: number): GateCheck {
  const passed = (check.maxAbsDiff ?? Number.MAX_VALUE) <= quantizationDiff;
  const than = `quantizing moved scores by ${formatDiff(quantizationDiff)}`;
  return { ...check, passed, detail: `${check.detail} ${passed ? 'Within rounding:' : 'Beyond rounding:'} ${than}.` };
}

const allowed = (check: GateCheck): GateCheck => ({
  ...check,
  passed: true,
  detail: `${check.detail} Allowed: rows depend on their batch.`,
});
