import { evidence } from '../drift/verdict.js';
import type { CheckDriftReport } from '../lifecycle/drift/check.js';
import type { FitDriftReport } from '../lifecycle/drift/fit.js';
import { formatCount, printable } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 drift fit`. */
export function formatDriftFit({ out, kind, rows, clusters, sampled, features, observed }: FitDriftReport): string {
  const kept = sampled < rows ? `, of which ${formatCount(sampled)} are kept` : '';
  const held = observed?.ece.value;
  return [
    `${formatCount(rows)} rows${kind ? ` (${kind}s)` : ''} of ${formatCount(clusters)} clusters${kept}`,
    `Features: ${features.map(printable).join(', ')}`,
    ...(observed && held !== null && held !== undefined
      ? [`Of ${formatCount(observed.labels)} judged pairs: calibration error ${held.toFixed(3)}`]
      : []),
    `Written: ${printable(out)}`,
  ].join('\n');
}

const VERDICTS = {
  'no-drift': 'No drift.',
  drift: 'DRIFT.',
  'identity-changed': 'SOMETHING ELSE SCORES.',
  'not-enough-data': 'Not enough data for a verdict.',
} as const;

/** Questions shown. */
const MOST = 20;

/** The text of `hpsv3 drift check`. */
export function formatDriftCheck(report: CheckDriftReport): string {
  const { verdict, reasons, features, expected, monitors, out } = report;
  const ordered = [...features].sort((a, b) => Number(b.moved) - Number(a.moved) || a.holm - b.holm);
  const rows = ordered
    .slice(0, MOST)
    .map(({ feature, group, cause, effect, floor, holm, moved, n }) => [
      feature,
      group ?? 'all',
      cause,
      effect.toFixed(3),
      String(floor),
      holm.toFixed(3),
      formatCount(n.window),
      moved ? 'moved' : '',
    ]);
  const interval = expected && `[${expected.ci.map((end) => end.toFixed(3)).join(', ')}]`;
  return [
    `${VERDICTS[verdict]} ${reasons.map(printable).join('\n  ')}`,
    ...(rows.length > 0
      ? [
          '',
          formatTable(['feature', 'group', 'tells of', 'effect', 'floor', 'p (Holm)', 'n', ''], rows, {
            width: terminalWidth(),
          }),
        ]
      : []),
    ...(features.length > MOST ? [`and ${features.length - MOST} more`] : []),
    ...(expected
      ? [
          '',
          `Accuracy to be expected without labels: ${expected.accuracy.toFixed(3)} ${interval}; blind to what raters come to prefer`,
        ]
      : []),
    ...(monitors
      ? monitors.of.map(
          ({ of, group, n, logE, alarm }) =>
            `Monitor of ${of}${group ? ` in ${printable(group)}` : ''}: evidence ${evidence(logE)} after ${formatCount(n)} clusters${alarm ? '; it spoke' : ''}`,
        )
      : []),
    `Written: ${printable(out)}`,
  ].join('\n');
}
