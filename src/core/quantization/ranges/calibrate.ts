import type { Probes } from '../../gate/probes.js';
import { range } from '../../gate/rows.js';
import type { OnnxModel } from '../../onnx/model.js';
import { type ChannelClass, channelClasses } from '../channels.js';
import { selectProbes } from '../rows.js';
import { removeGains } from '../schemes/gains.js';
import type { ObservedModel } from '../schemes/scheme.js';
import { equalize } from './equalize.js';
import { Histogram } from './histogram.js';
import { type RangeMethodId, rangeMethodOf } from './methods.js';
import {
  type ChannelPlace,
  type ObserveOptions,
  observeCounts,
  observeExtremes,
  type PlacedScales,
} from './observe.js';
import { type ChannelRange, isFiniteRange, overallRange, type Range } from './range.js';
import { rescaleChannels } from './rescale.js';

/** How the range chosen for one value stands to what was seen of it. */
export interface Coverage {
  readonly low: number;
  readonly high: number;
  /** Share of the values seen that lie outside and are moved to the edge. */
  readonly clipRate: number;
  /** Share of the range seen that the chosen one spans. */
  readonly coverage: number;
}

/** What was done so that channels share the levels of a value better. */
export interface Equalization {
  /** Values whose channels are divided by scales. */
  readonly values: number;
  /** Of them, those that a multiplication was added for. */
  readonly gains: number;
}

export interface Calibration {
  readonly calibrator: RangeMethodId;
  readonly ranges: ReadonlyMap<string, Range>;
  /** By value, in the order of the graph; those without a finite range are left out. */
  readonly coverage: Readonly<Record<string, Coverage>>;
  readonly warnings: readonly string[];
  readonly equalization: Equalization;
  /** How many elements each value has for one row. */
  readonly elements: ReadonlyMap<string, number>;
  /** What the ranges are of: the same model with equalized channels. */
  readonly model: OnnxModel;
}

/** What calibration saw of every value, before a range is chosen. */
export interface Observation {
  readonly values: readonly string[];
  /** With 0 inside; NaN where a value was NaN or infinite. */
  readonly extremes: ReadonlyMap<string, Range>;
  /** Of values that were not 0 alone; empty where no calibrator needs them. */
  readonly histograms: ReadonlyMap<string, Histogram>;
  /** How many elements each value has for one row. */
  readonly elements: ReadonlyMap<string, number>;
  readonly keyOf: (value: string) => string;
  /** What a value is called in `model`. */
  readonly nameOf: (value: string) => string;
  readonly equalization: Equalization;
  /** The model with equalized channels. */
  readonly model: OnnxModel;
}

/** Rows that scales of channels are chosen by where all rows are seen again, as scaled. */
const EQUALIZING_ROWS = 8;

/** Runs the model on the calibration rows, and counts values where a calibrator needs that: it takes longer than the extremes. */
export async function observe(
  observed: ObservedModel,
  probes: Probes,
  options: ObserveOptions & { readonly histograms: boolean },
): Promise<Observation> {
  const { model, values } = observed;
  const { keyOf } = options;
  const channels = new ObservedChannels(observed, keyOf);
  if (!options.histograms) {
    const { byKey, elements } = await observeExtremes(model, values, probes, options, channels.placeOf);
    const { scalesOf, ...equalized } = await channels.equalize(byKey);
    const extremes = Array.from(byKey, ([key, range]) => [key, overallRange(range, scalesOf(key)?.scales)] as const);
    return { values, extremes: new Map(extremes), histograms: new Map(), elements, keyOf, ...equalized };
  }
  const scalable = values.filter((value) => channels.placeOf(value));
  const few = selectProbes(probes, range(Math.min(probes.rows, EQUALIZING_ROWS)));
  const seen =
    scalable.length === 0
      ? new Map<string, ChannelRange>()
      : (await observeExtremes(model, scalable, few, { ...options, onBatch: undefined }, channels.placeOf)).byKey;
  const { scalesOf, ...equalized } = await channels.equalize(seen);
  const { byKey, elements } = await observeCounts(model, values, probes, options, scalesOf);
  const counted = [...byKey];
  const usable = counted.filter(([, { width, low, high }]) => width > 0 && isFiniteRange({ low, high }));
  return {
    values,
    extremes: new Map(counted.map(([key, { low, high }]) => [key, { low, high }])),
    histograms: new Map(usable.map(([key, counts]) => [key, new Histogram(counts)])),
    elements,
    keyOf,
    ...equalized,
  };
}

/** The channels of the values that are observed, as far as they can be scaled. */
class ObservedChannels {
  private readonly classes: readonly ChannelClass[];
  private readonly places: ReadonlyMap<string, ChannelPlace>;

  constructor(
    private readonly observed: ObservedModel,
    private readonly keyOf: (value: string) => string,
  ) {
    const sharing = new Map<string, string[]>();
    for (const value of observed.values) sharing.set(keyOf(value), [...(sharing.get(keyOf(value)) ?? []), value]);
    // Values that share a range must share scales too.
    const whole = ({ values }: ChannelClass): boolean =>
      [...values.keys()].every((value) => sharing.get(keyOf(value))?.every((other) => values.has(other)) ?? true);
    this.classes = observed.gains ? channelClasses(observed.model).filter(whole) : [];
    this.places = new Map(
      this.classes.flatMap(({ channels, values }) =>
        Array.from(values, ([value, trailing]) => [value, { channels, trailing }] as const),
      ),
    );
  }

  readonly placeOf = (value: string): ChannelPlace | undefined => this.places.get(value);

  /** The model with scaled channels, and what became of its values. */
  async equalize(seen: ReadonlyMap<string, ChannelRange>) {
    const { model, values, gains = new Map<string, string>() } = this.observed;
    const ranges = new Map(values.map((value) => [value, seen.get(this.keyOf(value))]));
    const classes = await equalize(model, this.classes, (value) => ranges.get(value), gains);
    const scales = new Map(
      classes.flatMap((each) =>
        Array.from(each.values, ([value, trailing]) => [value, { scales: each.scales, trailing }] as const),
      ),
    );
    const idle = new Map([...gains].filter(([gain]) => !scales.has(gain)));
    return {
      model: removeGains(rescaleChannels(model, classes), idle),
      nameOf: (value: string): string => idle.get(value) ?? value,
      equalization: {
        values: values.filter((value) => scales.has(value)).length,
        gains: gains.size - idle.size,
      },
      scalesOf: (value: string): PlacedScales | undefined => scales.get(value),
    };
  }
}

/** Chooses a range for each value that was seen. */
export function chooseRanges(
  { values, extremes, histograms, elements, keyOf, nameOf, equalization, model }: Observation,
  id: RangeMethodId,
): Calibration {
  const { choose } = rangeMethodOf(id);
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
    coverage[nameOf(key)] = { ...range, clipRate: histograms.get(key)?.clipRate(range) ?? 0, coverage: share };
    if (choose && histograms.has(key) && share === 1) full.push(nameOf(key));
  }
  return {
    calibrator: id,
    ranges: new Map(values.map((value) => [nameOf(value), chosen.get(keyOf(value))!])),
    coverage,
    equalization,
    elements: new Map(Array.from(elements, ([value, count]) => [nameOf(value), count])),
    model,
    warnings: fullRangeWarnings(id, full),
  };
}

/** A calibrator that chose what min-max would have is worth knowing: maybe it never searched. */
function fullRangeWarnings(calibrator: RangeMethodId, full: readonly string[]): string[] {
  if (full.length === 0) return [];
  const some = full.slice(0, 3).join(', ');
  return [
    `${calibrator} chose the full range for ${full.length} value(s), as min-max would: ${some}${full.length > 3 ? ', …' : ''}.`,
  ];
}

/** The two sides of a pair compute the same from shared weights: `right/…` is put to `left/…`. */
export function pairKey(values: readonly string[]): (value: string) => string {
  const known = new Set(values);
  return (value) => {
    const left = value.replace(/^right(?=[/_])/, 'left');
    return known.has(left) ? left : value;
  };
}
