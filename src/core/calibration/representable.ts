import { type KnotCurve, MAX_KNOTS } from '../onnx/curve.js';
import { interpolate, type Knots } from '../stats/isotonic.js';

/** Knots stand at least this share of the range of x apart: a steeper step is lost in the rounding of float32. */
export const LEAST_SPACING = 1e-3;
/** How much of a strictly increasing line is mixed into a curve that may have no flat stretch. */
const RAMP_SHARE = 0.01;

/** Where values are kept. */
export interface YRange {
  readonly low: number;
  readonly high: number;
}

export interface RepresentableOptions {
  readonly range: YRange;
  /** The knots are those of x >= 0, from (0, 0.5) on. */
  readonly mirrored: boolean;
  readonly strictlyMonotone: boolean;
}

/**
 * An isotonic map as a curve that a float32 graph can hold to 1e-5: at most 256 knots, no nearer than 1e-3 of the range,
 * values inside `range`. Where knots stand far enough apart and are few enough, it is the map itself.
 */
export function representable(knots: Knots, { range, mirrored, strictlyMonotone }: RepresentableOptions): KnotCurve {
  const width = (knots.x[knots.x.length - 1] - knots.x[0]) * (mirrored ? 2 : 1);
  const tails = strictlyMonotone ? (mirrored ? 1 : 2) : 0;
  const most = (mirrored ? MAX_KNOTS / 2 : MAX_KNOTS) - tails;
  const single = singlePrecision(withFewKnots(spaced(knots, LEAST_SPACING * width), most));
  const curve = clamped(single, range);
  const { x, y } = strictlyMonotone ? withRamp(curve, range, mirrored) : curve;
  return { kind: 'knots', ...atLeastTwo(x, y), mirrored };
}

const clamped = ({ x, y }: Knots, { low, high }: YRange): Knots => ({
  x,
  y: y.map((value) => Math.min(Math.max(value, low), high)),
});

/**
 * The map at points `spacing` or more apart: its own knots, and where several stand closer, the point that far from the last.
 * So it is changed only within a spacing or two of such knots.
 */
function spaced(knots: Knots, spacing: number): Knots {
  const last = knots.x[knots.x.length - 1];
  const points = [knots.x[0]];
  for (let i = 1; i < knots.x.length; ) {
    const next = Math.max(knots.x[i], points[points.length - 1] + spacing);
    if (next > last - spacing) break; // the end itself comes after it, no nearer than that
    points.push(next);
    while (i < knots.x.length && knots.x[i] <= next) i++;
  }
  if (last > points[points.length - 1]) points.push(last);
  return { x: Float64Array.from(points), y: Float64Array.from(points, (x) => interpolate(knots, x)) };
}

/** Drops the knots that change the curve least, one by one, until `most` are left (Visvalingam and Whyatt 1993). */
function withFewKnots({ x, y }: Knots, most: number): Knots {
  const kept = Array.from(x, (at, i) => ({ x: at, y: y[i] }));
  while (kept.length > most) {
    let least = Number.POSITIVE_INFINITY;
    let dropped = 1;
    for (let i = 1; i < kept.length - 1; i++) {
      const [a, b, c] = [kept[i - 1], kept[i], kept[i + 1]];
      const area = Math.abs((b.x - a.x) * (c.y - a.y) - (c.x - a.x) * (b.y - a.y));
      if (area < least) {
        least = area;
        dropped = i;
      }
    }
    kept.splice(dropped, 1);
  }
  return { x: Float64Array.from(kept, (knot) => knot.x), y: Float64Array.from(kept, (knot) => knot.y) };
}

/** Knots at float32 positions; of those that fall together the last is kept. */
function singlePrecision({ x, y }: Knots): Knots {
  const at = Array.from(x, Math.fround);
  // The first stays whatever follows: of a mirrored curve it is the middle.
  const keep = at.map((value, i) => i === 0 || (value !== at[0] && value !== at[i + 1]));
  return {
    x: Float64Array.from(at.filter((_, i) => keep[i])),
    y: y.filter((_, i) => keep[i]),
  };
}

/** Mixes in a line over the range of the data and as much again beyond it, so that the curve rises everywhere there. */
function withRamp({ x, y }: Knots, { low, high }: YRange, mirrored: boolean): Knots {
  const first = x[0];
  const last = x[x.length - 1];
  const beyond = Math.max(last - first, Math.abs(last), Number.MIN_VALUE);
  const end = Math.fround(last + beyond);
  const start = mirrored ? first : Math.fround(first - beyond);
  const bottom = mirrored ? 0.5 : low;
  const points = [...(mirrored ? [] : [start]), ...x, end];
  const mix = (at: number, value: number): number =>
    (1 - RAMP_SHARE) * value + RAMP_SHARE * (bottom + ((high - bottom) * (at - start)) / (end - start));
  return {
    x: Float64Array.from(points),
    y: Float64Array.from(points, (at) => (mirrored && at === 0 ? 0.5 : mix(at, interpolate({ x, y }, at)))),
  };
}

/** A constant curve needs a second knot, somewhere. */
function atLeastTwo(x: Float64Array, y: Float64Array): { x: number[]; y: number[] } {
  if (x.length > 1) return { x: [...x], y: [...y] };
  return { x: [x[0], Math.fround(x[0] + Math.max(1, Math.abs(x[0])))], y: [y[0], y[0]] };
}
