import { formatHash } from '../bytes/format.js';
import { curvesOf, spanWords, type WindowScore } from '../data/score-windows.js';
import { colourOf, hexOf, inkOn } from '../explanation/colours.js';
import type { ExplainedSample, ExplainedWindows, ExplanationDocument, GroupSummary } from '../explanation/document.js';
import type { PartMap } from '../explanation/maps.js';
import { type Picture, shareOf } from '../explanation/pictures.js';
import { namedUnits } from '../explanation/units.js';
import { type Block, facts, folded, type HeatWord, heading, note, type Page, paragraph, table } from './blocks.js';
import { type Chart, drawChart } from './charts/draw.js';
import { windowsChart } from './charts/windows.js';
import { type Drawing, renderHtml } from './html.js';
import { inDarkToo } from './theme.js';

/** What the page shows of one map. */
export interface ShownMap {
  readonly map: PartMap;
  /** Null for a text. */
  readonly picture: Picture | null;
  /** Magnitude at the end of the scale. */
  readonly limit: number;
}

/** Words a method is called by on the page, and how its numbers are read. */
const READ: Readonly<Record<ExplanationDocument['method'], readonly [label: string, how: string]>> = {
  ig: ['Integrated gradients', 'Numbers are parts of the logit: those of all parts sum to it.'],
  gradient: ['Gradient', 'Numbers say how steeply f changes, not what it is made of.'],
  'input-x-gradient': ['Input times gradient', 'Numbers are parts of a linear picture of f, and need not sum to it.'],
  smoothgrad: ['SmoothGrad', 'Numbers say how steeply f changes near the sample, not what it is made of.'],
  gradcam: ['Grad-CAM', 'Numbers say where the last convolution speaks for f, above 0, and against it, below.'],
  rollout: ['Attention rollout', 'Numbers say where attention comes from. They do not know what f is.'],
  relevance: [
    'Relevance',
    'Numbers say where attention that raises f comes from; of a pair, what speaks for each side.',
  ],
  occlusion: ['Occlusion', 'Numbers are what f loses when that place is emptied; they need not sum to it.'],
  'leave-one-out': ['Leave one out', 'Numbers are what f loses without that word or place; they need not sum to it.'],
};

const SIDES = { item: 'Item', left: 'Left', right: 'Right' } as const;

/** @param shown - of the samples that have maps of their own, by the place of the sample */
export async function explanationPage(
  document: ExplanationDocument,
  shown: ReadonlyMap<number, readonly ShownMap[]>,
): Promise<string> {
  const { model, method, samples, summary, failed } = document;
  const pictures = new Map<string, Drawing | string>();
  const single = summary.length === 0;
  /** Of the samples that are shown and were scored in windows. */
  const charts = new Map(
    samples.flatMap(({ windows }, i) =>
      windows && shown.has(i) ? [[i, windowsChart(windows, `windows-${i + 1}`)]] : [],
    ),
  );
  for (const chart of [...charts.values()].flat()) pictures.set(chart.name, await drawChart(chart));
  const blocks: Block[] = [
    ...facts('What was explained', [
      ['Model', `${model.file}, ${model.modality}`],
      ['sha256', [{ code: formatHash(model.sha256) }]],
      ['Decides by', model.decision],
      ['Method', `${READ[method][0]}. ${READ[method][1]}`],
      ['Rows', single ? null : `${samples.length} explained, ${failed.length} not`],
    ]),
    ...faithfulnessBlocks(document),
    ...summaryBlocks(summary),
    ...samples.flatMap((sample, i) => {
      const maps = shown.get(i);
      return maps ? sampleBlocks(sample, maps, { single, number: i + 1, pictures, charts: charts.get(i) ?? [] }) : [];
    }),
    ...table(
      'Rows that could not be explained',
      ['Line', 'Row', 'Why'],
      failed.map(({ line, id, message }) => [String(line), id ?? '-', message]),
      [0],
    ),
  ];
  const page: Page = {
    title: single ? titleOf(samples[0]) : `What decides most often: ${model.file}`,
    lead: 'f is the logit: of a pair above 0 where the left side is preferred, of an item its utility.',
    blocks,
  };
  return renderHtml(page, { picture: (name) => pictures.get(name) ?? null });
}

function titleOf({ kind, logit, windows }: ExplainedSample): string {
  if (kind === 'item') {
    const place = windows && 'curve' in windows ? ` ${spanWords(windows.worst, windows.unit)}` : '';
    return `Why a utility logit of ${logit.toFixed(3)}${place}`;
  }
  const winner = logit === 0 ? 'neither side' : logit > 0 ? 'left' : 'right';
  return `Why ${winner} is preferred, by ${Math.abs(logit).toFixed(3)} logits${windows ? ', in the worst windows' : ''}`;
}

interface SamplePlace {
  readonly single: boolean;
  readonly number: number;
  readonly pictures: Map<string, Drawing | string>;
  readonly charts: readonly Chart[];
}

function sampleBlocks(
  sample: ExplainedSample,
  maps: readonly ShownMap[],
  { single, number, pictures, charts }: SamplePlace,
): Block[] {
  const { logit, baselineLogit, completeness, warnings, truncated, windows } = sample;
  return [
    ...(single ? [] : [heading(2, `Row ${sample.id}`), paragraph(`${titleOf(sample)}.`)]),
    ...warnings.map((warning) => note(warning)),
    ...(truncated ? [note('The end of a text was left out: it is longer than the model reads.')] : []),
    ...(windows ? windowBlocks(windows, { single, charts }) : []),
    ...table(
      'How the decision adds up',
      ['Part', 'Sum'],
      [
        ...sample.maps.flatMap(({ side, kind, sum }) =>
          sum === null ? [] : [[`${SIDES[side]} ${kind}`, figure(sum)]],
        ),
        ...(baselineLogit === null ? [] : [['f of the baseline, which belongs to no part', figure(baselineLogit)]]),
        ['f', figure(logit)],
        ...(completeness ? [['Missed by', figure(completeness.gap)]] : []),
      ],
      [1],
    ),
    ...checkBlocks(sample),
    ...maps.flatMap(({ map, picture, limit }, i): Block[] => {
      const title = `${SIDES[map.part.side]} ${map.part.kind}`;
      const name = `${number}-${i}`;
      if (picture) pictures.set(name, inDarkToo(picture.svg));
      return [
        heading(single ? 2 : 3, single ? title : `${title} of row ${sample.id}`),
        ...(picture ? [{ kind: 'picture' as const, name, alt: picture.alt }] : []),
        ...(map.part.kind === 'text' ? [heat(map, limit)] : []),
        ...unitTable(map, title),
      ];
    }),
    ...(single && windows ? windowTables(windows) : []),
  ];
}

/** The curve over time, and what the part that is explained is a part of. */
function windowBlocks(windows: ExplainedWindows, { single, charts }: Pick<SamplePlace, 'single' | 'charts'>): Block[] {
  const { window, stride, aggregate, unit, logit, interval } = windows;
  const curves = curvesOf(windows);
  const place = (each: WindowScore): string => `${spanWords(each, unit)}: logit ${figure(each.logit)}`;
  const isPair = curves.length > 1;
  return [
    ...(single ? [heading(2, 'Windows')] : []),
    ...(curves.some(([, { count }]) => count > 1)
      ? [
          note(
            `Explained is the worst window${isPair ? ' of each side' : ''} alone, as if it had been cut out: what stands below says nothing of the others.`,
          ),
        ]
      : []),
    ...facts('All windows', [
      ['Windows', `${window}, one every ${stride}`],
      ['Logit of the whole', `${figure(logit)}, ${AGGREGATED[aggregate]}`],
      [
        'Interval over windows',
        interval &&
          `${figure(interval.low)} to ${figure(interval.high)} (${100 * interval.level} %), of other stretches of the same material`,
      ],
      ...curves.flatMap(([side, { count, worst, best }]): [string, string][] => {
        const of = side === 'item' ? '' : `${SIDES[side]}: `;
        return [
          [`${of}How many`, String(count)],
          [`${of}The worst, explained below`, place(worst)],
          [`${of}The best`, place(best)],
        ];
      }),
    ]),
    ...charts.map(({ name, alt }): Block => ({ kind: 'picture', name, alt })),
  ];
}

/** Every window, lowest first. */
const windowTables = (windows: ExplainedWindows): Block[] => [
  folded('Scores of the windows'),
  ...curvesOf(windows).flatMap(([side, { curve }]) =>
    table(
      `${SIDES[side]}: windows, the lowest first`,
      windows.unit === 'seconds' ? ['From, s', 'To, s', 'Logit'] : ['From character', 'To', 'Logit'],
      curve
        .toSorted((a, b) => a.logit - b.logit)
        .map(({ start, end, logit }) => [
          String(Number(start.toFixed(3))),
          String(Number(end.toFixed(3))),
          figure(logit),
        ]),
      [0, 1, 2],
    ),
  ),
];

const AGGREGATED = {
  mean: 'the mean of its windows',
  worst: 'that of the worst',
  last: 'that of the last',
  fitted: 'their mean by the fitted rule',
} as const;

const VERDICT = {
  trustworthy: 'This map may be trusted on this sample.',
  doubtful: 'This map may be trusted in part on this sample.',
  untrustworthy: 'This map may not be trusted on this sample.',
} as const;

function checkBlocks({ check }: ExplainedSample): Block[] {
  if (!check) return [];
  const { verdict, reasons, cascade, deletion, insertion, road, infidelity, unexplained, sensitivity } = check;
  const curve = ({ auc, randomAuc, better, ci }: typeof deletion): string =>
    `${figure(auc)} against ${figure(randomAuc)}: better by ${figure(better)} [${figure(ci[0])}, ${figure(ci[1])}]`;
  return [
    paragraph([{ strong: VERDICT[verdict] }, ` ${reasons.join(' ')}`]),
    ...facts('Checks of the map', [
      ['Deletion, mean of f against random orders', curve(deletion)],
      ['Insertion, mean of f against random orders', curve(insertion)],
      [
        'Spearman with 25, 50, 75, 100 % of the weights shuffled',
        cascade.stages.map(({ spearman }) => (spearman === null ? '-' : spearman.toFixed(2))).join(', '),
      ],
      ['ROAD, what is called least relevant less most relevant', road && figure(road.gain)],
      ['Infidelity', figure(infidelity)],
      ['Share of what f loses that the map does not explain', `${(100 * unexplained).toFixed(1)} %`],
      [
        'Largest change of the map under invisible changes',
        sensitivity === null ? null : `${(100 * sensitivity).toFixed(0)} %`,
      ],
    ]),
  ];
}

function faithfulnessBlocks({ faithfulness, summary }: ExplanationDocument): Block[] {
  if (!faithfulness || summary.length === 0) return [];
  return facts('How far the maps may be trusted', faithfulnessFacts(faithfulness));
}

/** Rows of a table: what the checks of many samples come to. */
export function faithfulnessFacts({
  samples,
  verdicts,
  deletion,
  insertion,
  unexplained,
}: NonNullable<ExplanationDocument['faithfulness']>): (readonly [string, string])[] {
  const estimated = ({ value, ci }: typeof deletion): string =>
    `${value === null ? '-' : figure(value)}${ci ? ` [${figure(ci[0])}, ${figure(ci[1])}]` : ''}`;
  return [
    ['Rows checked', String(samples)],
    [
      'Verdicts',
      `${verdicts.trustworthy} trustworthy, ${verdicts.doubtful} doubtful, ${verdicts.untrustworthy} untrustworthy`,
    ],
    ['Deletion, better than random orders by', estimated(deletion)],
    ['Insertion, better than random orders by', estimated(insertion)],
    ['Share of what f loses that maps do not explain', `${(100 * unexplained).toFixed(1)} %`],
  ];
}

function heat(map: PartMap, limit: number): Block {
  const units = namedUnits(map);
  const words = units.map(({ name, value, special }): HeatWord => {
    const share = shareOf(value, limit);
    const colour = colourOf(map.signed ? share : Math.abs(share), map.signed);
    return { text: name, fill: hexOf(colour), ink: inkOn(colour), title: figure(value), apart: special === true };
  });
  const caption = map.signed
    ? `Red-brown speaks for f, blue against it; the darkest is ${figure(limit)} or more.`
    : `From dark blue, 0, to yellow, ${figure(limit)} or more.`;
  return { kind: 'heat', caption, words };
}

/** The scale of a text is that of its words, whose tokens are summed up. */
export const wordValues = (map: PartMap): Float32Array => Float32Array.from(namedUnits(map), ({ value }) => value);

const unitTable = (map: PartMap, title: string): Block[] =>
  table(
    `${title}: numbers`,
    [map.part.kind === 'text' ? 'Word or token' : 'Place', map.signed ? 'Sum' : 'Largest'],
    namedUnits(map).map(({ name, value, special }) => [special ? `${name} (added)` : name, figure(value)]),
    [1],
  );

const summaryBlocks = (summary: readonly GroupSummary[]): Block[] =>
  summary.length === 0
    ? []
    : [
        heading(2, 'What decides most often'),
        paragraph('How often something weighs most for the decision, and its mean share of all that is attributed.'),
        ...summary.flatMap(({ group, samples, units }) =>
          table(
            group === 'all' ? `All ${samples} rows` : `${group}: ${samples} rows`,
            ['What', 'Times', 'Mean share'],
            units.map(({ kind, name, times, meanShare }) => [
              kind === 'text' ? name : `${name} (${kind})`,
              String(times),
              `${(100 * meanShare).toFixed(1)} %`,
            ]),
            [1, 2],
          ),
        ),
      ];

/** To five digits behind the point, or as a power of ten where that would be 0. */
const figure = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(2) : value.toFixed(5);
