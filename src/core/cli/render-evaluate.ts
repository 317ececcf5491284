import {
  BEST_OF_HEADERS,
  BIAS_HEADERS,
  bestOfRow,
  biasRow,
  comparisonRow,
  HEAD_HEADERS,
  headRows,
  SUITE_HEADERS,
  suiteRows,
} from '../card/figures.js';
import { diagnosisWords } from '../card/words.js';
import type { EvaluateReport } from '../lifecycle/evaluate/evaluate.js';
import { printable } from './format.js';
import {
  formatBar,
  formatEstimate,
  formatFigure,
  formatInterval,
  formatResamples,
  formatRows,
  metricOf,
} from './render-figures.js';
import { styled } from './style.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 evaluate`. */
export function formatEvaluate(report: EvaluateReport): string {
  const { kind, n, clusters, calibrated, fittedOnTheseLabels, rows } = report;
  const scale = kind === 'pair' ? 'probability = sigmoid(logit)' : 'prediction = utility';
  const state = !calibrated
    ? `uncalibrated: ${scale}`
    : `calibrated${fittedOnTheseLabels ? ', by a calibrator fitted on these labels' : ''}`;
  return [
    `${formatRows(n, clusters, rows)}; ${state}`,
    formatResamples(report),
    '',
    overallOf(report),
    ...groupsOf(report),
    ...gapsOf(report),
    ...baselineOf(report),
    ...suiteOf(report),
    ...bestOfOf(report),
    ...headsOf(report),
    ...diagnosisOf(report),
    ...[report.out, report.outScores].flatMap((file) => (file === null ? [] : [`Written: ${printable(file)}`])),
  ].join('\n');
}

function overallOf({ overall, ceiling }: EvaluateReport): string {
  const rows = Object.entries(overall).map(([id, { value, ci }]) => {
    const { label, isShare } = metricOf(id);
    return [label, formatFigure(value), formatInterval(ci), isShare ? formatBar(value) : ''];
  });
  if (ceiling?.value !== null && ceiling !== null) {
    const { value, ci } = ceiling;
    rows.splice(1, 0, ['  a rater, against another', formatFigure(value), formatInterval(ci), formatBar(value)]);
  }
  return formatTable(['metric', 'value', '95 % interval', ''], rows, { width: terminalWidth() });
}

/** The figure a group is shown by. */
const leading = (kind: EvaluateReport['kind']) => (kind === 'pair' ? 'accuracy' : 'spearman');

function groupsOf({ groups, kind, minGroup }: EvaluateReport): string[] {
  if (groups.length === 0) return [];
  const id = leading(kind);
  const second = kind === 'pair' ? 'ece' : 'rmse';
  const rows = groups.map(({ by, value, n, metrics, suppressed }) => [
    by,
    value,
    n,
    suppressed ? `suppressed (under ${minGroup} rows)` : formatFigure(metrics?.[id].value),
    formatInterval(metrics?.[id].ci),
    formatBar(metrics?.[id].value),
    formatFigure(metrics?.[second].value),
  ]);
  const headers = ['by', 'group', 'rows', metricOf(id).label, '95 % interval', '', metricOf(second).label];
  return ['', formatTable(headers, rows, { width: terminalWidth() })];
}

/** Gaps that are there after Holm's correction, and the worst groups. */
function gapsOf({ gaps, worst }: EvaluateReport): string[] {
  const real = gaps.filter(({ holm }) => holm !== null && holm < 0.05);
  const lines = worst.map(({ metric, by, value, estimate }) =>
    styled('bad', `Worst ${metricOf(metric).label}: ${printable(by)} ${printable(value)}, ${formatEstimate(estimate)}`),
  );
  if (gaps.length === 0) return lines.length > 0 ? ['', ...lines] : [];
  const table = real.map(({ by, value, metric, difference, holm }) => [
    by,
    value,
    metricOf(metric).label,
    formatFigure(difference.value),
    formatInterval(difference.ci),
    holm!.toPrecision(2),
  ]);
  const found =
    real.length > 0
      ? formatTable(['by', 'group', 'metric', 'less the rest', '95 % interval', 'p (Holm)'], table, {
          width: terminalWidth(),
        })
      : `No gap between a group and the rest stands after Holm's correction (${gaps.length} tried).`;
  return ['', ...lines, '', found];
}

function baselineOf({ baseline }: EvaluateReport): string[] {
  if (!baseline) return [];
  const { file, n, clusters, comparisons, mcnemar, verdict } = baseline;
  const rows = Object.entries(comparisons).map(([id, one]) => comparisonRow(id, one));
  const headers = ['metric', 'model', 'baseline', 'difference', '95 % interval', 'p (Holm)', 'verdict'];
  const test = mcnemar
    ? [
        `Accuracy by flipping signs of whole clusters (McNemar's test, with ties as halves): p ${mcnemar.pValue.toPrecision(2)}`,
      ]
    : [];
  return [
    '',
    `Against ${printable(file)} (${n} rows, ${clusters} clusters): ${verdict}`,
    formatTable(headers, rows, { width: terminalWidth() }),
    ...test,
  ];
}

function suiteOf({ suite }: EvaluateReport): string[] {
  return suite ? ['', formatTable(SUITE_HEADERS, suiteRows(suite), { width: terminalWidth() })] : [];
}

function bestOfOf({ bestOf }: EvaluateReport): string[] {
  if (!bestOf) return [];
  const { picks, items, prompts } = bestOf;
  const lines = [
    '',
    `Best of N: the item the scorer picks among N of a prompt (${items} items, ${prompts} prompts)`,
    formatTable(BEST_OF_HEADERS, picks.map(bestOfRow), { width: terminalWidth() }),
  ];
  const compared = picks.flatMap(({ n, baseline }) =>
    baseline && n > 1 ? [comparisonRow(`best of ${n}`, baseline)] : [],
  );
  if (compared.length === 0) return lines;
  const headers = ['human score', 'model', 'baseline', 'difference', '95 % interval', 'p (Holm)', 'verdict'];
  return [...lines, '', formatTable(headers, compared, { width: terminalWidth() })];
}

function headsOf({ aux }: EvaluateReport): string[] {
  return aux ? ['', formatTable(HEAD_HEADERS, headRows(aux), { width: terminalWidth() })] : [];
}

function diagnosisOf({ diagnosis }: EvaluateReport): string[] {
  if (!diagnosis) return [];
  const rows = diagnosis.biases.map(biasRow);
  return ['', ...diagnosisWords(diagnosis), formatTable(BIAS_HEADERS, rows, { width: terminalWidth() })];
}
