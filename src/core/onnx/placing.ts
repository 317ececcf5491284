import { positive } from '../documents/parts.js';
import * as z from '../zod.js';

/** Most scores of a reference that a file keeps: a share is then known to 0.1 % of the set. */
export const MOST_QUANTILES = 1001;

/** What of a reference set a score is placed by. */
export const placingSchema = z.strictObject({
  /** Logits of items, or sizes of pair logits: which side is called left says nothing. */
  of: z.enum(['items', 'pairs']),
  /** Scores of the set. */
  n: positive,
  /** Scores of the set in ascending order: all, or those of ranks that divide it evenly, the least and the greatest among them. */
  quantiles: z
    .array(z.number())
    .min(1)
    .max(MOST_QUANTILES)
    .refine((values) => values.every((value, i) => i === 0 || value >= values[i - 1]), 'must be in ascending order'),
});

export type Placing = z.infer<typeof placingSchema>;
