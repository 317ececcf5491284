import { calibratorDocument } from '../calibration/calibrator.js';
import { defineDocument } from '../documents/define.js';
import { count, sha256 } from '../documents/parts.js';
import { LIMITS } from '../limits.js';
import { bandSchema, curveSchema } from '../onnx/curve.js';
import { manifestDocument } from '../onnx/manifest.js';
import * as z from '../zod.js';
import { cardTextFormat, dataTextFormat } from './card-text.js';
import { evaluationSchema, exportSchema, profileSchema, quantizationSchema } from './documents.js';
import { exampleSchema } from './examples.js';
import { explanationFactsSchema } from './explanation-facts.js';

const manifest = manifestDocument.schema.shape;

/** What a file is to a card. */
export const FILE_ROLES = [
  'model',
  'external-data',
  'evaluation',
  'scores',
  'labels',
  'baseline',
  'calibrator',
  'quantization',
  'export',
  'profile',
  'explanation',
  'card',
  'data',
] as const;
export type FileRole = (typeof FILE_ROLES)[number];

/** A file that numbers of the card come from. */
const boundFileSchema = z.strictObject({
  /** Role and number: `evaluation-1`. */
  id: z.string(),
  role: z.enum(FILE_ROLES),
  /** Base name. */
  name: z.string(),
  sha256,
  bytes: count,
  /** From the card's folder, with `/`; null where only the hash is known here. */
  path: z
    .string()
    .refine((path) => !/^([/\\]|[A-Za-z]:)|\\|\0/.test(path), 'must be relative')
    .nullable(),
});
export type BoundFile = z.infer<typeof boundFileSchema>;

const modelSchema = z.strictObject({
  file: z.string(),
  sha256,
  /** Of all its files together. */
  bytes: count,
  externalData: z.array(z.strictObject({ name: z.string(), sha256, bytes: count })),
  opset: count,
  nodes: count,
  parameters: count,
  /** Nodes by operator, most frequent first. */
  operators: z.record(z.string(), count),
  architecture: z.string().nullable(),
  modality: z.string().nullable(),
  mode: z.string().nullable(),
  dtype: z.string().nullable(),
  decision: z.string().nullable(),
  /** The preprocessing contract. */
  inputs: manifest.inputs,
  outputs: manifest.outputs,
  session: z.record(z.string(), z.string()),
  embeddedCalibrator: z
    .strictObject({
      method: z.string(),
      n: count,
      clusters: count,
      dataSha256: sha256,
      parameters: curveSchema,
      band: bandSchema.nullable(),
    })
    .nullable(),
  lineage: manifest.lineage,
});
export type ModelFacts = z.infer<typeof modelSchema>;

/** How surely an evaluation is one of the card's model. */
export const BINDINGS = ['model', 'before-calibration', 'unnamed', 'scorer'] as const;

const evaluationFactsSchema = z.strictObject({
  /** `id` of the bound report; its figures are below as they stand there. */
  file: z.string(),
  /** `model`: the scores name it; `before-calibration`: they name the file a calibrator was put into; else nobody names one. */
  binding: z.enum(BINDINGS),
  /** Whether a calibrator was fitted to these very labels: its probabilities are then not judged by held-out ones. */
  inSample: z.boolean(),
  /** Ids of the bound files that its figures can be computed from again. */
  from: z.array(z.string()),
  /** Index into `datasets`; null where nobody described the data. */
  dataset: count.nullable(),
  report: evaluationSchema,
});
export type EvaluationFacts = z.infer<typeof evaluationFactsSchema>;

const calibrationFactsSchema = z.strictObject({
  file: z.string(),
  /** Index into `datasets`; null where nobody described the data. */
  dataset: count.nullable(),
  calibrator: calibratorDocument.schema,
});

const quantizationFactsSchema = z.strictObject({
  file: z.string(),
  /** Whether the card's model is the quantized file, or the one it was made from. */
  modelIs: z.enum(['quantized', 'source']),
  report: quantizationSchema,
});

/** One example of what a score means. */
const meaningSchema = z.strictObject({
  /** A typical pair logit: the size that half of the judged pairs stay under; null where it is made up. */
  logit: z.number(),
  origin: z.enum(['typical', 'made-up']),
  probability: z.number(),
  /** Lower end of the band for the winner. */
  confidence: z.number().nullable(),
  calibrated: z.boolean(),
});

/** A part that is missing, where it belongs and in words. */
const gapSchema = z.strictObject({ section: z.string(), text: z.string() });

const fields = z.strictObject({
  /** Name and version of what wrote the card. */
  tool: z.string(),
  name: z.string(),
  /** What is described: an .onnx file, or a scorer that no file was given of. */
  subject: z.enum(['model', 'scorer']),
  model: modelSchema.nullable(),
  files: z.array(boundFileSchema),
  text: cardTextFormat.schema,
  datasets: dataTextFormat.schema.shape.datasets.or(z.array(z.never())),
  evaluations: z.array(evaluationFactsSchema),
  calibration: calibrationFactsSchema.nullable(),
  quantization: quantizationFactsSchema.nullable(),
  export: z.strictObject({ file: z.string(), report: exportSchema }).nullable(),
  profile: z.strictObject({ file: z.string(), report: profileSchema }).nullable(),
  meaning: meaningSchema.nullable(),
  /** Judged rows and what came out; since version 2, where the rows are in the card's folder. */
  examples: z.array(exampleSchema).max(3).optional(),
  /** Since version 3. */
  explanation: explanationFactsSchema.optional(),
  gaps: z.array(gapSchema),
  /** Of the pictures beside the Markdown: PNG, or SVG where the machine had no fonts to draw them with. */
  pictures: z.enum(['png', 'svg']),
});

/** `card.json`. */
export const cardDocument = defineDocument('hpsv3/card@3', fields, {
  what: 'a card',
  made: 'hpsv3 modelcard',
  limit: LIMITS.jsonBytes,
});

/** Everything a card says, in one place: its renderings add words and no facts. */
export type CardFacts = z.output<typeof cardDocument.schema>;
export type Gap = CardFacts['gaps'][number];
export type Meaning = NonNullable<CardFacts['meaning']>;
