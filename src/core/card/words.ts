import { formatCount } from '../bytes/format.js';
import type { Abstention } from '../calibration/abstention.js';
import type { Reference } from '../calibration/reference.js';
import type { DiagnosisReport } from '../evaluation/diagnose.js';
import type { CardFacts, EvaluationFacts, Meaning, ModelFacts } from './card-facts.js';
import type { Evaluation } from './documents.js';
import { formatFigure, formatInterval, metricOf } from './figures.js';

/** Sentences that facts are told in. */

/** Below it a gap is taken for real, after Holm's correction. */
export const SIGNIFICANCE = 0.05;

/** `12.3 %`; what rounding leaves of nothing is nothing. */
export const percent = (share: number): string =>
  Math.abs(share) < 5e-6
    ? '0 %'
    : `${(100 * share)
        .toPrecision(3)
        .replace(/(\.\d*?)0+$/, '$1')
        .replace(/\.$/, '')} %`;

/** The figure a model is shown by, and the one beside it, by what was judged. */
export const LEADING = { pair: ['accuracy', 'ece'], absolute: ['spearman', 'rmse'] } as const;

export const threadsWords = (threads: number): string => `${threads} ${threads === 1 ? 'thread' : 'threads'}`;

/** What one group has most to complain of. */
export interface WorstGroup {
  readonly by: string;
  readonly value: string;
  readonly metric: string;
  readonly n: number;
  /** What sets it apart from the rest, where that was tested. */
  readonly gap: ReportedGap | undefined;
  readonly sentence: string;
}

type ReportedGap = Evaluation['gaps'][number];

/** Whether a gap is taken for real. */
export const gapStands = ({ holm }: Pick<ReportedGap, 'holm'>): boolean => holm !== null && holm < SIGNIFICANCE;

/** `0.012`; `-` where there is none. With as many digits as tell on which side of significance it lies. */
export function formatP(p: number | null): string {
  if (p === null) return '-';
  const digits = [2, 3, 4, 5, 6].find((n) => Number(p.toPrecision(n)) < SIGNIFICANCE === p < SIGNIFICANCE);
  return p.toPrecision(digits ?? 17);
}

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
        n,
        gap,
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
  const stands = gapStands(gap)
    ? 'the gap stands after correction for the number of groups'
    : 'the gap does not stand after correction for the number of groups, so it may be chance';
  return `${size} (p = ${formatP(gap.pValue)}, ${formatP(gap.holm)} after Holm: ${stands})`;
}

/** Which groups differ from the rest, and in what: the same that the table says. */
export function gapSummary({ gaps, groups }: Evaluation): string {
  const tested = gaps.filter(({ holm }) => holm !== null);
  const hidden = groups.filter(({ suppressed }) => suppressed).length;
  const few = hidden > 0 ? ` ${hidden} of ${groups.length} groups are too small to say anything of.` : '';
  if (tested.length === 0) return `No gap between a group and the rest could be tested.${few}`;
  const metrics = [...new Set(tested.map(({ metric }) => metric))];
  const real = metrics.flatMap((metric) => {
    const standing = tested.filter((gap) => gap.metric === metric && gapStands(gap));
    return standing.length === 0 ? [] : `${metricOf(metric).label}: ${standing.map(groupWords).join(', ')}`;
  });
  const count = tested.filter(gapStands).length;
  const of = `Of ${tested.length} gaps between a group and all other rows (${metrics.map((metric) => metricOf(metric).label).join(', ')})`;
  const verdict =
    count === 0
      ? `${of}, none stands after Holm's correction. That is not proof that there is none.`
      : `${of}, ${count} ${count === 1 ? 'stands' : 'stand'} after Holm's correction: ${real.join('; ')}.`;
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

/** What a score is swayed by, in sentences. */
export function diagnosisWords({
  biases,
  level,
  lengthControlled,
}: Pick<DiagnosisReport, 'level' | 'lengthControlled'> & {
  readonly biases: readonly { readonly id: string; readonly claim: string | null; readonly holm: number | null }[];
}): string[] {
  const claims = biases.flatMap(({ claim }) => (claim === null ? [] : [claim]));
  const tested = biases.filter(({ holm }) => holm !== null);
  const none =
    tested.length === 0
      ? 'Nothing could be said of what the score depends on beyond what people do.'
      : `Of ${tested.map(({ id }) => id).join(', ')}, nothing sways the score beyond what people do (Holm's p from ${level} on). That is not proof that nothing does.`;
  const controlled = lengthControlled
    ? [
        `Length-controlled accuracy, where votes for the longer and for the shorter one count half each: ${formatFigure(lengthControlled.accuracy.value)} ${formatInterval(lengthControlled.accuracy.ci)} (longer ${formatFigure(lengthControlled.longer.value)}, shorter ${formatFigure(lengthControlled.shorter.value)}).`,
      ]
    : [];
  return [...(claims.length > 0 ? claims : [none]), ...controlled];
}

/** What the figures of auxiliary heads are of. */
export const HEAD_WORDS =
  'What the heads beside the preference say, against labels of the same name: of fluency and toxicity the probability (accuracy decides at one half), of quality the number of the class on average.';

/** The group that rows of the shipped probes have: what stands beside an honest item. */
const ATTACK_GROUP = 'attack';

/** How often what should fool nobody is ranked above an honest item; empty for an evaluation without probes. */
export function probeWords({ kind, groups, distributions, minGroup }: Evaluation): string[] {
  const attacks = groups.filter(({ by }) => by === ATTACK_GROUP);
  if (kind !== 'pair' || attacks.length === 0) return [];
  const told = attacks.flatMap(({ value, n, metrics }) => {
    const accuracy = metrics?.['accuracy']?.value ?? null;
    if (accuracy === null) return [];
    const middle = distributions.rows.find((one) => one.by === ATTACK_GROUP && one.value === value)?.quantiles[2];
    return [{ value, n, fooled: 1 - accuracy, honest: middle ?? null }];
  });
  const few = attacks.length - told.length;
  const hidden = few > 0 ? [`${few} attacks have fewer than ${minGroup} rows and are not shown.`] : [];
  if (told.length === 0) return hidden;
  const rows = told.reduce((sum, { n }) => sum + n, 0);
  const share = told.reduce((sum, { n, fooled }) => sum + n * fooled, 0) / rows;
  const each = [...told]
    .sort((a, b) => b.fooled - a.fooled)
    .map(({ value, fooled, honest }) => {
      const by = honest === null ? '' : ` (median probability of the honest one ${formatFigure(honest)})`;
      return `${value} ${percent(fooled)}${by}`;
    });
  return [
    `Of ${formatCount(rows)} probes that should fool nobody, ${percent(share)} are ranked above the honest item of their prompt: ${each.join(', ')}.`,
    ...hidden,
  ];
}

/** When not to decide, in a sentence. */
export function abstentionWords({ risk, confidence, margin, coverage, error, clusters }: Abstention): string {
  const promise = `at most ${percent(risk)} of the votes against the decision, on as many new prompts with ${percent(confidence)} confidence`;
  if (margin === null) return `No margin keeps the risk asked for (${promise}) on ${clusters} prompts.`;
  return `Decided from a pair logit of ${margin.toPrecision(4)} in size on, it keeps the risk asked for (${promise}). That is ${percent(coverage ?? 0)} of the pairs; of their votes ${percent(error ?? 0)} were against the decision.`;
}

/** What scores are placed among, in a sentence. */
export function referenceWords({ of, n, quantiles, error }: Reference): string {
  const at = (share: number): string => quantiles[Math.round(share * (quantiles.length - 1))].toPrecision(4);
  const what =
    of === 'pairs' ? `${formatCount(n)} pairs by the size of the pair logit` : `${formatCount(n)} items by logit`;
  const off = error === 0 ? '' : `, to ${percent(error)} of the set`;
  return `Scores say which share of a reference set is lower: ${what} (median ${at(0.5)}, nine of ten between ${at(0.05)} and ${at(0.95)})${off}.`;
}

/** How surely the figures are of this model. */
export const BINDING_WORDS: Readonly<Record<EvaluationFacts['binding'], string>> = {
  model: 'The scores name this very file by its sha256.',
  'before-calibration': 'The scores name the file that the calibrator was put into; its logits are those of this file.',
  unnamed: 'The scores name no model: that they are of this file is the word of whoever gave them.',
  scorer: 'The scorer is no file that could be named by its sha256; its scores are bound instead.',
};

/** Which rows were judged, and which were not, each for its own reason. */
export function rowsWords({ n, clusters, kind, rows, minGroup, inputs }: Evaluation): string {
  const what = kind === 'pair' ? 'pairs' : 'items';
  const { scoresOnly, labelsOnly, failed } = rows;
  const left = [
    scoresOnly.count > 0
      ? ` ${inputs.scores.name} scores ${formatCount(scoresOnly.count)} more rows, for which ${inputs.labels.name} has no labels.`
      : '',
    labelsOnly.count > 0 ? ` ${formatCount(labelsOnly.count)} labelled rows have no score, and are in no figure.` : '',
    failed > 0 ? ` ${formatCount(failed)} rows were refused as bad.` : '',
  ];
  return `${formatCount(n)} ${what} in ${formatCount(clusters)} clusters (prompts).${left.join('')} Groups under ${minGroup} rows are suppressed.`;
}

/** Who judged, in the words of whoever described the data: nobody is called human, or a person, by us. */
export function ratersWords({ datasets }: Pick<CardFacts, 'datasets'>, { dataset }: EvaluationFacts): string {
  const raters = dataset === null ? undefined : datasets[dataset].raters;
  return raters ?? 'not stated';
}

/** Bits of weights by the scheme they were quantized by, where weights are quantized at all. */
const WEIGHTS: Readonly<Record<string, string>> = {
  'weight-only': 'int8',
  dynamic: 'int8',
  static: 'int8',
  int4: 'int4',
  fp16: 'fp16',
};

/** How the weights are stored: a file that was quantized keeps the word for what it was made from, and says so. */
export function weightsWords({ dtype, lineage }: ModelFacts): string {
  const float = dtype ?? 'floats';
  const last = lineage.findLastIndex(({ step }) => step === 'quantize');
  if (last < 0) return dtype ?? 'not stated';
  const scheme = String(lineage[last].options.scheme ?? 'quantized');
  const stored = WEIGHTS[scheme] ?? scheme;
  const member = lineage.findLastIndex(({ step }) => step === 'ensemble') > last ? ', of a member' : '';
  return `${stored} (${scheme}${member}) and ${float}`;
}

/** By which method probabilities are calibrated; null where they are not. */
export function calibrationOf({ calibration, model }: Pick<CardFacts, 'calibration' | 'model'>): string | null {
  const method = calibration?.calibrator.method ?? model?.embeddedCalibrator?.method ?? 'none';
  return method === 'none' ? null : method;
}

/** The dataset of an evaluation by its name, or the file's. */
export const dataName = ({ datasets }: Pick<CardFacts, 'datasets'>, { dataset, report }: EvaluationFacts): string =>
  dataset === null ? report.inputs.labels.name : datasets[dataset].name;
