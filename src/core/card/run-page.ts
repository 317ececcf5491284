import { formatBytes, formatCount, formatHash } from '../bytes/format.js';
import { type Block, facts, heading, list, type Page, paragraph, type Text, table } from './blocks.js';
import { drawSvg } from './charts/draw.js';
import {
  type Chart,
  calibrationCurveChart,
  distributionsChart,
  flipsChart,
  groupsChart,
  reliabilityChart,
} from './charts/specs.js';
import type { FoundDocument } from './documents.js';
import { formatEstimate, metricOf } from './figures.js';
import { renderHtml } from './html.js';
import { renderMarkdown } from './markdown.js';
import { PICTURES_FOLDER, type RenderedCard } from './render-card.js';
import {
  calibrationBlocks,
  evaluationBlocks,
  type Pictures,
  profileTables,
  quantizationBlocks,
} from './sections/analyses.js';

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
      return `${report.method}, fitted to ${formatCount(report.n)} rows`;
    case 'quantization':
      return `${report.scheme}: ${report.ratio.toFixed(2)} times smaller, ${report.flips ?? 'unknown'} flips`;
    case 'export':
      return `${report.architecture}, ${formatCount(report.parameters)} parameters, ${formatBytes(report.bytes)}`;
    case 'profile':
      return `${report.latency.p50Ms.value.toPrecision(3)} ms, ${report.latency.samplesPerSecond.toPrecision(3)} samples a second`;
  }
}

/** Charts and blocks of one report; pictures are named by its place. */
function partOf(document: FoundDocument, number: number): { charts: Chart[]; blocks: (pictures: Pictures) => Block[] } {
  const named = (charts: readonly Chart[]): Chart[] =>
    charts.map((chart) => ({ ...chart, name: `${chart.name}-${number}` }));
  const { kind, report } = document;
  switch (kind) {
    case 'evaluation': {
      const one = { file: document.path, binding: 'scorer', inSample: false, from: [], dataset: null, report } as const;
      return {
        charts: [
          ...reliabilityChart(report, `reliability-${number}`),
          ...groupsChart(report, `groups-${number}`),
          ...distributionsChart(report, `distributions-${number}`),
        ],
        blocks: (pictures) =>
          evaluationBlocks({ datasets: [], evaluations: [] }, { ...one, from: [] }, pictures, number),
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
    case 'profile':
      return { charts: [], blocks: () => profileTables(report) };
  }
}

function exportBlocks(report: Extract<FoundDocument, { kind: 'export' }>['report']): Block[] {
  const checks = report.gate?.checks.map(
    ({ name, passed, detail }): Text => [{ strong: `${name}: ${passed ? 'passed' : 'failed'}.` }, ` ${detail}`],
  );
  return [
    ...facts('What was exported', [
      ['File', report.out],
      ['sha256', [{ code: report.sha256 }]],
      ['Size', formatBytes(report.bytes)],
      ['Architecture', report.architecture],
      ['Modality', report.modality],
      ['Parity with the reference', report.parity.golden && `within ${report.parity.golden.maxAbsDiff.toPrecision(3)}`],
    ]),
    ...(checks && checks.length > 0 ? [list(checks)] : [paragraph('No gate was run.')]),
  ];
}

/** The page of a run, and its pictures, by path. */
export async function renderRunReport({ name, documents, skipped }: RunDocuments): Promise<RenderedCard> {
  const parts = documents.map((document, i) => partOf(document, i + 1));
  const charts = parts.flatMap((part) => part.charts);
  const drawn = new Map<string, string>();
  for (const chart of charts) drawn.set(chart.name, await drawSvg(chart.spec));
  const pictures: Pictures = new Map(charts.map((chart) => [chart.name, chart.alt]));
  const page: Page = {
    title: `Run: ${name}`,
    lead: `What ${documents.length === 1 ? 'one report' : `${documents.length} reports`} of hpsv3 came to.`,
    blocks: [
      ...table(
        'Reports of this run',
        ['Report', 'Of', 'Result'],
        documents.map((document) => [[{ code: document.path }], document.kind, lineOf(document)]),
      ),
      ...documents.flatMap((document, i) => [
        heading(2, `${i + 1}. ${document.path}`),
        ...modelOf(document),
        ...parts[i].blocks(pictures),
      ]),
      ...(skipped.length > 0
        ? [heading(2, 'Not read'), list(skipped.map(({ path, why }): Text => [{ code: path }, `: ${why}`]))]
        : []),
    ],
  };
  const files = new Map([
    ['README.md', renderMarkdown(page, { picture: (picture) => `${PICTURES_FOLDER}/${picture}.svg` })],
    ['index.html', renderHtml(page, { picture: (picture) => drawn.get(picture) ?? null })],
  ]);
  for (const [picture, svg] of drawn) files.set(`${PICTURES_FOLDER}/${picture}.svg`, svg);
  return { files, pictures: drawn };
}

/** Which model a report is of, where it says so. */
function modelOf({ kind, report }: FoundDocument): Block[] {
  const sha256 =
    kind === 'evaluation' || kind === 'calibrator'
      ? report.modelSha256
      : kind === 'profile'
        ? report.model.sha256
        : report.sha256;
  return sha256 === null ? [] : [paragraph(['Model: ', { code: formatHash(sha256) }, '…'])];
}
