import { collectColumns } from '../bytes/garbage.js';
import { Random } from '../bytes/random.js';
import type { Band, Curve } from '../onnx/curve.js';
import { turns } from '../run.js';
import { quantileOfSorted } from '../stats/quantile.js';
import { inBlocks } from '../stats/statistic.js';
import { applyCurve, isAntisymmetric } from './curve.js';
import type { CalibrationTask, Candidate, ClusteredRows } from './task.js';

/** Share of refits inside the band. */
export const BAND_LEVEL = 0.9;
/** Most refits to resampled clusters: enough for a 5 % quantile. */
const MAX_RESAMPLES = 500;
/** Points the band is stored at. */
const BAND_POINTS = 64;
/** Refits are to neighbouring logits gathered into cells: their spread is far above what that changes. */
const BAND_CELLS = 4096;

export interface BandOptions {
  readonly seed: string;
  readonly resamples?: number;
  readonly signal?: AbortSignal;
}

/**
 * The pointwise band of a curve by cluster bootstrap: the method is fitted again to resampled clusters, with the votes it imagines
 * drawn anew, and the middle 90 % of its values taken. The curve itself is always inside.
 */
export async function bootstrapBand<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  method: Candidate<Rows>,
  curve: Curve,
  { seed, resamples = MAX_RESAMPLES, signal }: BandOptions,
): Promise<Band> {
  const x = bandPoints(rows.logits, isAntisymmetric(curve));
  const refits = Math.min(resamples, MAX_RESAMPLES);
  const values = x.map(() => new Float64Array(refits));
  const { codes, names } = rows.cluster;
  const clusters = inBlocks({ of: codes, count: names.length }, seed);
  collectColumns(codes.length);
  const resample = task.prepareResample(rows, clusters, BAND_CELLS);
  const random = new Random(seed);
  const imagined = new Random(`${seed}/prior`);
  const draws = new Float64Array(clusters.count);
  const turn = turns(signal);
  collectColumns(codes.length);
  for (let i = 0; i < refits; i++) {
    random.countDraws(draws);
    const refitted = method.fit(resample(draws, imagined));
    for (const [point, at] of x.entries()) values[point][i] = applyCurve(refitted, at);
    await turn();
  }
  const tail = (1 - BAND_LEVEL) / 2;
  const quantiles = (p: number) => values.map((column) => quantileOfSorted(column.sort(), p));
  return {
    level: BAND_LEVEL,
    x,
    lower: quantiles(tail).map((low, i) => Math.min(low, applyCurve(curve, x[i]))),
    upper: quantiles(1 - tail).map((high, i) => Math.max(high, applyCurve(curve, x[i]))),
  };
}

/** Quantiles of the logits, with both ends; of their sizes from 0 on where the curve is mirrored. */
function bandPoints(logits: Float64Array, mirrored: boolean): number[] {
  const sorted = (mirrored ? logits.map(Math.abs) : logits.slice()).sort();
  const points = Array.from({ length: BAND_POINTS }, (_, i) => quantileOfSorted(sorted, i / (BAND_POINTS - 1)));
  return [...new Set(mirrored ? [0, ...points] : points)].sort((a, b) => a - b);
}
