import type { ResampleCounts } from '../calibration/figures.js';
import { metricOf } from '../card/figures.js';
import type { JudgedRows } from '../data/judged-scores.js';
import { formatCount } from './format.js';

export { formatEstimate, formatFigure, formatInterval, metricOf } from '../card/figures.js';

const BAR_CELLS = 10;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A share of 1 as a bar of ten cells, in eighths of a cell. */
export function formatBar(share: number | null | undefined): string {
  if (share === null || share === undefined) return '';
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS * 8);
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
}

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
