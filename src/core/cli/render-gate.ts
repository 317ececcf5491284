import type { GateReport } from '../gate/report.js';
import type { VerifyReport } from '../lifecycle/verify/verify.js';
import { formatCount, printable } from './format.js';
import { styled } from './style.js';
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
  if (report.record !== undefined) return `${subject}: ${report.notes.join(' ')}\nWritten: ${printable(report.record)}`;
  const lines = [
    `${subject}${figures.length > 0 ? `: ${figures.join(', ')}` : ''}`,
    ...(orderBias === undefined ? [] : [ORDER_BIAS]),
    '',
    formatGate(report, printable(models[0])),
  ];
  return lines.join('\n');
}

const ORDER_BIAS =
  'Order bias: by how much the head, asked both ways, contradicts itself: the mean of |head(left, right) + head(right, left)| in logits. Decisions are free of it: they take half the difference of the two.';

/**
 * One line a check, then the verdict; a model that was compared with nothing is never called verified.
 *
 * @param source - what to call the model it was compared with
 */
export function formatGate(gate: GateReport, source = 'the source model'): string {
  const rows = gate.checks.map(({ name, passed, maxAbsDiff, detail }) => [
    name,
    passed ? 'pass' : 'FAIL',
    maxAbsDiff?.toPrecision(3),
    detail,
  ]);
  const checks =
    rows.length === 0 ? [] : [formatTable(['check', 'result', 'max diff', 'detail'], rows, { width: terminalWidth() })];
  return [...checks, ...gate.notes, ...describeMoved(gate), verdict(gate, source)].join('\n');
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

function verdict({ passed, level, reference, comparedOn }: GateReport, source: string): string {
  if (level === 'off') return 'The gate was off: nothing was checked.';
  if (!passed) return styled('bad', 'The gate failed.');
  if (reference === 'none')
    return 'The model agrees with itself; it was compared with no other (give --golden to verify it).';
  const against = {
    golden: 'the golden outputs',
    source,
    members: 'the weighted average of its members',
    recorded: 'the recorded scores',
  }[reference];
  const rows =
    comparedOn && `${formatCount(comparedOn.rows)} ${comparedOn.origin === 'probes' ? 'made-up' : 'given'} inputs`;
  return styled('good', `Verified against ${against}${rows ? `, on ${rows}` : ''}.`);
}
