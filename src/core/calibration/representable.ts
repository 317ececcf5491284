import { type KnotCurve, MAX_KNOTS } from '../onnx/curve.js';
import { argsort } from '../stats/argsort.js';
import { type FittedPoints, type Knots, knotIndices } from '../stats/isotonic.js';

/** Logits further out would overflow in a float32 graph, and nearer to 0 their differences vanish; no score is either. */
const LARGEST_LOGIT = 1e30;
const SMALLEST_LOGIT = 1e-30;

/** How much of a strictly increasing line is mixed into a curve that may have no flat stretch. */
const RAMP_SHARE = 0.01;
/** Of that line, what it rises beyond either end of the data. */
const RAMP_TAIL = 0.05;

/** Share of the knots to be dropped that go at once, between two looks at what each costs. */
const DROPPED_AT_ONCE = 0.25;

/** Where values are kept. */
export interface YRange {
  readonly low: number;
  readonly high: number;
}

export interface RepresentableOptions {
  readonly range: YRange;
  /** The points are those of x >= 0, from (0, 0.5) on. */
  readonly mirrored: boolean;
  readonly strictlyMonotone: boolean;
}

/** Logits as a graph in float32 sees them: what it cannot tell apart is equal before anything is fitted. */
export const singlePrecision = (logits: Float64Array): Float64Array =>
  logits.map((logit) =>
    Math.abs(logit) < SMALLEST_LOGIT ? 0 : Math.fround(Math.min(Math.max(logit, -LARGEST_LOGIT), LARGEST_LOGIT)),
  );

/**
 * An isotonic regression as a curve that a float32 graph can hold: at most 256 knots, values inside `range`. With few enough
 * knots it is the regression itself, however near they stand: a stretch between float32 neighbours is exact in float32. Else those
 * stay whose loss would change the most for the most rows.
 *
 * @param points - at float32 positions, as `singlePrecision` gives them
 */
export function representable(
  { x, y, weights }: FittedPoints,
  { range: { low, high }, mirrored, strictlyMonotone }: RepresentableOptions,
): KnotCurve {
  const points = { x, y: y.map((value) => Math.min(Math.max(value, low), high)), weights };
  const tails = strictlyMonotone ? (mirrored ? 1 : 2) : 0;
  const kept = fewPoints(points, (mirrored ? MAX_KNOTS / 2 : MAX_KNOTS) - tails);
  const knots = { x: Float64Array.from(kept, (i) => points.x[i]), y: Float64Array.from(kept, (i) => points.y[i]) };
  const curve = strictlyMonotone ? withRamp(knots, massUpTo(points, kept), { low, high }, mirrored) : knots;
  return { kind: 'knots', ...atLeastTwo(curve), mirrored };
}

/** Indices of the points to keep: those the map needs, and of more than `most` those that matter to the most rows. */
function fewPoints(points: FittedPoints, most: number): Uint32Array {
  let kept = knotIndices(points);
  const costAt = (i: number): number =>
    i === 0 || i === kept.length - 1
      ? Number.POSITIVE_INFINITY
      : costOfLine(points, kept[i - 1], kept[i + 1]) - costOfLine(points, kept[i - 1], kept[i], kept[i + 1]);
  let costs = Float64Array.from(kept, (_, i) => (kept.length > most ? costAt(i) : 0));
  while (kept.length > most) {
    const atOnce = Math.ceil((kept.length - most) * DROPPED_AT_ONCE);
    const dropped = new Uint8Array(kept.length);
    let count = 0;
    for (const i of argsort(costs)) {
      // The cost of a knot is told with its neighbours in place: of two neighbours only one goes.
      if (dropped[i - 1] === 1 || dropped[i + 1] === 1) continue;
      dropped[i] = 1;
      if (++count === atOnce) break;
    }
    const stale = costs.map((_, i) => dropped[i - 1] || dropped[i + 1] || 0).filter((_, i) => dropped[i] === 0);
    kept = kept.filter((_, i) => dropped[i] === 0);
    costs = costs.filter((_, i) => dropped[i] === 0).map((cost, i) => (stale[i] === 1 ? costAt(i) : cost));
  }
  return kept;
}

/** How far the points between two are from the lines through the given ones: the weighted sum of squares. */
function costOfLine({ x, y, weights }: FittedPoints, ...through: readonly number[]): number {
  let sum = 0;
  for (let k = 1; k < through.length; k++) {
    const [from, to] = [through[k - 1], through[k]];
    for (let i = from + 1; i < to; i++) {
      const on = y[from] + ((y[to] - y[from]) * (x[i] - x[from])) / (x[to] - x[from]);
      sum += weights[i] * (on - y[i]) ** 2;
    }
  }
  return sum;
}

/** Share of the weight at or below each of the points. */
function massUpTo({ weights }: FittedPoints, which: Uint32Array): Float64Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
  let [mass, next] = [0, 0];
  return Float64Array.from(which, (at) => {
    for (; next <= at; next++) mass += weights[next];
    return mass / total;
  });
}

/**
 * Mixes in a line that rises with the share of the rows, and as far again beyond the data, so that the curve rises everywhere
 * there: by as much where scores crowd as where they are rare.
 */
function withRamp({ x, y }: Knots, mass: Float64Array, { low, high }: YRange, mirrored: boolean): Knots {
  const [first, last] = [x[0], x[x.length - 1]];
  const beyond = Math.max(last - first, Math.abs(last)) || 1;
  const bottom = mirrored ? 0.5 : low;
  const below = mirrored ? 0 : RAMP_TAIL;
  const mix = (value: number, share: number) =>
    (1 - RAMP_SHARE) * value + RAMP_SHARE * (bottom + (high - bottom) * share);
  const inside = y.map((value, i) => mix(value, below + (1 - below - RAMP_TAIL) * mass[i]));
  // A mirrored curve starts in the middle, at one half to the bit.
  if (mirrored) inside[0] = 0.5;
  const end = { x: Math.fround(last + beyond), y: mix(y[y.length - 1], 1) };
  if (mirrored) return { x: Float64Array.of(...x, end.x), y: Float64Array.of(...inside, end.y) };
  return {
    x: Float64Array.of(Math.fround(first - beyond), ...x, end.x),
    y: Float64Array.of(mix(y[0], 0), ...inside, end.y),
  };
}

/** A constant curve needs a second knot, somewhere. */
function atLeastTwo({ x, y }: Knots): { x: number[]; y: number[] } {
  if (x.length > 1) return { x: [...x], y: [...y] };
  return { x: [x[0], Math.fround(x[0] + Math.max(1, Math.abs(x[0])))], y: [y[0], y[0]] };
}
