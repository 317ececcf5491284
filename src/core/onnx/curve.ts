import * as z from 'zod';

/** Knots of one curve: what a graph still holds in a few small initializers, and a person can look through. */
export const MAX_KNOTS = 256;

const knots = z
  .strictObject({
    kind: z.literal('knots'),
    /** Strictly increasing, each a float32: a graph in float32 then has the same knots. */
    x: z.array(z.number()).min(2).max(MAX_KNOTS),
    /** Never decreasing. Linear between knots, constant outside. */
    y: z.array(z.number()).min(2).max(MAX_KNOTS),
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
  z.strictObject({ kind: z.literal('sigmoid'), slope: z.number().nonnegative(), intercept: z.number() }),
  /** sigmoid(a log q - b log(1 - q) + c) with q = sigmoid(logit) (Kull, Silva Filho and Flach 2017). */
  z.strictObject({ kind: z.literal('beta'), a: z.number().nonnegative(), b: z.number().nonnegative(), c: z.number() }),
  knots,
  /** slope * logit + intercept: to a human scale. */
  z.strictObject({ kind: z.literal('line'), slope: z.number().nonnegative(), intercept: z.number() }),
]);

export type Curve = z.infer<typeof curveSchema>;
export type KnotCurve = Extract<Curve, { kind: 'knots' }>;

/** A confidence band around a curve: linear between its x, constant outside. */
export const bandSchema = z
  .strictObject({
    /** Share of the cluster-bootstrap refits inside, pointwise. */
    level: z.number().positive().lt(1),
    /** Strictly increasing; of x >= 0 only where the curve is mirrored. */
    x: z.array(z.number()).min(1).max(MAX_KNOTS),
    lower: z.array(z.number()),
    upper: z.array(z.number()),
  })
  .refine(
    ({ x, lower, upper }) => x.length === lower.length && x.length === upper.length,
    'x, lower and upper must have the same length',
  )
  .refine(({ x }) => x.every((at, i) => i === 0 || at > x[i - 1]), 'x must increase');

export type Band = z.infer<typeof bandSchema>;
