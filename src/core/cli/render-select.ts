import type { SelectReplayReport } from '../lifecycle/select/replay.js';
import type { SelectReport } from '../lifecycle/select/select.js';
import { formatCount } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 select`. */
export function formatSelection(report: SelectReport): string {
  const { out, method, pool, chosen, expected, stop, scale, labelsSoFar } = report;
  const left = [
    [pool.labelled, 'labelled'],
    [pool.duplicates, 'repeated'],
    [pool.heldOut, 'held out'],
    [pool.unscored, 'without a score'],
  ].flatMap(([rows, what]) => (Number(rows) > 0 ? [`${formatCount(Number(rows))} ${what}`] : []));
  const rows = [
    ['pairs to choose from', formatCount(pool.candidates), left.join(', ')],
    ['labels so far', formatCount(labelsSoFar.votes), `on ${formatCount(labelsSoFar.pairs)} pairs`],
    [
      'chosen',
      formatCount(chosen.total),
      `${formatCount(chosen.byGain)} by ${method}, ${formatCount(chosen.byLot)} by lot`,
    ],
    ['expected to tell', `${figure(expected.bits)} bits`, `by lot ${figure(expected.bitsAtRandom)}`],
    ...(chosen.seconds === null ? [] : [['expected to take', `${figure(chosen.seconds / 60)} minutes`, '']]),
    ...(scale
      ? [['people about the model', `± ${figure(scale.deviation)} logits`, `its logits times ${figure(scale.slope)}`]]
      : []),
    ...(stop
      ? [
          ['more decisions right', `${figure(100 * stop.accuracyGain)} %`, 'expected of these labels'],
          ...(stop.settled === null ? [] : [['prompts with a settled best', `${figure(100 * stop.settled)} %`, '']]),
        ]
      : []),
  ];
  return [formatTable(['what', 'value', 'note'], rows, { width: terminalWidth() }), `Written: ${out}.`].join('\n');
}

/** The text of `hpsv3 select replay`. */
export function formatSelectReplay(report: SelectReplayReport): string {
  const { method, metric, start, full, goal, chosen, atRandom, saving, replays, out } = report;
  const row = (name: string, { labels, ci }: typeof chosen) => [
    name,
    labels === null ? 'not reached' : formatCount(Math.round(labels)),
    ci ? ci.map((end) => formatCount(Math.round(end))).join(' to ') : '-',
  ];
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return [
    `${metric} from ${figure(start)} without labels to ${figure(full)} with all; labels to reach ${figure(goal)}, ${replays} replays:`,
    formatTable(
      ['by', 'labels', '95 % interval'],
      [
        row(method, chosen),
        row('lot', atRandom),
        [
          'saving',
          saving.value === null ? '-' : percent(saving.value),
          saving.ci ? saving.ci.map(percent).join(' to ') : '-',
        ],
      ],
      { width: terminalWidth() },
    ),
    ...(out === null ? [] : [`Written: ${out}.`]),
  ].join('\n');
}

const figure = (value: number): string => String(Number(value.toPrecision(3)));
