import type { Calibrator } from '../../calibration/calibrator.js';
import { applyCurve, isAntisymmetric } from '../../calibration/curve.js';
import { interpolate } from '../../stats/isotonic.js';
import { sigmoid } from '../../stats/logistic.js';
import type { Evaluation, Quantization } from '../documents.js';
import { metricOf } from '../figures.js';
import { SMALLEST_TEXT } from '../theme.js';
import { gapStands } from '../words.js';
import { type Chart, COLOURS, inBoth, type Layout } from './draw.js';
import { shown, textWidth } from './text.js';

export type { Chart } from './draw.js';

/** Pictures of a card as Vega-Lite specifications. Names from files are values of data, never parts of a specification. */

export const SCHEMA = 'https://vega.github.io/schema/vega-lite/v6.json';
export const PLOT: Readonly<Record<Layout, number>> = { wide: 520, narrow: 290 };

/** Of a narrow chart, with the names of its rows. */
const NARROW_WIDTH = 330;

/** What names of rows leave of it. */
export const besideNames = (names: readonly string[]): number =>
  Math.max(120, NARROW_WIDTH - Math.max(...names.map((name) => textWidth({ fontSize: SMALLEST_TEXT }, name))));

/** Names as they are shown, no two of them alike: those that are get a number. */
function apart(names: readonly string[]): string[] {
  const taken = new Map<string, number>();
  return names.map((name) => {
    const times = (taken.get(name) ?? 0) + 1;
    taken.set(name, times);
    return times === 1 ? name : `${name} #${times}`;
  });
}

/** Dashes, dots and lines as well as colours: whoever sees no colours can tell the series apart. */
export const series = (names: readonly string[], colours: readonly string[]) => ({
  color: { field: 'series', type: 'nominal', scale: { domain: names, range: colours } },
  shape: { field: 'series', type: 'nominal', scale: { domain: names, range: ['circle', 'diamond'] } },
  strokeDash: {
    field: 'series',
    type: 'nominal',
    scale: {
      domain: names,
      range: [
        [1, 0],
        [5, 4],
      ],
    },
  },
});

/** What the model says against what raters said, before and after calibration. */
export function reliabilityChart({ reliability, kind }: Evaluation, name: string): Chart[] {
  const [after, before] = ['calibrated', kind === 'pair' ? 'uncalibrated: sigmoid of the logit' : 'uncalibrated'];
  const rows = [
    ...(reliability.after ?? []).map((bin) => ({ ...bin, series: after })),
    ...(reliability.before ?? []).map((bin) => ({ ...bin, series: before })),
  ].flatMap(({ forecast, observed: { value, ci }, series }) =>
    value === null ? [] : [{ series, forecast, observed: value, low: ci?.[0] ?? value, high: ci?.[1] ?? value }],
  );
  if (rows.length === 0) return [];
  const names = [after, before].filter((one) => rows.some(({ series }) => series === one));
  const colours = names.map((one) => (one === after ? COLOURS.blue : COLOURS.vermillion));
  const all = rows.flatMap(({ forecast, low, high }) => [forecast, low, high]);
  const pair = kind === 'pair';
  const [least, most] = pair ? [0.5, 1] : [Math.min(...all), Math.max(...all)];
  const domain = pair ? [Math.min(0.5, Math.floor(20 * Math.min(...all)) / 20), 1] : [least, most];
  const { color, shape } = series(names, colours);
  const band = pair ? consistencyBand(reliability.after ?? reliability.before, least, most) : [];
  const x = {
    field: 'forecast',
    type: 'quantitative',
    scale: { domain: [least, most], nice: false, zero: false },
    title: pair ? 'Probability the model gives its winner' : 'Prediction',
  };
  const y = {
    field: 'observed',
    type: 'quantitative',
    scale: { domain, nice: false, zero: false },
    title: pair ? 'Share of votes for that winner' : 'Mean score of raters',
  };
  return [
    {
      name,
      alt: pair
        ? `Reliability: the share of votes for the predicted winner against the probability the model gave it, in bins of equally many votes with 95 % intervals; ${names.join(' and ')}. On the diagonal, 80 % means 80 of 100.`
        : 'Reliability: mean score of raters against prediction, in bins of equally many items with 95 % intervals.',
      ...inBoth((layout) => ({
        $schema: SCHEMA,
        title: {
          text: 'Does 80 % mean 80 of 100?',
          subtitle: pair
            ? 'Votes for the predicted winner, with 95 % intervals; band: what chance alone would do, were votes independent'
            : 'Scores of raters by what the model says; bars are 95 % intervals',
        },
        width: PLOT[layout],
        height: layout === 'wide' ? 340 : 210,
        layer: [
          ...(band.length === 0
            ? []
            : [
                {
                  data: { values: band },
                  mark: { type: 'area', color: COLOURS.light, clip: true },
                  encoding: {
                    x: { field: 'at', type: 'quantitative' },
                    y: { field: 'low', type: 'quantitative' },
                    y2: { field: 'high' },
                  },
                },
              ]),
          {
            data: {
              values: [
                { a: least, b: least },
                { a: most, b: most },
              ],
            },
            mark: { type: 'line', color: COLOURS.grey, strokeWidth: 1, strokeDash: [2, 3], clip: true },
            encoding: { x: { field: 'a', type: 'quantitative' }, y: { field: 'b', type: 'quantitative' } },
          },
          {
            data: { values: rows },
            mark: { type: 'rule', strokeWidth: 1.5, opacity: 0.75 },
            encoding: { x, y: { field: 'low', type: 'quantitative', title: y.title }, y2: { field: 'high' }, color },
          },
          {
            data: { values: rows },
            mark: { type: 'point', filled: true, size: 75, opacity: 1 },
            encoding: { x, y, color, shape: { ...shape, legend: { symbolStrokeWidth: 0, symbolOpacity: 1 } } },
          },
        ],
      })),
    },
  ];
}

/**
 * Where shares of votes would lie, 95 of 100 times, if the model were right and votes independent: Wald's interval around each bin's
 * forecast. Votes of one prompt are not, so real ones spread further; the bars say how far.
 */
function consistencyBand(bins: Evaluation['reliability']['before'], least: number, most: number) {
  const at = (bins ?? []).filter(({ weight }) => weight > 0).sort((a, b) => a.forecast - b.forecast);
  const [first, last] = [at[0], at[at.length - 1]];
  if (first === undefined) return [];
  const inner = at.map(({ forecast, weight }) => ({ forecast, weight }));
  return [{ ...first, forecast: least }, ...inner, { ...last, forecast: most }].map(({ forecast, weight }) => {
    const half = 1.96 * Math.sqrt(Math.max(0, forecast * (1 - forecast)) / weight);
    return { at: forecast, low: forecast - half, high: Math.min(1, forecast + half) };
  });
}

/** Points of a curve, both sides of 0. */
const CURVE_POINTS = 80;

/** The calibrator's curve with its band, and sigmoid beside it. */
export function calibrationCurveChart({ kind, parameters, band, method }: Calibrator): Chart[] {
  const ends = band?.x ?? (parameters.kind === 'knots' ? parameters.x : [-4, 4]);
  const mirrored = isAntisymmetric(parameters);
  const most = Math.max(...ends.map(Math.abs));
  if (!(most > 0) || method === 'none') return [];
  const [from, to] = mirrored || kind === 'pair' ? [-most, most] : [Math.min(...ends), Math.max(...ends)];
  const at = Array.from({ length: CURVE_POINTS + 1 }, (_, i) => from + ((to - from) * i) / CURVE_POINTS);
  const [fitted, raw] = ['calibrated, with its band', 'uncalibrated: sigmoid of the logit'];
  const lines = at.flatMap((x) => [
    { x, p: applyCurve(parameters, x), series: fitted },
    ...(kind === 'pair' ? [{ x, p: sigmoid(x), series: raw }] : []),
  ]);
  const edge = (values: readonly number[], other: readonly number[], x: number): number => {
    const of = (y: readonly number[], place: number) => interpolate({ x: band!.x, y: [...y] }, place);
    return mirrored && x < 0 ? 1 - of(other, -x) : of(values, x);
  };
  const area =
    band === null
      ? []
      : at.map((x) => ({ x, low: edge(band.lower, band.upper, x), high: edge(band.upper, band.lower, x) }));
  const names = kind === 'pair' ? [fitted, raw] : [fitted];
  const { color, strokeDash } = series(names, [COLOURS.blue, COLOURS.vermillion]);
  const level = band === null ? '' : `; band: ${Math.round(100 * band.level)} % of refits to resampled prompts`;
  return [
    {
      name: 'calibration-curve',
      alt: `The calibration curve (${method}): ${kind === 'pair' ? 'probability that the left is preferred' : 'place on the scale of the labels'} against the logit${level}.`,
      ...inBoth((layout) => ({
        $schema: SCHEMA,
        title: { text: 'What a logit means', subtitle: `Method: ${method}${level}` },
        width: PLOT[layout],
        height: layout === 'wide' ? 300 : 220,
        layer: [
          {
            data: { values: area },
            mark: { type: 'area', color: COLOURS.light, opacity: 0.9 },
            encoding: {
              x: { field: 'x', type: 'quantitative' },
              y: { field: 'low', type: 'quantitative' },
              y2: { field: 'high' },
            },
          },
          {
            data: { values: lines },
            mark: { type: 'line', strokeWidth: 2 },
            encoding: {
              x: {
                field: 'x',
                type: 'quantitative',
                title: kind === 'pair' ? 'Pair logit' : 'Utility logit',
                scale: { nice: false, domain: [from, to] },
              },
              y: {
                field: 'p',
                type: 'quantitative',
                title: kind === 'pair' ? 'P(left preferred)' : 'Scale of the labels',
                scale: kind === 'pair' ? { domain: [0, 1] } : { zero: false },
              },
              color,
              strokeDash: { ...strokeDash, legend: { symbolType: 'stroke', symbolStrokeWidth: 2, symbolSize: 400 } },
            },
          },
        ],
      })),
    },
  ];
}

/** Groups in one forest plot, at most. */
const MAX_GROUPS = 40;

/** Each group's figure with its interval, against all rows together. */
export function groupsChart(report: Evaluation, name: string): Chart[] {
  const { kind, groups, gaps, overall, options } = report;
  const id = kind === 'pair' ? 'accuracy' : 'spearman';
  const { label } = metricOf(id);
  const [real, none] = ["differs from the rest after Holm's correction", 'no difference that stands'];
  const rows = groups
    .filter(({ by }) => options.by.length < 2 || options.by.includes(by))
    .flatMap(({ by, value, n, metrics }) => {
      const estimate = metrics?.[id];
      if (!estimate || estimate.value === null) return [];
      const gap = gaps.find((one) => one.by === by && one.value === value && one.metric === id);
      const [low, high] = estimate.ci ?? [estimate.value, estimate.value];
      return [{ by, value, n, figure: estimate.value, low, high, series: gap && gapStands(gap) ? real : none }];
    })
    .sort((a, b) => (a.by === b.by ? a.figure - b.figure : 0))
    .slice(0, MAX_GROUPS);
  if (rows.length === 0) return [];
  const total = overall[id]?.value ?? null;
  const ends = [...rows.flatMap(({ low, high }) => [low, high]), ...(total === null ? [] : [total])];
  const domain = [Math.floor(20 * Math.min(...ends)) / 20, Math.ceil(20 * Math.max(...ends)) / 20];
  const x = {
    field: 'figure',
    type: 'quantitative',
    title: `${label}, 95 % interval`,
    scale: { domain, nice: false, zero: false },
    axis: { tickCount: 5 },
  };
  const present = [none, real].filter((one) => rows.some(({ series }) => series === one));
  const encoded = series(
    present,
    present.map((one) => (one === real ? COLOURS.vermillion : COLOURS.blue)),
  );
  const legend = present.includes(real) ? {} : { legend: null };
  const [color, shape] = [encoded.color, encoded.shape].map((channel) => ({ ...channel, ...legend }));
  const panel = (by: string, layout: Layout) => {
    const own = rows.filter((row) => row.by === by);
    const names = apart(own.map(({ value }) => shown(value, layout === 'wide' ? undefined : 16)));
    const values = own.map((row, i) => ({ ...row, group: `${names[i]}  (${row.n})` }));
    const y = {
      field: 'group',
      type: 'nominal',
      sort: null,
      title: null,
      axis: { labelLimit: 900, domain: false, ticks: false, grid: true },
    };
    return {
      title: { text: shown(by), fontSize: 13, offset: 6, frame: 'group' },
      width: layout === 'wide' ? 400 : besideNames(values.map(({ group }) => group)),
      height: { step: layout === 'wide' ? 24 : 20 },
      data: { values },
      layer: [
        ...(total === null
          ? []
          : [
              {
                data: { values: [{ total }] },
                mark: { type: 'rule', color: COLOURS.grey, strokeDash: [4, 4] },
                encoding: { x: { field: 'total', type: 'quantitative' } },
              },
            ]),
        {
          mark: { type: 'rule', strokeWidth: 2 },
          encoding: { x: { ...x, field: 'low' }, x2: { field: 'high' }, y, color },
        },
        { mark: { type: 'point', filled: true, size: 85, opacity: 1 }, encoding: { x, y, color, shape } },
      ],
    };
  };
  const bys = [...new Set(rows.map(({ by }) => by))];
  const note = total === null ? '' : `; dashed: all rows, ${total.toFixed(3)}`;
  return [
    {
      name,
      alt: `${label} of each group with its 95 % interval, worst first${note}.`,
      ...inBoth((layout) => ({
        $schema: SCHEMA,
        title: { text: `${label} by group`, subtitle: `Rows in brackets${note}` },
        vconcat: bys.map((by) => panel(by, layout)),
        spacing: 18,
        resolve: { scale: { x: 'shared' } },
      })),
    },
  ];
}

const MAX_PANELS = 16;

/** How predictions spread, overall and by group. */
export function distributionsChart({ distributions, kind }: Evaluation, name: string): Chart[] {
  const { low, high, rows } = distributions;
  if (rows.length === 0) return [];
  const pair = kind === 'pair';
  const few = rows.slice(0, MAX_PANELS);
  const most = Math.max(...few.flatMap(({ counts, n }) => counts.map((count) => count / n)));
  const sides = ['against the majority', 'with the majority'];
  // Each in a plot of its own: a grid would draw axes for places that are empty.
  const panel = ({ by, value, n, counts }: (typeof few)[number], layout: Layout) => ({
    title: {
      text: `${by === null ? 'all rows' : shown(value ?? '', layout === 'wide' ? 24 : 13)} (${n})`,
      fontSize: SMALLEST_TEXT,
      fontWeight: 500,
      offset: 4,
      frame: 'group',
    },
    width: layout === 'wide' ? 190 : 125,
    height: 62,
    data: {
      values: counts.map((count, bin) => ({
        from: low + ((high - low) * bin) / counts.length,
        to: low + ((high - low) * (bin + 1)) / counts.length,
        share: count / n,
        side: sides[pair && bin < counts.length / 2 ? 0 : 1],
      })),
    },
    mark: { type: 'bar', binSpacing: 1 },
    encoding: {
      x: {
        field: 'from',
        type: 'quantitative',
        bin: { binned: true },
        title: null,
        axis: { grid: false, tickCount: 3, format: '.2~f' },
        scale: { domain: [low, high] },
      },
      x2: { field: 'to' },
      y: {
        field: 'share',
        type: 'quantitative',
        title: null,
        axis: { tickCount: 2, format: '.0%' },
        scale: { domain: [0, most] },
      },
      color: pair
        ? { field: 'side', type: 'nominal', scale: { domain: sides, range: [COLOURS.vermillion, COLOURS.blue] } }
        : { value: COLOURS.blue },
    },
  });
  return [
    {
      name,
      alt: pair
        ? 'Distribution of the probability that the model gives to the side most raters preferred, over all rows and by group: right of one half it agrees with them.'
        : 'Distribution of predictions over all rows and by group.',
      ...inBoth((layout) => ({
        $schema: SCHEMA,
        title: {
          text: pair ? 'How sure the model is of what raters preferred' : 'How predictions spread',
          subtitle: pair
            ? 'Probability of the side most raters preferred; right of one half the model agrees with them. Rows in brackets.'
            : 'Rows in brackets',
        },
        concat: few.map((one) => panel(one, layout)),
        columns: layout === 'wide' ? 3 : 2,
        spacing: { row: 12, column: 14 },
      })),
    },
  ];
}

const short = (value: number): string => Number(value.toPrecision(2)).toString();

/** Which decisions quantizing turned: those the model had been least sure of, one hopes. */
export function flipsChart({ gate }: Quantization): Chart[] {
  const bins = gate?.decisions?.byMargin ?? [];
  if (bins.length === 0) return [];
  const rows = bins.map(({ low, high, pairs, flips }, i) => ({
    margin: `${i + 1}. ${short(low)} to ${short(high)}`,
    share: pairs > 0 ? flips / pairs : 0,
    words: `${flips} of ${pairs}`,
  }));
  const most = Math.max(0.02, ...rows.map(({ share }) => share));
  const y = {
    field: 'margin',
    type: 'nominal',
    sort: null,
    title: 'Margin before: |pair logit|',
    axis: { labelLimit: 900 },
  };
  return [
    {
      name: 'flips',
      alt: 'Share of pairs whose winner changed by quantizing, by the margin the float model had given them.',
      ...inBoth((layout) => ({
        $schema: SCHEMA,
        title: {
          text: 'Winners that quantizing changed',
          subtitle: 'By how sure the float model was: equally many pairs in each row',
        },
        width: layout === 'wide' ? 420 : 190,
        height: { step: 30 },
        data: { values: rows },
        layer: [
          {
            mark: { type: 'bar', color: COLOURS.vermillion, height: 16 },
            encoding: {
              y,
              x: {
                field: 'share',
                type: 'quantitative',
                title: 'Share of pairs that flip',
                axis: { format: '.1~%', tickCount: 5 },
                scale: { domain: [0, most * 1.3], nice: false },
              },
            },
          },
          {
            mark: { type: 'text', align: 'left', dx: 6 },
            encoding: { y, x: { field: 'share', type: 'quantitative' }, text: { field: 'words' } },
          },
        ],
      })),
    },
  ];
}
