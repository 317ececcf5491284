import { formatBytes, formatCount } from '../../bytes/format.js';
import type { Calibrator } from '../../calibration/calibrator.js';
import { type Badge, type Block, heading, type Sample, type Tile } from '../blocks.js';
import type { CardFacts } from '../card-facts.js';
import type { Evaluation, FoundDocument, ProfileDocument } from '../documents.js';
import type { Example } from '../examples.js';
import { formatFigure, formatMs, metricOf } from '../figures.js';
import { calibrationOf, dataName, gapStands, LEADING, threadsWords, weightsWords, worstGroups } from '../words.js';
import { type Pictures, picture } from './analyses.js';

/** What a reader sees first: what the score means, the few figures that matter, and the pictures of them. */

/** Items and pairs by the modality of a model. */
const THINGS: Readonly<Record<string, readonly [item: string, pair: string]>> = {
  image: ['an image', 'two images'],
  text: ['a text', 'two texts'],
  audio: ['a sound', 'two sounds'],
  video: ['a video', 'two videos'],
  'image-text': ['an image and its text', 'two images and their texts'],
  'audio-text': ['a sound and its text', 'two sounds and their texts'],
  'video-text': ['a video and its text', 'two videos and their texts'],
};

const thingsOf = (modality: string | null | undefined): readonly [string, string] =>
  THINGS[modality ?? ''] ?? ['an item', 'two items'];

/** One sentence that says what the score means. */
export function leadOf({ meaning, model, calibration }: CardFacts): string {
  const [item, pair] = thingsOf(model?.modality);
  if (meaning === null) {
    const scale = calibration || model?.embeddedCalibrator ? 'the score that raters are expected to give' : 'a utility';
    return scale === 'a utility'
      ? `Given ${item}, it gives a utility: of several, the one with the highest is expected to be the best; it is not on the scale of the labels.`
      : `Given ${item}, it gives ${scale}, on the scale of the labels.`;
  }
  if (!meaning.calibrated) {
    return `Given ${pair}, it says which one a rater is expected to prefer: the sign of the score decides, and its size is no probability, since nothing has been calibrated.`;
  }
  const share = Math.round(100 * meaning.probability);
  return `Given ${pair}, it gives the probability that a rater prefers the left one: ${formatFigure(meaning.probability)} means that about ${share} of 100 ratings are expected to.`;
}

export function badges({ text, model, calibration, files }: CardFacts): Block[] {
  const calibrated = calibrationOf({ calibration, model });
  const items: (Badge | null)[] = [
    text.version === undefined ? null : { label: 'version', value: text.version },
    model && { label: 'reads', value: thingsOf(model.modality)[model.mode === 'item' ? 0 : 1] },
    model && { label: 'format', value: `ONNX, opset ${model.opset}` },
    model && { label: 'weights', value: weightsWords(model) },
    { label: 'calibrated', value: calibrated ?? 'no' },
    { label: 'numbers bound to', value: files.length === 1 ? '1 file' : `${files.length} files` },
  ];
  return [{ kind: 'badges', items: items.filter((one) => one !== null) }];
}

/** Figures of the first evaluation, of calibrating, quantizing and running. What is not known has no tile, but the licence. */
export function tiles(facts: CardFacts): Block[] {
  const { evaluations, quantization, profile, model, text, calibration } = facts;
  const [first] = evaluations;
  return tileBlock([
    ...(first
      ? [leadingTile(first.report), errorTile(calibration?.calibrator, first.report), worstTile(first.report)]
      : []),
    model && {
      label: 'Size',
      value: formatBytes(model.bytes),
      detail:
        quantization?.modelIs === 'quantized'
          ? `${quantization.report.ratio.toFixed(2)} times smaller than in floats`
          : `${formatCount(model.parameters)} parameters`,
    },
    profile && latencyTile(profile.report),
    quantization && flipsTile(quantization),
    { label: 'Licence', value: text.license ?? 'not stated', detail: text.license ? 'of the model' : 'by its maker' },
  ]);
}

/** Those of a run: each report's, in their order, as far as they fit. */
export function runTiles(documents: readonly FoundDocument[]): Block[] {
  const found = documents.flatMap((document): (Tile | null)[] => {
    const { kind, report, path } = document;
    const from = (tile: Tile | null): Tile | null => tile && { ...tile, detail: `${tile.detail}; ${path}` };
    switch (kind) {
      case 'evaluation':
        return [leadingTile(report), worstTile(report)].map(from);
      case 'calibrator':
        return [from(fallTile(report))];
      case 'quantization':
        return [
          from({ label: 'Size', value: formatBytes(report.bytes), detail: `${report.ratio.toFixed(2)} times smaller` }),
          from(flipsTile({ report, modelIs: 'quantized' })),
        ];
      case 'profile':
        return [from(latencyTile(report))];
      default:
        return [];
    }
  });
  return tileBlock(found.slice(0, MAX_TILES));
}

const MAX_TILES = 8;

const tileBlock = (items: readonly (Tile | null)[]): Block[] => {
  const known = items.filter((one) => one !== null);
  return known.length === 0 ? [] : [{ kind: 'tiles', caption: 'What matters most', items: known }];
};

const latencyTile = ({ latency, noise }: ProfileDocument): Tile => ({
  label: 'Latency, median',
  value: formatMs(latency.p50Ms.value),
  detail: `batch ${latency.setting.batch}, ${threadsWords(latency.setting.threads)}${noise.quiet ? '' : '; the machine was not quiet'}`,
});

function leadingTile({ kind, overall, n }: Evaluation): Tile | null {
  const id = LEADING[kind][0];
  const figure = overall[id];
  if (!figure) return null;
  const interval = figure.ci ? `95 % interval ${figure.ci.map((end) => formatFigure(end)).join(' to ')}; ` : '';
  const things = kind === 'pair' ? 'pairs' : 'items';
  return {
    label: metricOf(id).label,
    value: formatFigure(figure.value),
    detail: `${interval}${formatCount(n)} ${things}`,
  };
}

/** How far probabilities (or values of items) are off: before and after calibration, where there was one. */
function errorTile(fitted: Calibrator | undefined, { kind, overall, calibrated }: Evaluation): Tile | null {
  const fall = fitted && fallTile(fitted);
  if (fall) return fall;
  const id = kind === 'pair' ? 'ece' : 'rmse';
  const figure = overall[id];
  if (!figure) return null;
  const detail = calibrated && fitted?.method !== 'none' ? 'calibrated' : 'nothing has been calibrated';
  return { label: metricOf(id).label, value: formatFigure(figure.value), detail };
}

function fallTile({ kind, method, figures }: Calibrator): Tile | null {
  const id = kind === 'pair' ? 'ece' : 'rmse';
  const [before, after] = [figures.before[id]?.value, figures.after[id]?.value];
  if (method === 'none' || typeof before !== 'number' || typeof after !== 'number') return null;
  return {
    label: metricOf(id).label,
    value: `${formatFigure(before)} → ${formatFigure(after)}`,
    detail: `before, after ${method}; out of fold`,
  };
}

function worstTile(report: Evaluation): Tile | null {
  const [worst] = worstGroups(report);
  if (worst === undefined) return null;
  const { by, value, metric, n, gap } = worst;
  const group = report.groups.find((one) => one.by === by && one.value === value);
  const stands = gap === undefined || gap.holm === null ? '' : gapStands(gap) ? '; the gap stands' : '; may be chance';
  return {
    label: `Worst group, ${metricOf(metric).label}`,
    value: formatFigure(group?.metrics?.[metric]?.value),
    detail: `${by}: ${value}, ${formatCount(n)} rows${stands}`,
  };
}

function flipsTile({
  report,
  modelIs,
}: Pick<NonNullable<CardFacts['quantization']>, 'report' | 'modelIs'>): Tile | null {
  if (report.flips === null || !report.gate || report.gate.pairs === null) return null;
  return {
    label: 'Flips after quantizing',
    value: `${formatCount(report.flips)} of ${formatCount(report.gate.pairs)}`,
    detail: modelIs === 'quantized' ? 'pairs whose winner changed' : `pairs whose winner changed in ${report.out}`,
  };
}

const PICKED: Readonly<Record<Example['pick'], string>> = {
  surest: 'Its surest',
  middle: 'In the middle',
  closest: 'Its closest call',
  highest: 'Its highest',
  lowest: 'Its lowest',
};

/** Rows that were judged, with what the model said of them and what raters said. */
export function tryIt(facts: CardFacts): Block[] {
  const { examples = [], evaluations } = facts;
  if (examples.length === 0) return [];
  const items = examples.map(
    ({ pick, parts, value, logit, votes, rated }): Sample => ({
      title: PICKED[pick],
      parts: parts.map(({ name, text }) => [name, text]),
      result: votes === null ? itemResult(value, logit, rated) : pairResult(value ?? 0.5, votes, facts),
      share: votes === null ? null : value,
    }),
  );
  return [{ kind: 'samples', caption: `Try it: rows of ${dataName(facts, evaluations[0])}`, items }];
}

function pairResult(
  value: number,
  { left, right, tie }: NonNullable<Example['votes']>,
  { meaning }: Pick<CardFacts, 'meaning'>,
): string {
  const said = meaning?.calibrated ? 'P(left)' : 'sigmoid of the logit';
  const ties = tie > 0 ? `, ${tie} for neither` : '';
  return `${said} ${formatFigure(value)}, votes ${left} : ${right}${ties}`;
}

const itemResult = (value: number | null, logit: number, rated: number | null): string =>
  `${value === null ? `utility logit ${formatFigure(logit)}` : `score ${formatFigure(value)}`}; raters: ${formatFigure(rated)}`;

/** Pictures that are shown at a glance, and nowhere else. */
export const GLANCE = ['reliability-1', 'groups-1'] as const;

/** Whether probabilities may be believed, and whom the model serves worst. */
export function atAGlance(pictures: Pictures, [reliability, groups]: readonly [string, string] = GLANCE): Block[] {
  const columns = [picture(pictures, reliability), picture(pictures, groups)].filter((column) => column.length > 0);
  return columns.length === 0 ? [] : [heading(2, 'At a glance'), { kind: 'beside', columns }];
}
