import { createHash } from 'node:crypto';
import type { Probes } from '../gate/probes.js';
import type { OnnxModel } from '../onnx/model.js';
import { bytesOf } from '../tensor/values.js';
import { type CalibratorId, calibratorOf } from './calibrators.js';
import type { Histogram } from './histogram.js';
import { type ObserveOptions, observeExtremes, observeHistograms } from './observe.js';
import { isFiniteRange, type Range } from './range.js';

/** How the range chosen for one value stands to what was seen of it. */
export interface Coverage {
  readonly low: number;
  readonly high: number;
  /** Share of the values seen that lie outside and are moved to the edge. */
  readonly clipRate: number;
  /** Share of the range seen that the chosen one spans. */
  readonly coverage: number;
}

export interface Calibration {
  readonly ranges: ReadonlyMap<string, Range>;
  /** By value, in the order of the graph; those without a finite range are left out. */
  readonly coverage: Readonly<Record<string, Coverage>>;
  readonly warnings: readonly string[];
}

/** Runs the model on the calibration rows and chooses a range for each value. */
export async function calibrate(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  calibratorId: CalibratorId,
  options: ObserveOptions,
): Promise<Calibration> {
  const calibrator = calibratorOf(calibratorId);
  const extremes = await observeExtremes(model, values, probes, options);
  const histograms: ReadonlyMap<string, Histogram> = calibrator.choose
    ? await observeHistograms(model, values, extremes, probes, options)
    : new Map();
  const chosen = new Map<string, Range>();
  for (const [key, { range }] of extremes) {
    const histogram = histograms.get(key);
    chosen.set(key, histogram && calibrator.choose ? calibrator.choose(histogram) : range);
  }
  const ranges = new Map(values.map((value) => [value, chosen.get(options.keyOf(value))!]));
  const coverage: Record<string, Coverage> = {};
  const full: string[] = [];
  for (const [value, range] of ranges) {
    const key = options.keyOf(value);
    const seen = extremes.get(key)!.range;
    if (!isFiniteRange(range) || value !== key) continue;
    const span = seen.high - seen.low;
    coverage[value] = {
      low: range.low,
      high: range.high,
      clipRate: histograms.get(key)?.clipRate(range) ?? 0,
      coverage: span > 0 ? Math.min(1, (range.high - range.low) / span) : 1,
    };
    if (histograms.has(key) && coverage[value].coverage === 1) full.push(value);
  }
  return { ranges, coverage, warnings: fullRangeWarnings(calibratorId, full) };
}

/** A calibrator that chose what min-max would have is worth knowing: maybe it never searched. */
function fullRangeWarnings(calibrator: CalibratorId, full: readonly string[]): string[] {
  if (full.length === 0) return [];
  const some = full.slice(0, 3).join(', ');
  return [
    `${calibrator} chose the full range for ${full.length} value(s), as min-max would: ${some}${full.length > 3 ? ', …' : ''}.`,
  ];
}

/** SHA-256 of the rows themselves: names, types, shapes and bytes, in the order of the names. */
export function probesSha256({ feeds }: Probes): string {
  const hash = createHash('sha256');
  for (const [name, { dtype, shape, data }] of [...feeds].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(JSON.stringify([name, dtype, shape]));
    hash.update(bytesOf(data));
  }
  return hash.digest('hex');
}

/** The two sides of a pair compute the same from shared weights: `right/…` is put to `left/…`. */
export function pairKey(values: readonly string[]): (value: string) => string {
  const known = new Set(values);
  return (value) => {
    const left = value.replace(/^right(?=[/_])/, 'left');
    return known.has(left) ? left : value;
  };
}
