import type { Figures, ResampleCounts } from '../calibration/figures.js';
import type { JudgedRows } from '../lifecycle/judged-scores.js';
import { ABSOLUTE_METRICS, PAIR_METRICS } from '../stats/metric.js';
import { formatCount } from './format.js';

type Estimate = Figures[string];

const BAR_CELLS = 10;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** `0.712`, to three places; `-` where undefined. */
export const formatFigure = (value: number | null | undefined): string =>
  value === null || value === undefined ? '-' : value.toFixed(3);

/** `[0.690, 0.735]`. */
export const formatInterval = (ci: readonly [number, number] | null | undefined): string =>
  ci ? `[${ci[0].toFixed(3)}, ${ci[1].toFixed(3)}]` : '-';

/** A share of 1 as a bar of ten cells, in eighths of a cell. */
export function formatBar(share: number | null | undefined): string {
  if (share === null || share === undefined) return '';
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS * 8);
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
}

/** The word a report shows for a metric, and whether its values are shares of 1. */
export function metricOf(id: string): { readonly label: string; readonly isShare: boolean } {
  const metric = [...PAIR_METRICS, ...ABSOLUTE_METRICS].find((candidate) => candidate.id === id);
  return { label: metric?.label ?? id, isShare: metric !== undefined && metric.range[1] === 1 };
}

/** `accuracy 0.712 [0.690, 0.735]`. */
export const formatEstimate = ({ value, ci }: Estimate): string => `${formatFigure(value)} ${formatInterval(ci)}`;

/** `95 % intervals from 2,000 resamples of clusters (Smooth ECE: 200)`. */
export function formatResamples({ resamples, fewerResamples }: ResampleCounts): string {
  const fewer = Object.entries(fewerResamples).map(([id, count]) => `${metricOf(id).label}: ${formatCount(count)}`);
  const note = fewer.length > 0 ? ` (${fewer.join(', ')})` : '';
  return `95 % intervals from ${formatCount(resamples)} resamples of clusters${note}`;
}

/** What was read. */
export function formatRows(n: number, clusters: number, rows: JudgedRows): string {
  const left = rows.labelsOnly.count + rows.scoresOnly.count + rows.failed;
  const note = left > 0 ? `, ${formatCount(left)} left out` : '';
  return `${formatCount(n)} rows in ${formatCount(clusters)} clusters${note}`;
}
