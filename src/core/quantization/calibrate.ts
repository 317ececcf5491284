import { createHash } from 'node:crypto';
import type { Probes } from '../gate/probes.js';
import type { OnnxModel } from '../onnx/model.js';
import { bytesOf } from '../tensor/values.js';
import { type CalibratorId, calibratorOf } from './calibrators.js';
import { Histogram } from './histogram.js';
import { type ObserveOptions, observeCounts, observeExtremes } from './observe.js';
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

/** What calibration saw of every value, before a range is chosen. */
export interface Observation {
  readonly values: readonly string[];
  /** With 0 inside; NaN where a value was NaN or infinite. */
  readonly extremes: ReadonlyMap<string, Range>;
  /** Of values that were not 0 alone; empty where no calibrator needs them. */
  readonly histograms: ReadonlyMap<string, Histogram>;
  readonly keyOf: (value: string) => string;
}

/** Runs the model on the calibration rows, and counts values where a calibrator needs that: it takes longer than the extremes. */
export async function observe(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  options: ObserveOptions & { readonly histograms: boolean },
): Promise<Observation> {
  const { keyOf } = options;
  if (!options.histograms)
    return { values, extremes: await observeExtremes(model, values, probes, options), histograms: new Map(), keyOf };
  const counted = [...(await observeCounts(model, values, probes, options))];
  const usable = counted.filter(([, { width, low, high }]) => width > 0 && isFiniteRange({ low, high }));
  return {
    values,
    extremes: new Map(counted.map(([key, { low, high }]) => [key, { low, high }])),
    histograms: new Map(usable.map(([key, counts]) => [key, new Histogram(counts)])),
    keyOf,
  };
}

/** Chooses a range for each value that was seen. */
export function chooseRanges({ values, extremes, histograms, keyOf }: Observation, id: CalibratorId): Calibration {
  const { choose } = calibratorOf(id);
  const chosen = new Map<string, Range>();
  for (const [key, range] of extremes) {
    const histogram = histograms.get(key);
    chosen.set(key, histogram && choose ? choose(histogram) : range);
  }
  const coverage: Record<string, Coverage> = {};
  const full: string[] = [];
  for (const [key, range] of chosen) {
    const seen = extremes.get(key)!;
    if (!isFiniteRange(range)) continue;
    const span = seen.high - seen.low;
    const share = span > 0 ? Math.min(1, (range.high - range.low) / span) : 1;
    coverage[key] = { ...range, clipRate: histograms.get(key)?.clipRate(range) ?? 0, coverage: share };
    if (choose && histograms.has(key) && share === 1) full.push(key);
  }
  return {
    ranges: new Map(values.map((value) => [value, chosen.get(keyOf(value))!])),
    coverage,
    warnings: fullRangeWarnings(id, full),
  };
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
