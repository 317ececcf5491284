import { posix } from 'node:path';
import { formatBytes, formatCount, formatHash } from '../bytes/format.js';
import { FITTED_ON_THESE_LABELS } from '../calibration/read-calibrator.js';
import {
  type Block,
  code,
  facts,
  folded,
  heading,
  list,
  note,
  type Page,
  paragraph,
  type Text,
  table,
} from './blocks.js';
import type { EvaluationFacts } from './card-facts.js';
import {
  type Chart,
  calibrationCurveChart,
  distributionsChart,
  flipsChart,
  groupsChart,
  reliabilityChart,
} from './charts/specs.js';
import type { FoundDocument } from './documents.js';
import { formatEstimate, formatFigure, formatInterval, metricOf } from './figures.js';
import { renderHtml } from './html.js';
import { renderMarkdown } from './markdown.js';
import { drawAll, PICTURES_FOLDER, type RenderedCard } from './render-card.js';
import {
  calibrationBlocks,
  evaluationBlocks,
  noCurveWords,
  type Pictures,
  profileTables,
  quantizationBlocks,
} from './sections/analyses.js';
import { shellQuoted } from './sections/model.js';
import { atAGlance, runTiles } from './sections/summary.js';

/** What a folder of reports holds. */
export interface RunDocuments {
  readonly name: string;
  readonly documents: readonly FoundDocument[];
  readonly skipped: readonly { readonly path: string; readonly why: string }[];
}

/** One line that says what a report came to. */
function lineOf({ kind, report }: FoundDocument): string {
  switch (kind) {
    case 'evaluation': {
      const id = report.kind === 'pair' ? 'accuracy' : 'spearman';
      return `${metricOf(id).label} ${report.overall[id] ? formatEstimate(report.overall[id]) : '-'} on ${formatCount(report.n)} rows`;
    }
    case 'calibrator':
      return report.method === 'none'
        ? noCurveWords(report)
        : `${report.method}, fitted to ${formatCount(report.n)} rows`;
    case 'quantization':
      return `${report.scheme}: ${report.ratio.toFixed(2)} times smaller, ${report.flips === null ? 'flips unknown' : `${report.flips} ${report.flips === 1 ? 'flip' : 'flips'}`}`;
    case 'export':
      return `${report.architecture}, ${formatCount(report.parameters)} parameters, ${formatBytes(report.bytes)}`;
    case 'ensemble':
      return `${report.members.map(({ name, share }) => `${name} ${share.toFixed(2)}`).join(', ')}${report.judged ? `; against the best member: ${report.judged.verdict}` : ''}`;
    case 'merge':
      return `${report.members.length} members in one graph of ${formatBytes(report.bytes)}`;
    case 'finetune':
      return `AUC ${figureChange(report.gained.auc)} on ${formatCount(report.gained.pairs)} held-out pairs: ${report.gained.auc.verdict}`;
    case 'embedding':
      return report.model === null
        ? 'no model was written'
        : `${report.method === 'none' ? 'no curve' : report.method} inside ${report.model.out}`;
    case 'profile':
      return `${report.latency.p50Ms.value.toPrecision(3)} ms, ${report.latency.samplesPerSecond.toPrecision(3)} samples a second`;
  }
}

/** An evaluation as a card has it, of which nothing but the report is known. */
function evaluationOf({ kind, report, path }: FoundDocument): EvaluationFacts | undefined {
  if (kind !== 'evaluation') return undefined;
  const inSample = report.fittedOnTheseLabels ?? false;
  return { file: path, binding: 'scorer', inSample, from: [], dataset: null, report };
}

/** The command line for the last model of the run. */
function howToUse(documents: readonly FoundDocument[]): Block[] {
  const models = documents.flatMap(({ kind, report, path }) =>
    kind === 'quantization' || kind === 'merge' || kind === 'finetune' || kind === 'export'
      ? [{ kind, file: posix.join(posix.dirname(path), report.out) }]
      : [],
  );
  const last = (['quantization', 'finetune', 'merge', 'export'] as const)
    .map((kind) => models.findLast((one) => one.kind === kind))
    .find((one) => one !== undefined);
  if (last === undefined) return [];
  const file = shellQuoted(last.file);
  return [
    heading(2, 'How to use it'),
    code(
      'sh',
      [
        'npm install --global hpsv3',
        `hpsv3 inspect ${file}`,
        `hpsv3 batch --model ${file} --input samples.jsonl --out scores.jsonl`,
        `hpsv3 modelcard --model ${file} --out card`,
      ].join('\n'),
    ),
  ];
}

/** Charts and blocks of one report; pictures are named by its place. */
function partOf(document: FoundDocument, number: number): { charts: Chart[]; blocks: (pictures: Pictures) => Block[] } {
  const named = (charts: readonly Chart[]): Chart[] =>
    charts.map((chart) => ({ ...chart, name: `${chart.name}-${number}` }));
  const { kind, report } = document;
  switch (kind) {
    case 'evaluation': {
      const one = evaluationOf(document)!;
      return {
        charts: [
          ...reliabilityChart(report, `reliability-${number}`),
          ...groupsChart(report, `groups-${number}`),
          ...distributionsChart(report, `distributions-${number}`),
        ],
        blocks: (pictures) => [
          ...(one.inSample ? [note(FITTED_ON_THESE_LABELS)] : []),
          ...evaluationBlocks({ datasets: [], evaluations: [] }, one, pictures, number),
        ],
      };
    }
    case 'calibrator':
      return {
        charts: named(calibrationCurveChart(report)),
        blocks: (pictures) => calibrationBlocks(report, pictures, `calibration-curve-${number}`),
      };
    case 'quantization':
      return {
        charts: named(flipsChart(report)),
        blocks: (pictures) => quantizationBlocks({ report, modelIs: 'source' }, pictures, `flips-${number}`),
      };
    case 'export':
      return { charts: [], blocks: () => exportBlocks(report) };
    case 'ensemble':
      return { charts: [], blocks: () => ensembleBlocks(report) };
    case 'merge':
      return { charts: [], blocks: () => mergeBlocks(report) };
    case 'finetune':
      return { charts: [], blocks: () => finetuneBlocks(report) };
    case 'embedding':
      return { charts: [], blocks: () => embeddingBlocks(report) };
    case 'profile':
      return { charts: [], blocks: () => profileTables(report) };
  }
}

type ReportOf<K extends FoundDocument['kind']> = Extract<FoundDocument, { kind: K }>['report'];

/** What the gate found, one line a check. */
function gateBlocks(gate: ReportOf<'export'>['gate']): Block[] {
  const checks = gate?.checks.map(
    ({ name, passed, detail }): Text => [{ strong: `${name}: ${passed ? 'passed' : 'failed'}.` }, ` ${detail}`],
  );
  return [checks && checks.length > 0 ? list(checks) : paragraph('No gate was run.')];
}

function ensembleBlocks({ method, members, judged }: ReportOf<'ensemble'>): Block[] {
  const scorers = judged ? [['The ensemble', judged.ensemble] as const, ...Object.entries(judged.single)] : [];
  return [
    ...table(
      `Members, by ${method}`,
      ['Member', 'Weight of its logit', 'Share of the answer'],
      members.map(({ name, weight, share }) => [name, weight.toPrecision(4), share.toFixed(3)]),
      [1, 2],
    ),
    ...(judged === null
      ? [paragraph('It was judged by no labels.')]
      : [
          ...table(
            `On ${formatCount(judged.n)} rows in ${formatCount(judged.clusters)} clusters that no fit had seen`,
            ['Scorer', 'Accuracy', 'AUC', 'Log loss'],
            scorers.map(([name, figures]) => [
              name,
              ...[figures.accuracy, figures.auc, figures.nll].map((one) => formatEstimate(one)),
            ]),
            [1, 2, 3],
          ),
          paragraph(`Against the best member, ${judged.best}: ${judged.verdict}.`),
        ]),
  ];
}

const mergeBlocks = (report: ReportOf<'merge'>): Block[] => [
  ...facts('What was joined', [
    ['File', report.out],
    ['sha256', [{ code: report.sha256 }]],
    ['Size', formatBytes(report.bytes)],
    ['Kind', [report.modality, report.mode].filter(Boolean).join(' ')],
    ['Stored once', `${formatCount(report.shared.initializers)} initializers, ${formatBytes(report.shared.bytes)}`],
  ]),
  ...table(
    'Members',
    ['File', 'Weight'],
    report.members.map(({ file, weight }) => [[{ code: file }], weight.toPrecision(4)]),
    [1],
  ),
  ...gateBlocks(report.gate),
];

type Change = ReportOf<'finetune'>['gained']['auc'];

/** `0.486 -> 0.654`. */
const figureChange = ({ before, after }: Pick<Change, 'before' | 'after'>): string =>
  `${formatFigure(before)} -> ${formatFigure(after)}`;

function finetuneBlocks(report: ReportOf<'finetune'>): Block[] {
  const row = (name: string, { before, after, difference, ci, verdict }: Change): Text[] => [
    name,
    formatFigure(before),
    formatFigure(after),
    formatFigure(difference),
    formatInterval(ci),
    verdict,
  ];
  const rows = [
    ['held-out pairs', report.gained] as const,
    ...(report.forgotten ? [['old pairs', report.forgotten] as const] : []),
  ].flatMap(([what, { accuracy, auc }]) => [row(`AUC, ${what}`, auc), row(`Accuracy, ${what}`, accuracy)]);
  return [
    ...facts('What was tuned', [
      ['File', report.out],
      ['sha256', [{ code: report.sha256 }]],
      ['Modality', report.modality],
      ['Trained', `${report.trained.selection}: ${formatCount(report.trained.parameters)} parameters`],
      [
        'Steps',
        `${formatCount(report.steps)}, the best ${report.bestStep === null ? 'none' : formatCount(report.bestStep)}`,
      ],
    ]),
    ...table(
      'Before and after',
      ['Figure', 'Before', 'After', 'Difference', '95 % interval', 'Verdict'],
      rows,
      [1, 2, 3, 4],
    ),
    ...gateBlocks(report.gate),
  ];
}

function embeddingBlocks({ method, n, clusters, before, after, model, gate }: ReportOf<'embedding'>): Block[] {
  return [
    paragraph(
      method === 'none'
        ? noCurveWords({ n, clusters })
        : `Method: ${method}, fitted to ${formatCount(n)} rows in ${formatCount(clusters)} clusters.`,
    ),
    ...(model
      ? facts('What was written', [
          ['File', model.out],
          ['Size', formatBytes(model.bytes)],
        ])
      : []),
    ...table(
      'Before and after calibration, out-of-fold, with 95 % intervals',
      ['Figure', 'Before', 'After'],
      Object.keys(before).map((id) => [
        metricOf(id).label,
        formatEstimate(before[id]),
        after[id] ? formatEstimate(after[id]) : '-',
      ]),
      [1, 2],
    ),
    ...gateBlocks(gate),
  ];
}

function exportBlocks(report: ReportOf<'export'>): Block[] {
  return [
    ...facts('What was exported', [
      ['File', report.out],
      ['sha256', [{ code: report.sha256 }]],
      ['Size', formatBytes(report.bytes)],
      ['Architecture', report.architecture],
      ['Modality', report.modality],
      ['Parity with the reference', report.parity.golden && `within ${report.parity.golden.maxAbsDiff.toPrecision(3)}`],
    ]),
    ...gateBlocks(report.gate),
  ];
}

/**
 * The page of a run, and its pictures, by path.
 *
 * @param pictures - whether there will be files of pictures for the Markdown to show
 */
export async function renderRunReport(
  { name, documents, skipped }: RunDocuments,
  { pictures: beside }: { readonly pictures: boolean },
): Promise<RenderedCard> {
  const parts = documents.map((document, i) => partOf(document, i + 1));
  const charts = parts.flatMap((part) => part.charts);
  const { drawings, wide: drawn } = await drawAll(charts);
  const pictures: Pictures = new Map(charts.map((chart) => [chart.name, chart.alt]));
  const first = documents.findIndex(({ kind }) => kind === 'evaluation');
  const glance: readonly [string, string] = [`reliability-${first + 1}`, `groups-${first + 1}`];
  const rest: Pictures = new Map([...pictures].filter(([one]) => !glance.includes(one)));
  const page: Page = {
    kind: 'Run',
    title: name,
    lead: `What ${documents.length === 1 ? 'one report' : `${documents.length} reports`} of hpsv3 came to.`,
    blocks: [
      ...runTiles(documents),
      ...atAGlance(pictures, glance),
      ...howToUse(documents),
      heading(2, 'Reports of this run'),
      ...table(
        'Each with what it came to',
        ['Report', 'Of', 'Result'],
        documents.map((document) => [[{ code: document.path }], document.kind, lineOf(document)]),
      ),
      ...documents.flatMap((document, i) => [
        document.kind === 'evaluation'
          ? heading(2, `${i + 1}. ${document.path}`)
          : folded(`${i + 1}. ${document.path}`),
        ...modelOf(document),
        ...parts[i].blocks(rest),
      ]),
      ...(skipped.length > 0
        ? [heading(2, 'Not read'), list(skipped.map(({ path, why }): Text => [{ code: path }, `: ${why}`]))]
        : []),
    ],
  };
  const files = new Map([
    [
      'README.md',
      renderMarkdown(page, { picture: (picture) => (beside ? `${PICTURES_FOLDER}/${picture}.svg` : null) }),
    ],
    ['index.html', renderHtml(page, { picture: (picture) => drawings.get(picture) ?? null })],
  ]);
  for (const [picture, svg] of drawn) files.set(`${PICTURES_FOLDER}/${picture}.svg`, svg);
  return { files, pictures: drawn };
}

/** Which model a report is of, where it says so. */
function modelOf(document: FoundDocument): Block[] {
  const sha256 = modelHash(document);
  return sha256 === null ? [] : [paragraph(['Model: ', { code: formatHash(sha256) }, '…'])];
}

function modelHash({ kind, report }: FoundDocument): string | null {
  switch (kind) {
    case 'evaluation':
    case 'calibrator':
      return report.modelSha256;
    case 'profile':
      return report.model.sha256;
    case 'embedding':
      return report.model?.sha256 ?? null;
    case 'ensemble':
      return null;
    default:
      return report.sha256;
  }
}
