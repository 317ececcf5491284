import { type DocumentOf, defineDocument } from '../documents/define.js';
import { count, sha256 } from '../documents/parts.js';
import * as z from '../zod.js';
import { TARGET_IDS } from './targets.js';

export const BUNDLE_FILE = 'bundle.json';
export const SAMPLES_FILE = 'sample_inputs.json';
export const WEIGHTS_FOLDER = 'weights';
export const CARD_FOLDER = 'card';

const path = z
  .string()
  .refine((text) => text.split('/').every((part) => !['', '.', '..'].includes(part)) && !/[\\:\0]/.test(text), {
    error: 'must be a plain path in the folder',
  });

const sampleSchema = z.strictObject({
  id: z.string(),
  /** Of the model that scored it. */
  model: sha256,
  logit: z.number(),
  score: z.number(),
  winner: z.enum(['left', 'right', 'tie', 'undecided']).optional(),
});
export type SampleScore = z.infer<typeof sampleSchema>;

/** Where scores were recorded: where all of it is the same, the same bits come out. */
const recordedSchema = z.strictObject({
  platform: z.string(),
  arch: z.string(),
  cpu: z.string(),
  onnxruntime: z.string(),
});
export type RecordedOn = z.infer<typeof recordedSchema>;

const fields = z.strictObject({
  tool: z.string(),
  target: z.enum(TARGET_IDS),
  models: z
    .array(
      z.strictObject({
        file: path,
        sha256,
        modality: z.string(),
        decision: z.string(),
        calibrated: z.boolean(),
        externalData: z.array(z.strictObject({ file: path, sha256 })),
      }),
    )
    .min(1),
  calibrator: z.strictObject({ file: path, sha256 }).nullable(),
  card: z.strictObject({ sha256, model: sha256 }),
  license: z.string().nullable(),
  natives: z.array(
    z.strictObject({
      file: path,
      sha256,
      package: z.string(),
      version: z.string(),
      license: z.string(),
      /** Of the file as its vendor made it, where parts that are never loaded were taken out. */
      vendorSha256: sha256.nullable(),
    }),
  ),
  samples: z.strictObject({
    recorded: recordedSchema,
    tolerance: z.number().positive(),
    scores: z.array(sampleSchema).min(1),
  }),
  /** Of all files of the release together. */
  files: count,
});

/** `bundle.json`: what a release is made of, and what its samples scored when it was made. */
export const bundleDocument = defineDocument('hpsv3/bundle@1', fields, { what: 'a release', made: 'hpsv3 release' });
export type Bundle = DocumentOf<typeof bundleDocument>;
