import type { GateReport } from '../gate/report.js';
import type { VerifyReport } from '../lifecycle/verify/verify.js';
import { formatCount, printable } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 verify`: what was compared, then the gate's answer. */
export function formatVerify(report: VerifyReport): string {
  const { models, pairs, flips, kendall, maxScoreDiff, orderBias } = report;
  const figures = [
    ...(pairs === null ? [] : [`${formatCount(pairs)} pairs`, `${flips} flips`]),
    ...(kendall === null ? [] : [`Kendall ${kendall.toFixed(6)}`]),
    ...(maxScoreDiff === null ? [] : [`largest score difference ${maxScoreDiff.toPrecision(3)}`]),
    ...(orderBias === undefined ? [] : [`order bias ${orderBias.toPrecision(3)}`]),
  ];
  const subject = models.map(printable).join(' and ');
  return `${subject}${figures.length > 0 ? `: ${figures.join(', ')}` : ''}\n\n${formatGate(report)}`;
}

/** One line a check, then the verdict; a model that was compared with nothing is never called verified. */
export function formatGate(gate: GateReport): string {
  const rows = gate.checks.map(({ name, passed, maxAbsDiff, detail }) => [
    name,
    passed ? 'pass' : 'FAIL',
    maxAbsDiff?.toPrecision(3),
    detail,
  ]);
  const checks =
    rows.length === 0 ? [] : [formatTable(['check', 'result', 'max diff', 'detail'], rows, { width: terminalWidth() })];
  return [...checks, ...gate.notes, ...describeMoved(gate), verdict(gate)].join('\n');
}

function describeMoved({ firstMoved, firstDivergence }: GateReport): string[] {
  const inside = firstDivergence;
  return [
    ...(firstMoved
      ? [`First output that moved: ${printable(firstMoved.output)}, by ${firstMoved.maxAbsDiff.toPrecision(3)}.`]
      : []),
    ...(inside
      ? [
          `First value inside that differs: ${printable(inside.value)} (${printable(inside.opType)}), by ${inside.maxAbsDiff.toPrecision(3)}.`,
        ]
      : []),
  ];
}

const VERIFIED_AGAINST = {
  golden: 'the golden outputs',
  source: 'the source model',
  members: 'the weighted average of its members',
} as const;

function verdict({ passed, level, reference }: GateReport): string {
  if (level === 'off') return 'The gate was off: nothing was checked.';
  if (!passed) return 'The gate said no.';
  if (reference === 'none')
    return 'The model agrees with itself; it was compared with no other (give --golden to verify it).';
  return `Verified against ${VERIFIED_AGAINST[reference]}.`;
}
