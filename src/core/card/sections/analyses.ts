import { formatBytes, formatCount } from '../../bytes/format.js';
import type { Calibrator } from '../../calibration/calibrator.js';
import { type Block, facts as factTable, heading, list, note, paragraph, type Text, table } from '../blocks.js';
import type { CardFacts, EvaluationFacts } from '../card-facts.js';
import type { Evaluation, ProfileDocument, Quantization } from '../documents.js';
import { faithfulnessFacts } from '../explanation-page.js';
import {
  BEST_OF_HEADERS,
  BIAS_HEADERS,
  bestOfRow,
  biasRow,
  comparisonRow,
  formatEstimate,
  formatFigure,
  formatInterval,
  formatMs,
  HEAD_HEADERS,
  headRows,
  metricOf,
  SUITE_HEADERS,
  suiteRows,
} from '../figures.js';
import {
  abstentionWords,
  dataName,
  diagnosisWords,
  formatP,
  gapStands,
  gapSummary,
  HEAD_WORDS,
  LEADING,
  percent,
  probeWords,
  referenceWords,
  threadsWords,
  worstGroups,
} from '../words.js';
import { section } from './maker.js';

/** Pictures there are, by name, with what they show. */
export type Pictures = ReadonlyMap<string, string>;

/** The picture of that name, where there is one. */
export const picture = (pictures: Pictures, name: string): Block[] => {
  const alt = pictures.get(name);
  return alt === undefined ? [] : [{ kind: 'picture', name, alt }];
};

/** Figures overall, by group and by several together; calibration; what quantizing changed; size and speed. */
export function quantitativeAnalyses(facts: CardFacts, pictures: Pictures): Block[] {
  return section(facts, 'quantitative-analyses', [
    ...facts.evaluations.flatMap((one, i) => evaluationBlocks(facts, one, pictures, i + 1)),
    ...ownCalibration(facts, pictures),
    ...(facts.quantization ? quantizationBlocks(facts.quantization, pictures) : []),
    ...parityBlocks(facts),
    ...profileBlocks(facts),
    ...explanationBlocks(facts),
  ]);
}

export function evaluationBlocks(
  facts: Pick<CardFacts, 'datasets' | 'evaluations'>,
  one: EvaluationFacts,
  pictures: Pictures,
  number: number,
): Block[] {
  const { report } = one;
  const title = `Unitary results: ${dataName(facts, one)}`;
  const single =
    report.options.by.length < 2 ? report.groups : report.groups.filter(({ by }) => report.options.by.includes(by));
  const crossed = report.groups.filter((group) => !single.includes(group));
  return [
    heading(3, facts.evaluations.length > 1 ? `${title} (${number})` : title),
    ...probeWords(report).map((sentence) => paragraph([{ strong: 'Probes.' }, ` ${sentence}`])),
    ...overall(report),
    ...baseline(report),
    ...suite(report),
    ...bestOf(report),
    ...headBlocks(report),
    ...diagnosisBlocks(report),
    ...(report.groups.length === 0
      ? []
      : [
          heading(3, facts.evaluations.length > 1 ? `By group (${number})` : 'By group'),
          ...worstGroups(report).map(({ sentence }) => paragraph([{ strong: 'Bias statement.' }, ` ${sentence}`])),
          paragraph(gapSummary(report)),
          ...picture(pictures, `groups-${number}`),
          ...groupTable('Figures by group', report, single),
          ...picture(pictures, `distributions-${number}`),
        ]),
    ...(crossed.length === 0
      ? []
      : [
          heading(3, facts.evaluations.length > 1 ? `Intersectional results (${number})` : 'Intersectional results'),
          ...groupTable('Figures where several groups meet', report, crossed),
        ]),
  ];
}

function overall({ overall: figures, ceiling, kind }: Evaluation): Block[] {
  const rows = Object.entries(figures).map(([id, { value, ci }]): Text[] => [
    metricOf(id).label,
    formatFigure(value),
    formatInterval(ci),
  ]);
  if (ceiling)
    rows.splice(1, 0, ['Agreement of a rater with another', formatFigure(ceiling.value), formatInterval(ceiling.ci)]);
  const of = kind === 'pair' ? 'pairs' : 'items';
  return table(`Overall figures of all judged ${of}`, ['Figure', 'Value', '95 % interval'], rows, [1, 2]);
}

function suite({ suite: report }: Evaluation): Block[] {
  if (!report) return [];
  const { name, source, missing } = report;
  return [
    heading(3, name),
    paragraph(`By its own protocol${source === null ? '' : `: ${source}`}.`),
    ...(missing.length === 0
      ? []
      : [note(`No row is of ${missing.join(', ')}: the whole compares with no published figure.`)]),
    ...table(`Scores of ${name}`, SUITE_HEADERS, suiteRows(report), [1, 2, 3]),
  ];
}

function headBlocks({ aux }: Evaluation): Block[] {
  if (!aux) return [];
  return [
    heading(3, 'Auxiliary heads'),
    paragraph(HEAD_WORDS),
    ...table('Figures of the auxiliary heads', HEAD_HEADERS, headRows(aux), [1, 3, 4]),
  ];
}

function diagnosisBlocks({ diagnosis }: Evaluation): Block[] {
  if (!diagnosis) return [];
  const { biases, level, unreadable } = diagnosis;
  return [
    heading(3, 'What sways the score'),
    ...diagnosisWords(diagnosis).map((sentence) => paragraph(sentence)),
    ...table(
      `Dependence on what should not matter, once the votes are given; claimed where Holm's p is under ${level}`,
      BIAS_HEADERS,
      biases.map(biasRow),
      [1, 2, 3, 4, 5],
    ),
    paragraph(
      `Units: ${biases.map(({ id, unit }) => `${id}, ${unit}`).join('; ')}. A bias is the number of logits a unit that the votes would take off the score again.`,
    ),
    ...(unreadable.count > 0
      ? [note(`${formatCount(unreadable.count)} media files could not be read: nothing of them is diagnosed.`)]
      : []),
  ];
}

function bestOf({ bestOf: report }: Evaluation): Block[] {
  if (!report) return [];
  const { picks, from, items, prompts } = report;
  const scale = from === 'ratings' ? 'as the labels state it' : 'the share of votes it gets against the other items';
  const compared = picks.flatMap(({ n, baseline }) =>
    baseline && n > 1 ? [comparisonRow(`Best of ${n}`, baseline)] : [],
  );
  return [
    heading(3, 'Best of N'),
    paragraph(
      `What the item is worth that the scorer picks among N of a prompt, expected over all sets of N (${formatCount(items)} items of ${formatCount(prompts)} prompts). The score of raters is ${scale}; the win rate is against another item of the prompt; the regret is what raters' own pick of the same N is better; gain captured is the share of what picking well gains over picking blindly.`,
    ),
    ...table('Picks among N items, with 95 % intervals', BEST_OF_HEADERS, picks.map(bestOfRow), [0, 1, 2, 3, 4, 5]),
    ...(compared.length === 0
      ? []
      : table(
          'Score that raters give the picks, against those of the baseline',
          ['Picks', 'Model', 'Baseline', 'Difference', '95 % interval', 'p (Holm)', 'Verdict'],
          compared,
          [1, 2, 3, 4, 5],
        )),
  ];
}

function baseline({ baseline: against }: Evaluation): Block[] {
  if (!against) return [];
  const rows = Object.entries(against.comparisons).map(([id, one]) => comparisonRow(id, one));
  const headers = ['Figure', 'Model', 'Baseline', 'Difference', '95 % interval', 'p (Holm)', 'Verdict'];
  return table(
    `Against ${against.file}, on ${formatCount(against.n)} rows both scored`,
    headers,
    rows,
    [1, 2, 3, 4, 5],
  );
}

/** Figures of groups, with every gap that was tested: what is said of gaps can be looked up here. */
function groupTable(caption: string, report: Evaluation, groups: Evaluation['groups']): Block[] {
  const { kind, gaps, minGroup } = report;
  const own = LEADING[kind];
  const tested = [...new Set(gaps.map(({ metric }) => metric))].sort((a, b) => place(own, a) - place(own, b));
  const others = own.filter((id) => !tested.includes(id));
  const headers = [
    'Group',
    'Rows',
    ...tested.flatMap((id) => [metricOf(id).label, 'Less the rest', 'p', 'p (Holm)']),
    ...others.map((id) => metricOf(id).label),
  ];
  const rows = groups.map(({ by, value, n, metrics, suppressed }): Text[] => {
    const name: Text = [`${by}: `, { strong: value }];
    if (suppressed || metrics === null) {
      const none = headers.slice(3).map(() => '-');
      return [name, formatCount(n), `suppressed (under ${minGroup} rows)`, ...none];
    }
    const figure = (id: string) => (metrics[id] ? formatEstimate(metrics[id]) : '-');
    const gapCells = (id: string): Text[] => {
      const gap = gaps.find((one) => one.by === by && one.value === value && one.metric === id);
      if (gap === undefined) return ['-', '-', '-'];
      const holm = formatP(gap.holm);
      return [formatEstimate(gap.difference), formatP(gap.pValue), gapStands(gap) ? [{ strong: holm }] : holm];
    };
    return [name, formatCount(n), ...tested.flatMap((id) => [figure(id), ...gapCells(id)]), ...others.map(figure)];
  });
  return table(
    caption,
    headers,
    rows,
    headers.slice(1).map((_, at) => at + 1),
  );
}

/** Where a metric stands in a table: the leading ones first. */
const place = (leading: readonly string[], id: string): number =>
  leading.includes(id) ? leading.indexOf(id) : leading.length;

function ownCalibration({ calibration, model }: CardFacts, pictures: Pictures): Block[] {
  const reliability = picture(pictures, 'reliability-1');
  if (calibration === null) return reliability.length > 0 ? [heading(3, 'Calibration'), ...reliability] : [];
  return [
    heading(3, 'Calibration'),
    ...(model?.embeddedCalibrator ? [paragraph('A calibrator is inside the file.')] : []),
    ...reliability,
    ...calibrationBlocks(calibration.calibrator, pictures, 'calibration-curve'),
  ];
}

/** Of a calibrator that is none: nothing was fitted that improved on what the model says. */
export const noCurveWords = ({ n, clusters }: Pick<Calibrator, 'n' | 'clusters'>): string =>
  `No curve is applied: on ${formatCount(n)} rows in ${formatCount(clusters)} clusters none was better than what the model says without one.`;

/** What a calibrator does to the figures, and its curve. */
export function calibrationBlocks(calibrator: Calibrator, pictures: Pictures, curve: string): Block[] {
  const { method, symmetric, n, clusters, folds, repeats, figures, groups } = calibrator;
  const { before, after, reduction } = figures;
  if (method === 'none') {
    return [
      paragraph(noCurveWords(calibrator)),
      ...table(
        'Figures without a curve, with 95 % intervals',
        ['Figure', 'Value'],
        Object.keys(before).map((id) => [metricOf(id).label, formatEstimate(before[id])]),
        [1],
      ),
    ];
  }
  const rows = Object.keys(before).map((id): Text[] => {
    const fall = reduction[id]?.value;
    return [
      metricOf(id).label,
      formatEstimate(before[id]),
      after[id] ? formatEstimate(after[id]) : '-',
      fall === null || fall === undefined ? '-' : percent(fall),
    ];
  });
  const sides = symmetric ? ' Both orders of a pair get probabilities that sum to 1.' : '';
  return [
    paragraph(
      `Method: ${method}, fitted to ${formatCount(n)} rows in ${formatCount(clusters)} clusters. The figures below are out-of-fold (${folds} folds, ${repeats} times): each row is judged by a curve that was fitted without its prompt.${sides}`,
    ),
    ...table(
      'Before and after calibration, out-of-fold, with 95 % intervals',
      ['Figure', 'Before', 'After', 'Falls by'],
      rows,
      [1, 2, 3],
    ),
    ...(groups === null
      ? []
      : [
          paragraph(
            `There is one more curve for each of the ${groups.values.length} values of ${groups.name}, shrunk to the whole.`,
          ),
        ]),
    ...picture(pictures, curve),
    ...(calibrator.reference ? [paragraph(referenceWords(calibrator.reference))] : []),
    ...abstentionBlocks(calibrator),
  ];
}

function abstentionBlocks({ abstention }: Calibrator): Block[] {
  if (!abstention) return [];
  const rows = abstention.curve.map(({ margin, coverage, error, bound }): Text[] => [
    percent(coverage),
    margin.toPrecision(4),
    formatFigure(error),
    formatFigure(bound),
  ]);
  return [
    heading(3, 'When not to decide'),
    paragraph(abstentionWords(abstention)),
    ...table(
      'Risk and coverage: the error if only so many pairs are decided, the surest first',
      ['Decided', 'Pair logit of at least', 'Error', `At most, with ${percent(abstention.confidence)} confidence`],
      rows,
      [0, 1, 2, 3],
    ),
  ];
}

export function quantizationBlocks(
  { report, modelIs }: { readonly report: Quantization; readonly modelIs: 'quantized' | 'source' },
  pictures: Pictures,
  chart = 'flips',
): Block[] {
  const { gate, latency, accuracy } = report;
  const subject =
    modelIs === 'quantized' ? 'This file is quantized.' : `A quantized file was made from this one: ${report.out}.`;
  return [
    heading(3, 'Quantization'),
    paragraph(
      `${subject} Scheme: ${report.scheme}; ${formatCount(report.quantized)} nodes changed, ${formatCount(report.excluded.length)} left as they were.`,
    ),
    ...factTable('What quantizing changed', [
      ['Size', `${formatBytes(report.bytes)}, ${report.ratio.toFixed(2)} times smaller than the float file`],
      [
        'Speed beside the float file',
        latency &&
          `${formatMs(latency.quantized)} a run against ${formatMs(latency.float)}, both measured where it was quantized`,
      ],
      [
        'Flips',
        report.flips === null || gate?.pairs === null || !gate
          ? null
          : `${report.flips} of ${formatCount(gate.pairs)} pairs`,
      ],
      ['Kendall tau-b of the scores', report.kendall === null ? null : report.kendall.toFixed(6)],
      ['Largest difference of a logit', report.maxLogitDiff === null ? null : report.maxLogitDiff.toPrecision(3)],
      [
        'Agreement with majorities',
        accuracy &&
          `${formatFigure(accuracy.float)} before, ${formatFigure(accuracy.quantized)} after, on ${formatCount(accuracy.pairs)} pairs (McNemar p = ${accuracy.pValue.toPrecision(2)})`,
      ],
      ...(report.bestOf?.picks ?? []).map((pick): [string, string] => [
        `Human score of the best of ${pick.n}`,
        `${formatFigure(pick.float.value)} before, ${formatFigure(pick.quantized.value)} after, on ${formatCount(pick.prompts)} prompts${pick.ci === null ? '' : ` (difference ${formatFigure(pick.difference)}, ${formatInterval(pick.ci)})`}`,
      ]),
    ]),
    ...confusion(gate),
    ...picture(pictures, chart),
    ...report.warnings.map((warning) => note(warning)),
  ];
}

function confusion(gate: Quantization['gate']): Block[] {
  if (!gate?.decisions) return [];
  const { leftLeft, leftRight, rightLeft, rightRight, even } = gate.decisions.confusion;
  const rows = [
    ['left', formatCount(leftLeft), formatCount(leftRight)],
    ['right', formatCount(rightLeft), formatCount(rightRight)],
  ];
  return [
    ...table(
      'Winners before (rows) and after quantizing (columns)',
      ['Before', 'After: left', 'After: right'],
      rows,
      [1, 2],
    ),
    ...(even > 0 ? [note(`${formatCount(even)} more pairs are called even by one of the two.`)] : []),
  ];
}

function parityBlocks({ export: exported }: CardFacts): Block[] {
  if (exported === null) return [];
  const { parity, gate } = exported.report;
  const golden = parity.golden
    ? `Outputs of the exported file are within ${parity.golden.maxAbsDiff.toPrecision(3)} of the reference implementation's.`
    : 'The exported file was not compared with outputs of the reference implementation.';
  const checks = gate?.checks.map(
    ({ name, passed, detail }): Text => [{ strong: `${name}: ${passed ? 'passed' : 'failed'}. ` }, detail],
  );
  return [
    heading(3, 'Parity with the checkpoint'),
    paragraph(golden),
    ...(checks && checks.length > 0 ? [list(checks)] : [paragraph('No gate was run.')]),
  ];
}

/** How long it takes and what it needs, on the machine it was profiled on. */
function explanationBlocks({ explanation }: CardFacts): Block[] {
  if (!explanation) return [];
  const { method, explained, failed, complete, faithfulness, often, examples } = explanation;
  const signed = (value: number): string => `${value > 0 ? '+' : ''}${value.toPrecision(3)}`;
  const rows = examples.flatMap(({ id, logit, verdict, parts }) =>
    parts.map(({ side, kind, sum, top }): Text[] => [
      id,
      signed(logit),
      side === 'item' ? kind : `${side} ${kind}`,
      sum === null ? '-' : signed(sum),
      top.map(({ name, value }) => `${name.trim()} ${signed(value)}`).join(', '),
      verdict ?? 'not checked',
    ]),
  );
  const lost = failed > 0 ? ` ${formatCount(failed)} could not be explained.` : '';
  const summed = complete === null ? '' : ` The parts of ${complete} of them sum to the logit within 1 %.`;
  return [
    heading(3, 'Why it decides so'),
    paragraph([
      `${formatCount(explained)} decisions were explained by `,
      { code: method },
      `.${summed}${lost} An explanation says what this model looks at, not what is right.`,
    ]),
    ...(faithfulness
      ? factTable('How far its explanations may be trusted', faithfulnessFacts(faithfulness))
      : [note('The maps were not held against the model: `hpsv3 explain --check` does that.')]),
    ...table(
      'What weighs most, most often',
      ['What', 'Times', 'Mean share'],
      often.map(({ name, kind, times, meanShare }) => [
        kind === 'text' ? name : `${name} (${kind})`,
        String(times),
        percent(meanShare),
      ]),
      [1, 2],
    ),
    ...table(
      'The most decided row, one in the middle and the least decided one',
      ['Row', 'Logit', 'Part', 'Sum', 'What weighs most in it', 'Verdict of the checks'],
      rows,
      [1, 3],
    ),
  ];
}

function profileBlocks({ profile, export: exported }: CardFacts): Block[] {
  const memory = exported?.report.gate?.peakRssBytes;
  if (profile === null) {
    return memory
      ? [
          heading(3, 'Size and speed'),
          paragraph(`Running it took at most ${formatBytes(memory)} of memory in the gate.`),
        ]
      : [];
  }
  return [heading(3, 'Size and speed'), ...profileTables(profile.report)];
}

export function profileTables(report: ProfileDocument): Block[] {
  const { machine, latency, coldStart, counts, sweep, time } = report;
  const ms = ({ value, ci }: ProfileDocument['latency']['p50Ms']): string =>
    `${formatMs(value)}${ci ? ` [${ci.map((end) => formatMs(end)).join(', ')}]` : ''}`;
  const setting = ({ variant, batch, threads, optimization }: ProfileDocument['latency']['setting']): string =>
    `${variant}: batch ${batch}, ${threadsWords(threads)}, optimisation ${optimization}`;
  const { recommended } = sweep;
  const operators = [...time.operators].sort((a, b) => b.ms - a.ms).slice(0, 8);
  return [
    paragraph(
      `Measured on ${machine.cpu} (${machine.cores} cores, ${machine.platform}, ${machine.runtime}, ${machine.device}): times of another machine are others.`,
    ),
    ...factTable(`Profile of ${report.model.file}`, [
      ['Setting', setting(latency.setting)],
      ['Median time of a run', ms(latency.p50Ms)],
      ['95 % of runs within', ms(latency.p95Ms)],
      ['99 % of runs within', ms(latency.p99Ms)],
      ['Samples a second', String(Number(latency.samplesPerSecond.toPrecision(3)))],
      ['From nothing to the first score', formatMs(coldStart.totalMs)],
      ['Memory at most', formatBytes(report.memory.peakBytes)],
      ['Multiply-accumulates of a run', formatCount(counts.macs)],
      ['For one sample as soon as possible', recommended && setting(recommended.latency)],
      ['For many rows', recommended && setting(recommended.throughput)],
      ['Against a baseline', report.baseline?.reason],
    ]),
    ...(report.noise.quiet ? [] : [note(`The machine was not quiet: ${report.noise.reason ?? 'its runs differ'}.`)]),
    ...table(
      'Where the time of a traced run goes, by operator',
      ['Operator', 'Kernels', 'Share of the traced run'],
      operators.map(({ operator, kernels, share }) => [operator, formatCount(kernels), percent(share)]),
      [1, 2],
    ),
    ...(operators.length === 0
      ? []
      : [
          paragraph(
            `Tracing times every kernel and slows a run: the traced one took ${formatMs(time.wallMs)}, where the median of runs without tracing is ${formatMs(latency.p50Ms.value)}. Read the shares, not their sum in milliseconds.`,
          ),
        ]),
  ];
}
