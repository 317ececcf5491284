import type { TopLevelSpec } from 'vega-lite';
import { COLOURS } from './draw.js';
import { series } from './specs.js';

export interface CurvePoint {
  readonly labels: number;
  readonly value: number;
}

export interface CurveTexts {
  readonly title: string;
  readonly subtitle: string;
  readonly y: string;
}

/** Two curves over the number of labels: what was chosen, and chance. */
export function gainCurveSpec(
  chosen: readonly CurvePoint[],
  atRandom: readonly CurvePoint[],
  { title, subtitle, y }: CurveTexts,
): TopLevelSpec {
  const names = ['chosen', 'at random'];
  const { color, strokeDash } = series(names, [COLOURS.blue, COLOURS.vermillion]);
  const values = [chosen, atRandom].flatMap((points, i) => points.map((point) => ({ ...point, series: names[i] })));
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: { text: title, subtitle },
    width: 520,
    height: 260,
    data: { values },
    mark: { type: 'line' },
    encoding: {
      x: { field: 'labels', type: 'quantitative', title: 'labels' },
      y: { field: 'value', type: 'quantitative', title: y },
      color,
      strokeDash,
    },
  } as TopLevelSpec;
}
