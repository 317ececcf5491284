import type { CheckDocument } from '../../drift/document.js';
import { type Chart, COLOURS, inBoth, type Layout } from './draw.js';
import { besideNames, PLOT, SCHEMA } from './specs.js';
import { shown } from './text.js';

/** Questions in one chart, at most: the rest stands in the table. */
const MOST = 30;

export const driftCharts = (document: CheckDocument): Chart[] => [
  ...effectsChart(document),
  ...timelineChart(document),
];

/** How far each feature moved, in units of the least that counts. */
function effectsChart({ features }: CheckDocument): Chart[] {
  if (features.length === 0) return [];
  const [yes, no] = ['moved', 'did not move by as much as counts'];
  const rows = features
    .map(({ feature, group, effect, floor, moved }) => ({
      name: group ? `${feature} in ${group}` : feature,
      times: floor > 0 ? effect / floor : effect,
      series: moved ? yes : no,
    }))
    .sort((a, b) => b.times - a.times)
    .slice(0, MOST);
  const x = {
    field: 'times',
    type: 'quantitative',
    title: 'Effect, in units of the least that counts',
    scale: { type: 'symlog', domain: [0, Math.max(2, rows[0].times)], nice: false },
    axis: { values: [0, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000].filter((tick) => tick <= Math.max(2, rows[0].times)) },
  };
  const y = { field: 'name', type: 'nominal', sort: null, title: null, axis: { labelLimit: 900 } };
  const named = (layout: Layout) =>
    rows.map((row) => ({ ...row, name: shown(row.name, layout === 'wide' ? undefined : 22) }));
  return [
    {
      name: 'effects',
      alt: `How far each feature moved, in units of the least that counts: ${rows.filter(({ series }) => series === yes).length} of ${features.length} moved.`,
      ...inBoth((layout) => ({
        $schema: SCHEMA,
        title: {
          text: 'What moved, and by how much',
          subtitle: 'Right of the dashed line an effect is large enough to count',
        },
        width: layout === 'wide' ? PLOT.wide : besideNames(named(layout).map(({ name }) => name)),
        height: { step: 22 },
        layer: [
          {
            data: { values: named(layout) },
            mark: { type: 'bar', height: 12 },
            encoding: {
              y,
              x,
              color: {
                field: 'series',
                type: 'nominal',
                scale: { domain: [yes, no], range: [COLOURS.vermillion, COLOURS.light] },
              },
            },
          },
          {
            data: { values: [{ at: 1 }] },
            mark: { type: 'rule', color: COLOURS.grey, strokeDash: [4, 3] },
            encoding: { x: { field: 'at', type: 'quantitative' } },
          },
        ],
      })),
    },
  ];
}

/** Mean score and expected accuracy along the window. */
function timelineChart({ timeline, features, window }: CheckDocument): Chart[] {
  if (timeline.length < 3) return [];
  const logit = features.find(({ feature, group }) => feature === 'logit' && group === null)?.reference;
  const reference = logit && 'mean' in logit ? logit.mean : null;
  const timed = window.from !== null && timeline.every(({ from }) => from !== null);
  const panel = (layout: Layout, field: 'logit' | 'accuracy', title: string, level: number | null) => ({
    width: PLOT[layout],
    height: 130,
    layer: [
      {
        data: { values: timeline.map((bin) => ({ at: timed ? bin.from : bin.start, value: bin[field] })) },
        mark: { type: 'line', point: { size: 26, filled: true }, color: COLOURS.blue, strokeWidth: 1.5 },
        encoding: {
          x: timed
            ? { field: 'at', type: 'temporal', scale: { type: 'utc' }, title: 'Time (UTC)' }
            : { field: 'at', type: 'quantitative', title: 'Row of the window', scale: { nice: false } },
          y: { field: 'value', type: 'quantitative', title, scale: { zero: false } },
        },
      },
      ...(level === null
        ? []
        : [
            {
              data: { values: [{ level }] },
              mark: { type: 'rule', color: COLOURS.vermillion, strokeDash: [5, 4] },
              encoding: { y: { field: 'level', type: 'quantitative' } },
            },
          ]),
    ],
  });
  const accuracy = timeline.every(({ accuracy }) => accuracy !== null);
  return [
    {
      name: 'timeline',
      alt: `Mean logit${accuracy ? ' and expected accuracy' : ''} along the window, in ${timeline.length} stretches of equally many rows; the dashed line is the mean of the reference.`,
      ...inBoth((layout) => ({
        $schema: SCHEMA,
        title: {
          text: 'Along the window',
          subtitle: 'Stretches of equally many rows; dashed: the mean of the reference',
        },
        vconcat: [
          panel(layout, 'logit', 'Mean logit', reference),
          ...(accuracy ? [panel(layout, 'accuracy', 'Expected accuracy', null)] : []),
        ],
      })),
    },
  ];
}
