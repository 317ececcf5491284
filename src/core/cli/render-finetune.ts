import type { FinetuneReport } from '../lifecycle/train/finetune.js';
import type { BeforeAfter, Comparison } from '../training/run/compare.js';
import { formatCount } from './format.js';
import { type Cell, formatTable } from './table.js';

export function formatFinetune(report: FinetuneReport): string {
  const { gained, forgotten, trained, frozenUpTo, lr, steps, bestStep, out, checkpoint, helped } = report;
  const rows = [...comparisonRows('new', gained), ...(forgotten ? comparisonRows('old', forgotten) : [])];
  const cut = frozenUpTo ? ` What is frozen ran once an item, up to ${frozenUpTo.join(', ')}.` : '';
  return [
    formatTable(['labels', 'pairs', 'clusters', 'figure', 'before', 'after', 'change', '95 % interval'], rows),
    '',
    `${formatCount(trained.parameters)} parameters of ${trained.selection} trained for ${formatCount(steps)} steps at ${lr}, best at ${bestStep ?? 'the last'}.${cut}`,
    helped ? 'The held-out AUC rose by more than chance.' : 'The held-out AUC did not rise by more than chance.',
    `Wrote ${[out, checkpoint?.name].filter(Boolean).join(' and ')}.`,
  ].join('\n');
}

const comparisonRows = (labels: string, comparison: Comparison): Cell[][] => [
  figureRow(labels, comparison, 'AUC', comparison.auc),
  figureRow(labels, comparison, 'accuracy', comparison.accuracy),
];

function figureRow(labels: string, { pairs, clusters }: Comparison, name: string, figure: BeforeAfter): Cell[] {
  const shown = (value: number | null): string => (value === null ? '–' : value.toFixed(4));
  const signed = (value: number): string => `${value < 0 ? '' : '+'}${value.toFixed(4)}`;
  const { before, after, difference, ci } = figure;
  const interval = ci === null ? '–' : `${signed(ci[0])} to ${signed(ci[1])}`;
  return [
    labels,
    pairs,
    clusters,
    name,
    shown(before),
    shown(after),
    difference === null ? '–' : signed(difference),
    interval,
  ];
}
