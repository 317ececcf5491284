import * as z from '../zod.js';

/** What many documents are made of. */

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
export const count = z.number().int().nonnegative();
export const positive = z.number().int().positive();
/** A part of a whole. */
export const share = z.number().min(0).max(1);
export const milliseconds = z.number().nonnegative();
/** Largest finite number of a float32: what is above would be infinite in a graph, and products of two stay finite in a double. */
const FLOAT32_MAX = 3.4028234663852886e38;
export const float32 = z.number().min(-FLOAT32_MAX).max(FLOAT32_MAX);
/** Lower and upper end. */
export const interval = z.tuple([z.number(), z.number()]);
/** A figure with its interval; each null where the data do not give one. */
export const estimate = z.strictObject({ value: z.number().nullable(), ci: interval.nullable() });
/** Estimates by the id of a metric. */
export const figures = z.record(z.string(), estimate);
/** A file that something was made from, by its base name. */
export const fileHash = z.strictObject({ name: z.string(), sha256 });
