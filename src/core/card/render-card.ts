import type { CardFacts } from './card-facts.js';
import { cardPage } from './card-page.js';
import { drawChart } from './charts/draw.js';
import {
  type Chart,
  calibrationCurveChart,
  distributionsChart,
  flipsChart,
  groupsChart,
  reliabilityChart,
} from './charts/specs.js';
import { renderCycloneDx } from './cyclonedx.js';
import { renderEvalResults, renderFrontMatter } from './front-matter.js';
import { type Drawing, renderHtml } from './html.js';
import { renderMarkdown } from './markdown.js';

/** Where pictures lie in a card's folder. */
export const PICTURES_FOLDER = 'pictures';

/** The pictures of a card. */
export function chartsOf({ evaluations, calibration, quantization }: CardFacts): Chart[] {
  return [
    ...evaluations.flatMap(({ report }, i) => [
      ...reliabilityChart(report, `reliability-${i + 1}`),
      ...groupsChart(report, `groups-${i + 1}`),
      ...distributionsChart(report, `distributions-${i + 1}`),
    ]),
    ...(calibration ? calibrationCurveChart(calibration.calibrator) : []),
    ...(quantization ? flipsChart(quantization.report) : []),
  ];
}

/** Every rendering of a card, by its path in the card's folder; PNG files are drawn from the SVG files by whoever writes them. */
export interface RenderedCard {
  readonly files: ReadonlyMap<string, string>;
  /** SVG by name. */
  readonly pictures: ReadonlyMap<string, string>;
}

/** Every chart in both layouts, and the wide ones by themselves, by name. */
export async function drawAll(charts: readonly Chart[]) {
  const drawings = new Map<string, Drawing>();
  for (const chart of charts) drawings.set(chart.name, await drawChart(chart));
  return { drawings, wide: new Map([...drawings].map(([name, { wide }]) => [name, wide])) };
}

/** @param pictures - whether there will be files of pictures for the Markdown to show */
export async function renderCard(
  facts: CardFacts,
  { pictures }: { readonly pictures: boolean },
): Promise<RenderedCard> {
  const charts = chartsOf(facts);
  const { drawings, wide: drawn } = await drawAll(charts);
  const page = cardPage(facts, new Map(charts.map(({ name, alt }) => [name, alt])));
  const address = (name: string) => (pictures ? `${PICTURES_FOLDER}/${name}.${facts.pictures}` : null);
  const results = renderEvalResults(facts);
  const files = new Map([
    ['card.json', `${JSON.stringify(facts, null, 2)}\n`],
    ['README.md', `${renderFrontMatter(facts)}\n${renderMarkdown(page, { picture: address })}`],
    ['card.html', renderHtml(page, { picture: (name) => drawings.get(name) ?? null })],
    ['bom.cdx.json', renderCycloneDx(facts, drawn)],
    ...(results === null ? [] : ([['.eval_results/eval_results.yaml', results]] as const)),
  ]);
  for (const [name, svg] of drawn) files.set(`${PICTURES_FOLDER}/${name}.svg`, svg);
  return { files, pictures: drawn };
}
