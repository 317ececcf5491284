import * as z from 'zod';
import { parseJson } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { bandSchema, curveSchema } from '../onnx/curve.js';
import { DECISIONS } from '../onnx/manifest.js';
import { applyCurve, confidenceOf, isAntisymmetric } from './curve.js';

export const CALIBRATOR_SCHEMA = 'hpsv3/calibrator@1';

/** Methods a calibrator file may name. */
export const CALIBRATION_METHOD_IDS = ['none', 'temperature', 'platt', 'beta', 'isotonic', 'linear'] as const;
export type CalibrationMethodId = (typeof CALIBRATION_METHOD_IDS)[number];

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().nonnegative();
const estimate = z.strictObject({
  value: z.number().nullable(),
  ci: z.tuple([z.number(), z.number()]).nullable(),
});
const figures = z.record(z.string(), estimate);

const groupSchema = z.strictObject({
  value: z.string(),
  n: count,
  clusters: count,
  /** Share of the group's own clusters in the fit; 0 where it takes the curve of the whole. */
  ownShare: z.number().min(0).max(1),
  parameters: curveSchema,
  band: bandSchema.nullable(),
});

/** A calibrator file: what a score means, and how well that is known. */
export const calibratorSchema = z.strictObject({
  schema: z.literal(CALIBRATOR_SCHEMA),
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
  /** Name and version. */
  tool: z.string(),
});

export type Calibrator = z.infer<typeof calibratorSchema>;

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
export function formatCalibrator(calibrator: Calibrator): string {
  return `${JSON.stringify(calibratorSchema.parse(calibrator), null, 2)}\n`;
}

/**
 * Reads a calibrator file.
 *
 * @param name - what errors call it
 * @throws HpsError CONFIG_INVALID for a file that is no calibrator, or of a later version
 */
export function parseCalibrator(bytes: Uint8Array, name: string): Calibrator {
  const parsed = calibratorSchema.safeParse(parseJson(bytes, { name, maxBytes: LIMITS.calibratorBytes }));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue.path.join('.') || 'the root';
  throw new HpsError('CONFIG_INVALID', `${name}: not a calibrator: ${place}: ${issue.message}`, {
    hint: 'Give a file that `hpsv3 calibrate` wrote.',
    details: { file: name, at: place },
  });
}
