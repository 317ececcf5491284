import { defineDocument, formatDocument } from '../documents/define.js';
import { count, figures, sha256, share } from '../documents/parts.js';
import { LIMITS } from '../limits.js';
import { bandSchema, curveSchema, isProbability } from '../onnx/curve.js';
import { DECISIONS } from '../onnx/manifest.js';
import * as z from '../zod.js';
import { abstentionSchema } from './abstention.js';
import { applyCurve, confidenceOf, isAntisymmetric } from './curve.js';
import { referenceSchema } from './reference.js';

/** Methods a calibrator file may name. */
export const CALIBRATION_METHOD_IDS = ['none', 'temperature', 'platt', 'beta', 'isotonic', 'linear'] as const;
export type CalibrationMethodId = (typeof CALIBRATION_METHOD_IDS)[number];

const groupSchema = z.strictObject({
  value: z.string(),
  n: count,
  clusters: count,
  /** Share of the group's own clusters in the fit; 0 where it takes the curve of the whole. */
  ownShare: share,
  parameters: curveSchema,
  band: bandSchema.nullable(),
});

const fields = z
  .strictObject({
    /** What is calibrated: the pair logit to P(left preferred), or the utility logit of an item to a human scale. */
    kind: z.enum(['pair', 'absolute']),
    method: z.enum(CALIBRATION_METHOD_IDS),
    /** Whether p(a over b) = 1 - p(b over a), exactly. */
    symmetric: z.boolean(),
    /** The decision it is bound to; null where nobody said which. */
    decision: z.enum(DECISIONS).nullable(),
    parameters: curveSchema,
    /** By cluster bootstrap; null where nothing was fitted. Its lower end for the winner is the confidence of a result. */
    band: bandSchema.nullable(),
    /** Rows and clusters it was fitted to. */
    n: count,
    clusters: count,
    dataSha256: sha256,
    scoresSha256: sha256,
    /** The model whose scores they are; null where neither the scores nor the command named it. */
    modelSha256: sha256.nullable(),
    folds: count,
    repeats: count,
    seed: count,
    /** Out-of-fold figures of the raw score and of the calibrated one. */
    figures: z.strictObject({ before: figures, after: figures, reduction: figures }),
    /** One more curve for each value of a group, shrunk to the whole; null where none were asked for. */
    groups: z
      .strictObject({
        name: z.string(),
        /** The rest of the data counts as this many clusters beside a group's own. */
        shrinkageClusters: count,
        values: z.array(groupSchema),
      })
      .nullable(),
    /** @2. When not to decide, where a risk was asked for. */
    abstention: abstentionSchema.optional(),
    /** @2. What scores are placed among, where a set of them was given. */
    reference: referenceSchema.optional(),
    /** Name and version. */
    tool: z.string(),
  })
  .refine(
    ({ kind, groups, ...whole }) => kind === 'absolute' || [whole, ...(groups?.values ?? [])].every(isProbability),
    {
      path: ['parameters'],
      error: 'a calibrator of pairs must stay between 0 and 1',
    },
  );

/** A calibrator file: what a score means, and how well that is known. */
export const calibratorDocument = defineDocument('hpsv3/calibrator@2', fields, {
  what: 'a calibrator',
  made: 'hpsv3 calibrate',
  limit: LIMITS.calibratorBytes,
});

export type Calibrator = z.output<typeof calibratorDocument.schema>;

/** What of a calibrator its application needs; the manifest of a model that carries one has it too. */
export type AppliedCalibrator = Pick<Calibrator, 'kind' | 'parameters' | 'band' | 'groups'>;

/** What a calibrator says of one score. */
export interface Calibrated {
  /** P(left preferred), or the place on the human scale. */
  readonly value: number;
  /** Of the winner, at least; null for a tie, for items, and where nothing was fitted. */
  readonly confidence: number | null;
}

/**
 * Calibrates a score by the curve of its group, or by that of the whole where the group has none.
 *
 * @param group - the row's value of the calibrator's group column
 */
export function calibrate(calibrator: AppliedCalibrator, logit: number, group?: string): Calibrated {
  const own = group === undefined ? undefined : calibrator.groups?.values.find(({ value }) => value === group);
  const { parameters: curve, band } = own ?? calibrator;
  const value = applyCurve(curve, logit);
  if (calibrator.kind === 'absolute') return { value, confidence: null };
  return { value, confidence: confidenceOf(band, isAntisymmetric(curve), logit, value) };
}

/** The file's text: the same calibrator, the same bytes. */
export const formatCalibrator = (calibrator: Calibrator): string =>
  formatDocument(calibratorDocument.schema.parse(calibrator));
