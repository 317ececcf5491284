import type { AuxScores, Percentile } from '../data/rows.js';
import { type ScoreWindows, spanWords, type WindowCurve } from '../data/score-windows.js';
import type { ScoreReport } from '../lifecycle/score/score.js';
import { formatHash } from './format.js';
import { styled } from './style.js';

/** The text of `hpsv3 score`: the answer, then what it rests on. */
export function formatScore(report: ScoreReport): string {
  const { logit, model, truncated, runtime, decision } = report;
  return [
    'winner' in report ? describePair(report) : describeItem(report),
    ...(report.percentile ? [describePlace(report.percentile, 'winner' in report)] : []),
    `logit ${logit.toPrecision(6)}, model ${formatHash(model)}, ${runtime.device}${runtime.threads > 1 ? `, ${runtime.threads} threads` : ''}`,
    ...describeAux(report),
    ...(decision ? [DECISIONS[decision]] : []),
    ...describeWindows(report.windows),
    ...(truncated ? ['The end of a text was left out: it is longer than the model reads.'] : []),
  ].join('\n');
}

/** What auxiliary heads say, one line an item, and which marks hold. */
function describeAux({ aux, marks = [] }: ScoreReport): string[] {
  const items: [string, AuxScores][] = aux === undefined ? [] : 'left' in aux ? Object.entries(aux) : [['', aux]];
  const lines = items.map(([side, said]) => {
    const each = (Object.entries(said) as [string, number][]).map(([head, value]) => `${head} ${value.toFixed(3)}`);
    return `${side === '' ? '' : `${side}: `}${each.join(', ')}`;
  });
  return [...lines, ...marks.map((mark) => styled('bad', `marked: ${mark}`))];
}

function describePair(pair: Extract<ScoreReport, { winner: unknown }>): string {
  const { winner, score, confidence, calibrated } = pair;
  const probability = winner === 'right' ? 1 - score : score;
  const sure = confidence === null ? '' : `, at least ${confidence.toFixed(3)} (90 % band)`;
  if (winner === 'undecided') {
    return `undecided: the margin is too small for the risk that the calibrator keeps (probability ${score.toFixed(3)} for the left)`;
  }
  const answer = winner === 'tie' ? 'tie' : styled('good', `${winner} is preferred`);
  return `${answer}: probability ${probability.toFixed(3)}${calibrated ? sure : ' (uncalibrated)'}`;
}

function describeItem({ score, calibrated, calibratedBy }: Exclude<ScoreReport, { winner: unknown }>): string {
  const scale = calibratedBy && CALIBRATED_BY[calibratedBy];
  return `utility ${score.toFixed(4)}${calibrated === false ? '' : `, ${calibrated.toFixed(4)} ${scale}`}`;
}

function describePlace({ below, low, high, n }: Percentile, isPair: boolean): string {
  const than = isPair ? 'a larger margin than' : 'higher than';
  const scores = `${n} ${isPair ? 'pairs' : 'items'}`;
  return `${than} ${percent(below)} of the reference set (${scores}; 95 % interval ${percent(low)} to ${percent(high)})`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** What the score was made of, and where it is worst. */
function describeWindows(windows: ScoreWindows | undefined): string[] {
  if (!windows) return [];
  const { window, stride, aggregate, sharpness = 0, interval } = windows;
  const range = interval
    ? `, ${interval.low.toFixed(4)} to ${interval.high.toFixed(4)} over other stretches of the same (${100 * interval.level} %)`
    : '';
  const describe = ({ count, worst }: WindowCurve): string =>
    `${count === 1 ? '1 window' : `${count} windows, the worst`} ${spanWords(worst, windows.unit)}: logit ${worst.logit.toPrecision(6)}`;
  return [
    `Scored in windows of ${window}, one every ${stride}: the logit is ${AGGREGATED[aggregate](sharpness)}${range}.`,
    ...('curve' in windows
      ? [describe(windows)]
      : [`left: ${describe(windows.left)}`, `right: ${describe(windows.right)}`]),
  ];
}

const AGGREGATED = {
  mean: () => 'their mean',
  worst: () => 'that of the worst',
  last: () => 'that of the last',
  fitted: (sharpness: number) => `their mean by the fitted rule, of sharpness ${sharpness.toPrecision(3)}`,
} as const;

const CALIBRATED_BY = {
  calibrator: 'on the scale of the labels that the calibrator was fitted to',
  checkpoint: "by the checkpoint's own calibration layer, which nothing here held to labels",
  contract: 'as its contract reads the output',
} as const;

/** What decided a pair, and what other files of the same checkpoint decide by. */
const DECISIONS = {
  'pair-head':
    'Decided by the pair head, asked both ways. A file of mode item has no such head: it decides by the difference of two utilities, and may decide otherwise.',
  'utility-difference':
    'Decided by the difference of two utilities. A file of mode pair decides by its pair head where the checkpoint has one, and may decide otherwise.',
} as const;
