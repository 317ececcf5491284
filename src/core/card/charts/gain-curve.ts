import type { TopLevelSpec } from 'vega-lite';
import { COLOURS } from './draw.js';
import { PLOT, SCHEMA, series } from './specs.js';

export interface CurvePoint {
  readonly labels: number;
  readonly value: number;
}

export interface CurveTexts {
  readonly title: string;
  readonly subtitle: string;
  readonly y: string;
}

/** Two curves over the number of labels: what was chosen, and chance. A file of its own, drawn for a phone. */
export function gainCurveSpec(
  chosen: readonly CurvePoint[],
  atRandom: readonly CurvePoint[],
  { title, subtitle, y }: CurveTexts,
): TopLevelSpec {
  const names = ['chosen', 'at random'];
  const { color, strokeDash } = series(names, [COLOURS.blue, COLOURS.vermillion]);
  const values = [chosen, atRandom].flatMap((points, i) => points.map((point) => ({ ...point, series: names[i] })));
  return {
    $schema: SCHEMA,
    title: { text: title, subtitle },
    width: PLOT.narrow,
    height: 200,
    data: { values },
    mark: { type: 'line', strokeWidth: 2 },
    encoding: {
      x: { field: 'labels', type: 'quantitative', title: 'labels' },
      y: { field: 'value', type: 'quantitative', title: y },
      color,
      strokeDash: { ...strokeDash, legend: { symbolType: 'stroke', symbolStrokeWidth: 2, symbolSize: 400 } },
    },
  } as TopLevelSpec;
}
