import { float32 } from '../documents/parts.js';
import * as z from '../zod.js';

/** Knots of one curve: what a graph still holds in a few small initializers, and a person can look through. */
export const MAX_KNOTS = 256;

const knots = z
  .strictObject({
    kind: z.literal('knots'),
    /** Strictly increasing, each a float32: a graph in float32 then has the same knots. */
    x: z.array(float32).min(2).max(MAX_KNOTS),
    /** Never decreasing. Linear between knots, constant outside. */
    y: z.array(float32).min(2).max(MAX_KNOTS),
    /** The knots are those of x >= 0, from (0, 0.5) on; the other half follows by p(-x) = 1 - p(x). */
    mirrored: z.boolean(),
  })
  .refine(({ x, y }) => x.length === y.length, 'x and y must have the same length')
  .refine(({ x }) => x.every((at, i) => i === 0 || at > x[i - 1]), 'x must increase')
  .refine(({ y }) => y.every((value, i) => i === 0 || value >= y[i - 1]), 'y must not decrease')
  .refine(({ x, y, mirrored }) => !mirrored || (x[0] === 0 && y[0] === 0.5), 'a mirrored curve must start at (0, 0.5)');

/**
 * A never decreasing map from a logit to a probability or to a human scale, by its form: what a calibrator is once it is
 * fitted, whatever method fitted it.
 */
export const curveSchema = z.discriminatedUnion('kind', [
  /** sigmoid(slope * logit + intercept). */
  z.strictObject({ kind: z.literal('sigmoid'), slope: float32.nonnegative(), intercept: float32 }),
  /** sigmoid(a log q - b log(1 - q) + c) with q = sigmoid(logit) (Kull, Silva Filho and Flach 2017). */
  z.strictObject({ kind: z.literal('beta'), a: float32.nonnegative(), b: float32.nonnegative(), c: float32 }),
  knots,
  /** slope * logit + intercept: to a human scale. */
  z.strictObject({ kind: z.literal('line'), slope: float32.nonnegative(), intercept: float32 }),
]);

export type Curve = z.infer<typeof curveSchema>;
export type KnotCurve = Extract<Curve, { kind: 'knots' }>;

/** A confidence band around a curve: linear between its x, constant outside. */
export const bandSchema = z
  .strictObject({
    /** Share of the cluster-bootstrap refits inside, pointwise. */
    level: z.number().positive().lt(1),
    /** Strictly increasing; of x >= 0 only where the curve is mirrored. */
    x: z.array(float32).min(1).max(MAX_KNOTS),
    lower: z.array(float32),
    upper: z.array(float32),
  })
  .refine(
    ({ x, lower, upper }) => x.length === lower.length && x.length === upper.length,
    'x, lower and upper must have the same length',
  )
  .refine(({ x }) => x.every((at, i) => i === 0 || at > x[i - 1]), 'x must increase')
  .refine(({ lower, upper }) => lower.every((low, i) => low <= upper[i]), 'lower must not be above upper');

export type Band = z.infer<typeof bandSchema>;

/** Whether a curve and its band stay in [0, 1], as those of pairs must. */
export const isProbability = ({
  parameters,
  band,
}: {
  readonly parameters: Curve;
  readonly band: Band | null;
}): boolean =>
  parameters.kind !== 'line' &&
  (parameters.kind !== 'knots' || parameters.y.every(inUnit)) &&
  (band === null || (band.lower.every(inUnit) && band.upper.every(inUnit)));

const inUnit = (value: number): boolean => value >= 0 && value <= 1;
