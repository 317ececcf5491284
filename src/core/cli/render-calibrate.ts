import { abstentionWords, referenceWords } from '../card/words.js';
import type { CalibrateReport } from '../lifecycle/calibrate/calibrate.js';
import type { CheckCalibratorReport } from '../lifecycle/calibrate/check.js';
import { formatBytes, formatHash } from './format.js';
import {
  formatBar,
  formatEstimate,
  formatFigure,
  formatInterval,
  formatResamples,
  formatRows,
  metricOf,
} from './render-figures.js';
import { formatGate } from './render-gate.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 calibrate`: what was fitted, and what it did out-of-fold. */
export function formatCalibrate(report: CalibrateReport): string {
  const { method, symmetric, n, clusters, folds, repeats, rows, before, after, reduction } = report;
  const sides = report.kind === 'pair' ? (symmetric ? ', both orders alike' : ', order counts') : '';
  const head = `${method}${sides}: ${formatRows(n, clusters, rows)}; figures out-of-fold (${folds} folds, ${repeats} times)`;
  const table = formatTable(
    ['metric', 'before', '95 % interval', 'after', '95 % interval', 'falls by', ''],
    Object.keys(before).map((id) => [
      metricOf(id).label,
      formatFigure(before[id].value),
      formatInterval(before[id].ci),
      formatFigure(after[id].value),
      formatInterval(after[id].ci),
      id in reduction && reduction[id].value !== null ? `${Math.round(100 * reduction[id].value)} %` : '-',
      id in reduction ? formatBar(reduction[id].value) : '',
    ]),
    { width: terminalWidth() },
  );
  return [
    head,
    formatResamples(report),
    '',
    table,
    ...choiceOf(report),
    ...groupsOf(report),
    ...abstentionOf(report),
    ...(report.reference ? ['', referenceWords(report.reference)] : []),
    ...writtenOf(report),
  ].join('\n');
}

function choiceOf({ choice, method }: CalibrateReport): string[] {
  if (choice.length === 0) return [];
  const rows = choice.map((one) => [
    one.method === method ? `${one.method} (chosen)` : one.method,
    one.loss.toFixed(5),
    one.excess.toFixed(5),
    one.standardError.toFixed(5),
  ]);
  return ['', formatTable(['method', 'loss', 'over the best', 'standard error'], rows, { width: terminalWidth() })];
}

function groupsOf({ groups }: CalibrateReport): string[] {
  if (groups.length === 0) return [];
  const rows = groups.map(({ value, n, clusters, ownShare, figures }) => [
    value,
    n,
    clusters,
    figures ? `${Math.round(100 * ownShare)} % its own` : 'takes the whole',
    figures && formatFigure((figures.before['ece'] ?? figures.before['rmse']).value),
    figures && formatFigure((figures.after['ece'] ?? figures.after['rmse']).value),
  ]);
  return ['', formatTable(['group', 'rows', 'clusters', 'curve', 'before', 'after'], rows, { width: terminalWidth() })];
}

function abstentionOf({ abstention }: CalibrateReport): string[] {
  if (!abstention) return [];
  const points = abstention.curve.map(({ margin, coverage, error, bound }) => [
    `${Math.round(100 * coverage)} %`,
    margin.toPrecision(4),
    formatFigure(error),
    formatFigure(bound),
    formatBar(error),
  ]);
  const headers = ['decided', 'margin', 'error', 'at most', ''];
  return ['', abstentionWords(abstention), formatTable(headers, points, { width: terminalWidth() })];
}

function writtenOf({ out, model, gate }: CalibrateReport): string[] {
  return [
    '',
    ...(out ? [`Written: ${out}`] : []),
    ...(model ? [`Written: ${model.out} (${formatBytes(model.bytes)}, sha256 ${formatHash(model.sha256)})`] : []),
    ...(gate ? [formatGate(gate)] : []),
  ];
}

/** The text of `hpsv3 calibrate --check`. */
export function formatCalibratorCheck(report: CheckCalibratorReport): string {
  const { calibrator, method, n, clusters, rows, tests, stale, level, figures, fitted } = report;
  const tested = formatTable(
    ['test', 'chi-squared', 'df', 'p', 'p (Holm)'],
    tests.map((test) => [
      test.name,
      test.statistic.toFixed(2),
      test.degreesOfFreedom,
      test.pValue.toPrecision(3),
      test.holm.toPrecision(3),
    ]),
    { width: terminalWidth() },
  );
  const now = formatTable(
    ['metric', 'when fitted', 'now'],
    Object.keys(figures).map((id) => [
      metricOf(id).label,
      fitted[id] ? formatEstimate(fitted[id]) : '-',
      formatEstimate(figures[id]),
    ]),
    { width: terminalWidth() },
  );
  const verdict = report.fittedOnTheseLabels
    ? 'It was fitted on these labels: they cannot tell whether it still holds. Give labels that are new to it.'
    : stale
      ? `Stale: the calibrator no longer fits these labels (level ${level}). Fit it again.`
      : `These labels give no reason to fit it again (level ${level}).`;
  return [`${calibrator} (${method}): ${formatRows(n, clusters, rows)}`, '', tested, '', now, '', verdict].join('\n');
}
