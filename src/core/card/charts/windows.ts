import { curvesOf, type WindowCurve, type WindowScore } from '../../data/score-windows.js';
import type { ExplainedWindows } from '../../explanation/document.js';
import { type Chart, COLOURS, inBoth, type Layout } from './draw.js';
import { PLOT, SCHEMA } from './specs.js';

/** Points of a curve: of more windows each point is the lowest of some in a row, so that the worst one is always there. */
const MOST_POINTS = 400;
/** From here on time is told in minutes. */
const MINUTES = 600;

/** The scores of windows along an item, or along both sides of a pair, with the worst one marked; nothing of single windows. */
export function windowsChart(windows: ExplainedWindows, name: string): Chart[] {
  const curves = curvesOf<WindowCurve>(windows).filter(([, { count }]) => count > 1);
  if (curves.length === 0) return [];
  const { unit, interval } = windows;
  const isItem = 'curve' in windows;
  const last = Math.max(...curves.map(([, { curve }]) => curve[curve.length - 1].end));
  const isLong = unit === 'seconds' && last >= MINUTES;
  const scale = isLong ? 60 : 1;
  const along = unit === 'characters' ? 'Character of the text' : isLong ? 'Minutes' : 'Seconds';
  const panel = (layout: Layout, side: string, { curve, worst }: WindowCurve) => {
    const place = ({ start, end, logit }: WindowScore) => ({
      at: (start + end) / 2 / scale,
      start: start / scale,
      end: end / scale,
      logit,
    });
    const x = { field: 'at', type: 'quantitative', title: along, scale: { domain: [0, last / scale], nice: false } };
    const y = {
      field: 'logit',
      type: 'quantitative',
      title: side === 'item' ? 'Logit of a window' : `Logit, ${side}`,
      scale: { zero: false },
    };
    return {
      width: PLOT[layout],
      height: 150,
      layer: [
        {
          data: { values: [place(worst)] },
          mark: { type: 'rect', color: COLOURS.light },
          encoding: { x: { ...x, field: 'start' }, x2: { field: 'end' } },
        },
        ...(isItem
          ? [windows.logit, ...(interval ? [interval.low, interval.high] : [])].map((level, i) => ({
              data: { values: [{ level }] },
              mark: { type: 'rule', color: COLOURS.grey, strokeDash: i === 0 ? [5, 4] : [1, 3] },
              encoding: { y: { field: 'level', type: 'quantitative' } },
            }))
          : []),
        {
          data: { values: thinned(curve).map(place) },
          mark: { type: 'line', point: { size: 18, filled: true }, color: COLOURS.blue, strokeWidth: 1.5 },
          encoding: { x, y },
        },
        {
          data: { values: [place(worst)] },
          mark: { type: 'point', shape: 'diamond', size: 130, filled: true, opacity: 1, color: COLOURS.vermillion },
          encoding: { x, y },
        },
      ],
    };
  };
  const lines = isItem ? `; dashed: the whole${interval ? ', dotted: its interval' : ''}` : '';
  const thin = curves.some(([, { count }]) => count > MOST_POINTS) ? '; a point is the lowest of some in a row' : '';
  return [
    {
      name,
      alt: curves
        .map(([side, { count, worst }]) => {
          const the = side === 'item' ? 'The' : `${side === 'left' ? 'Left' : 'Right'}: the`;
          return `${the} logits of ${count} windows along the item, the lowest ${worst.logit.toPrecision(4)} from ${worst.start} to ${worst.end} ${unit}`;
        })
        .join('; '),
      ...inBoth((layout) => ({
        $schema: SCHEMA,
        title: { text: 'Window by window', subtitle: `Diamond: the worst, explained below${lines}${thin}` },
        vconcat: curves.map(([side, curve]) => panel(layout, side, curve)),
      })),
    },
  ];
}

function thinned(curve: readonly WindowScore[]): WindowScore[] {
  const each = Math.ceil(curve.length / MOST_POINTS);
  return Array.from({ length: Math.ceil(curve.length / each) }, (_, i) =>
    curve.slice(i * each, (i + 1) * each).reduce((lowest, one) => (one.logit < lowest.logit ? one : lowest)),
  );
}
