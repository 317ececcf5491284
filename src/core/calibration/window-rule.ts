import { defineDocument, type ReadDocument, readDocument } from '../documents/define.js';
import { count, estimate, interval, sha256 } from '../documents/parts.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';

/** Of labels held out, how a rule does: its loss, and how much less that is with the fitted rule (below 0 where that is better). */
const compared = z.strictObject({ loss: z.number(), difference: estimate });

const fields = z.strictObject({
  kind: z.enum(['pair', 'absolute']).describe('What the labels were of'),
  sharpness: z
    .number()
    .nonnegative()
    .describe(
      'A window of logit l counts in proportion to exp(-sharpness * l): 0 is the mean, and the higher, the more the lowest decide',
    ),
  ci: interval.nullable().describe('Of the sharpness, at 95 %: by clusters drawn again'),
  window: z.string().describe('The windows that it was fitted to'),
  stride: z.string(),
  n: count.describe('Rows with a label and more than one window'),
  clusters: count,
  folds: count,
  seed: count,
  loss: z.enum(['log_loss', 'mse']).describe('Of pairs the log loss of their votes, of items the mean squared error'),
  heldOut: z
    .strictObject({ fitted: z.number(), mean: compared, worst: compared, last: compared })
    .describe('The loss of each rule where neither it nor its scale was fitted'),
  dataSha256: sha256.describe('Of the labels'),
  scoresSha256: sha256,
  modelSha256: sha256.nullable().describe('The model whose scores they are; null where the scores do not say'),
  tool: z.string(),
});

/** A rule of windows: how the logit of an item comes from those of its windows, fitted to labels. */
export const windowRuleDocument = defineDocument('hpsv3/window-rule@1', fields, {
  what: 'a rule of windows',
  made: 'hpsv3 batch aggregate',
  limit: LIMITS.configBytes,
});

export type FittedWindowRule = z.output<typeof windowRuleDocument.schema>;

/** @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID, MADE_BY_NEWER */
export const readWindowRule = (path: string): ReadDocument<FittedWindowRule> => readDocument(windowRuleDocument, path);
