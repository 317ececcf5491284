import type { StagedOutput } from '../../bytes/output.js';
import { drawSvg } from '../../card/charts/draw.js';
import { type CurvePoint, type CurveTexts, gainCurveSpec } from '../../card/charts/gain-curve.js';
import { rasterizeSvg } from '../../media/rasterize.js';

/** Draws a curve beside an output, as SVG and as PNG. @returns the names of the files */
export async function writeCurve(
  output: StagedOutput,
  stem: string,
  chosen: readonly CurvePoint[],
  atRandom: readonly CurvePoint[],
  texts: CurveTexts,
): Promise<string[]> {
  const svg = await drawSvg(gainCurveSpec(chosen, atRandom, texts), 'narrow');
  const [vector, bitmap] = [`${stem}.svg`, `${stem}.png`];
  await output.writeFile(vector, svg);
  await output.writeFile(bitmap, await rasterizeSvg(svg));
  return [vector, bitmap];
}

/** At most so many points of a curve are drawn and reported. */
const MOST_POINTS = 200;

/** Some of the points, the last among them. */
export function thinned<T>(points: readonly T[]): T[] {
  const step = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % step === 0 || i === points.length - 1);
}
