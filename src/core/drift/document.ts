import { type DocumentOf, defineDocument } from '../documents/define.js';
import { count, estimate, interval, positive, sha256, share } from '../documents/parts.js';
import * as z from '../zod.js';
import { CAUSES } from './causes.js';
import { IDENTITY_FIELDS } from './identity.js';

/** What a check comes to. */
export const VERDICTS = ['no-drift', 'drift', 'identity-changed', 'not-enough-data'] as const;
export type DriftVerdict = (typeof VERDICTS)[number];

const cause = z.enum(CAUSES);

const numberSummary = z.strictObject({
  n: count,
  mean: z.number(),
  sd: z.number(),
  quartiles: z.tuple([z.number(), z.number(), z.number()]),
});
const categoryShares = z.strictObject({
  n: count,
  shares: z.array(z.strictObject({ name: z.string(), share })),
});
const summary = z.union([numberSummary, categoryShares]).nullable();

const featureSchema = z.strictObject({
  feature: z.string(),
  /** `NAME=value`; null for all rows. */
  group: z.string().nullable(),
  cause,
  test: z.enum(['numbers', 'categories', 'energy', 'residuals']),
  n: z.strictObject({ reference: count, window: count }),
  pValue: share,
  /** Adjusted for all questions of the check. */
  holm: share,
  effect: z.number().nonnegative(),
  floor: z.number().nonnegative(),
  moved: z.boolean(),
  statistics: z.record(z.string(), z.number()),
  reference: summary,
  window: summary,
});

const calibrationSchema = z.strictObject({
  n: count,
  clusters: count,
  tests: z.array(
    z.strictObject({
      name: z.enum(['recalibration', 'spiegelhalter']),
      statistic: z.number(),
      degreesOfFreedom: count,
      pValue: share,
      holm: share,
    }),
  ),
  pValue: share,
  holm: share,
  ece: share,
  floor: z.number().nonnegative(),
  /** Whether probabilities are said to be calibrated, so that not to hold is to have gone stale. */
  claimed: z.boolean(),
  moved: z.boolean(),
  accuracy: share,
  /** What fitting again would change; null where it was not asked for. */
  refit: z
    .strictObject({ slope: estimate, intercept: estimate, flips: estimate, change: estimate, command: z.string() })
    .nullable(),
});

const fields = z.strictObject({
  out: z.string().optional().describe('Where it lies: printed, and not written'),
  verdict: z.enum(VERDICTS),
  /** What moved, causes before what follows from them; the first is what the verdict names. */
  causes: z.array(cause),
  /** In words, the first the one that matters. */
  reasons: z.array(z.string()),
  alpha: share,
  reference: z.strictObject({
    name: z.string(),
    sha256,
    rows: count,
    clusters: count,
    from: z.string().nullable(),
    to: z.string().nullable(),
  }),
  window: z.strictObject({
    rows: count,
    clusters: count,
    /** Rows that were tested: whole clusters. */
    sampled: count,
    refused: count,
    from: z.string().nullable(),
    to: z.string().nullable(),
    /** Lines of a log that have no end. */
    torn: count,
  }),
  identity: z.array(
    z.strictObject({
      field: z.enum([...IDENTITY_FIELDS, 'score-map']),
      reference: z.array(z.string()),
      window: z.array(z.string()),
    }),
  ),
  permutations: count,
  features: z.array(featureSchema),
  untested: z.array(z.strictObject({ feature: z.string(), reason: z.string() })),
  smallGroups: z.array(z.string()),
  /** Without labels; null for items. */
  expected: z
    .strictObject({
      accuracy: share,
      auc: share.nullable(),
      ci: interval,
      reference: share.nullable(),
      calibrated: z.boolean().nullable(),
      bound: z.strictObject({ low: share, high: share, calibrationError: z.number() }).nullable(),
      labelsNeeded: positive,
    })
    .nullable(),
  /** By labels; null without. */
  calibration: calibrationSchema.nullable(),
  /** Null without a state. */
  monitors: z
    .strictObject({
      looks: count,
      rows: count,
      labels: count,
      /** Evidence at which one of them speaks. */
      limit: z.number(),
      of: z.array(
        z.strictObject({
          of: z.enum(['scores', 'calibration']),
          group: z.string().nullable(),
          n: count,
          logE: z.number(),
          mostLogE: z.number(),
          alarm: z.strictObject({ n: count, look: count }).nullable(),
        }),
      ),
    })
    .nullable(),
  timeline: z.array(
    z.strictObject({
      start: count,
      rows: count,
      from: z.string().nullable(),
      to: z.string().nullable(),
      logit: z.number(),
      accuracy: z.number().nullable(),
    }),
  ),
  warnings: z.array(z.string()),
  tool: z.string(),
});

/** What `hpsv3 drift check` writes. */
export const checkDocument = defineDocument('hpsv3/drift-check@1', fields, {
  what: 'a check for drift',
  made: 'hpsv3 drift check',
});

export type CheckDocument = DocumentOf<typeof checkDocument>;
