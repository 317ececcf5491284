import { formatCount } from '../bytes/format.js';
import type { CardFacts, EvaluationFacts, Meaning } from './card-facts.js';
import type { Evaluation } from './documents.js';
import { formatFigure, formatInterval, metricOf } from './figures.js';

/** Sentences that facts are told in. */

/** Below it a gap is taken for real, after Holm's correction. */
export const SIGNIFICANCE = 0.05;

export const percent = (share: number): string => `${(100 * share).toPrecision(3).replace(/\.?0+$/, '')} %`;

/** What one group has most to complain of. */
export interface WorstGroup {
  readonly by: string;
  readonly value: string;
  readonly metric: string;
  readonly sentence: string;
}

/** `0.012`; `-` where there is none. */
export const formatP = (p: number | null): string => (p === null ? '-' : p.toPrecision(2));

/** `source is coco`; for an intersection `source × models is coco × a|b`. */
const groupWords = ({ by, value }: { readonly by: string; readonly value: string }): string => `${by} is ${value}`;

/** What is told of a group that does worst: by accuracy for pairs, by error for items. */
export function worstGroups({ kind, groups, gaps, worst }: Evaluation): WorstGroup[] {
  const leading = kind === 'pair' ? 'accuracy' : 'rmse';
  return worst
    .filter(({ metric }) => metric === leading)
    .map(({ by, value, metric, estimate }) => {
      const same = (one: { readonly by: string; readonly value: string }) => one.by === by && one.value === value;
      const n = groups.find(same)?.n ?? 0;
      const gap = gaps.find((one) => same(one) && one.metric === metric);
      const figure = `${metricOf(metric).label.toLowerCase()} ${formatFigure(estimate.value)} ${formatInterval(estimate.ci)}`;
      const does = kind === 'pair' ? 'agrees least with raters' : 'errs most';
      return {
        by,
        value,
        metric,
        sentence: `The model ${does} where ${groupWords({ by, value })}: ${figure} on ${formatCount(n)} rows${gapWords(gap)}.`,
      };
    });
}

function gapWords(gap: Evaluation['gaps'][number] | undefined): string {
  const difference = gap?.difference.value;
  if (gap === undefined || difference === null || difference === undefined) return '';
  const side = difference < 0 ? 'below' : 'above';
  const size = `, ${formatFigure(Math.abs(difference))} ${side} all other rows`;
  if (gap.holm === null) return size;
  const stands =
    gap.holm < SIGNIFICANCE
      ? 'the gap stands after correction for the number of groups'
      : 'the gap does not stand after correction for the number of groups, so it may be chance';
  return `${size} (p = ${formatP(gap.pValue)}, ${formatP(gap.holm)} after Holm: ${stands})`;
}

/** How many groups differ from the rest, in a sentence. */
export function gapSummary({ gaps, groups }: Evaluation): string {
  const tested = gaps.filter(({ holm }) => holm !== null);
  const real = tested.filter(({ holm }) => holm! < SIGNIFICANCE);
  const hidden = groups.filter(({ suppressed }) => suppressed).length;
  const few = hidden > 0 ? ` ${hidden} of ${groups.length} groups are too small to say anything of.` : '';
  if (tested.length === 0) return `No gap between a group and the rest could be tested.${few}`;
  const of = `Of ${tested.length} gaps between a group and all other rows`;
  const verdict =
    real.length === 0
      ? `${of}, none stands after Holm's correction. That is not proof that there is none.`
      : `${of}, ${real.length} ${real.length === 1 ? 'stands' : 'stand'} after Holm's correction.`;
  const alone =
    tested.length > 1
      ? ' An interval and p are of one gap alone, so that by chance some miss 0; p (Holm) is of all of them together, and decides.'
      : '';
  return `${verdict}${alone}${few}`;
}

/** What a score means, by the example of one. */
export function meaningWords({ logit, origin, probability, confidence, calibrated }: Meaning): string {
  const example = origin === 'typical' ? 'a size that is about the middle of the judged pairs' : 'a made-up example';
  if (!calibrated) {
    return `The score of a pair is a log-odds whose sign decides. Take a pair logit of ${logit} (${example}): sigmoid gives ${formatFigure(probability)}, but nothing has been calibrated, so this must not be read as the share of raters who agree.`;
  }
  const [share, rest] = [Math.round(100 * probability), 100 - Math.round(100 * probability)];
  const band =
    confidence === null
      ? ''
      : ` It is at least ${formatFigure(confidence)} by the band, which the result calls confidence.`;
  return `The score of a pair is the calibrated probability that a rater prefers the left one. Take a pair logit of ${logit} (${example}): its probability is ${formatFigure(probability)}. Of 100 ratings of such pairs, about ${share} are expected to prefer the left and ${rest} the right.${band} Swapped sides give ${formatFigure(1 - probability)}.`;
}

/** How surely the figures are of this model. */
export const BINDING_WORDS: Readonly<Record<EvaluationFacts['binding'], string>> = {
  model: 'The scores name this very file by its sha256.',
  'before-calibration': 'The scores name the file that the calibrator was put into; its logits are those of this file.',
  unnamed: 'The scores name no model: that they are of this file is the word of whoever gave them.',
  scorer: 'The scorer is no file that could be named by its sha256; its scores are bound instead.',
};

/** Which rows were judged. */
export function rowsWords({ n, clusters, kind, rows, minGroup }: Evaluation): string {
  const what = kind === 'pair' ? 'pairs' : 'items';
  const left = rows.labelsOnly.count + rows.scoresOnly.count + rows.failed;
  const without = left > 0 ? ` ${formatCount(left)} rows were left out: bad, or in one of the two files only.` : '';
  return `${formatCount(n)} ${what} in ${formatCount(clusters)} clusters (prompts).${without} Groups under ${minGroup} rows are suppressed.`;
}

/** The dataset of an evaluation by its name, or the file's. */
export const dataName = ({ datasets }: Pick<CardFacts, 'datasets'>, { dataset, report }: EvaluationFacts): string =>
  dataset === null ? report.inputs.labels.name : datasets[dataset].name;
