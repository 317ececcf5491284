import { AGGREGATES } from '../data/score-windows.js';
import { type DocumentOf, defineDocument } from '../documents/define.js';
import { count, estimate, interval, positive, sha256, share } from '../documents/parts.js';
import { DECISIONS, MODALITIES } from '../onnx/manifest-names.js';
import * as z from '../zod.js';
import { VERDICTS } from './checks/verdicts.js';
import { METHODS } from './methods/method.js';

const side = z.enum(['item', 'left', 'right']);

const mapSchema = z.strictObject({
  side,
  kind: z.enum(['image', 'text', 'audio', 'video']),
  /** Name of the model's input. */
  input: z.string(),
  /** Whether numbers below 0 speak against f. */
  signed: z.boolean(),
  /** Of the map: [height, width], [tokens], [bands, windows], [frames] or [frames, height, width]. */
  shape: z.array(positive),
  /** Sum of all that is attributed to the part; null where the method's numbers add up to nothing. */
  sum: z.number().nullable(),
  lowest: z.number(),
  highest: z.number(),
  /** The words, regions, bands or frames that weigh most. */
  top: z.array(z.strictObject({ name: z.string(), value: z.number(), special: z.literal(true).optional() })),
  /** Files with the map, and what it was summed up from; null where there is none. */
  files: z
    .strictObject({ json: z.string(), npy: z.string(), attribution: z.string().nullable(), png: z.string().nullable() })
    .nullable(),
});

const completenessSchema = z.strictObject({
  sum: z.number(),
  /** f(x) - f(baseline). */
  expected: z.number(),
  gap: z.number(),
  /** Whether the gap is at most 1 % of the expected sum. */
  complete: z.boolean(),
  nodes: positive.nullable(),
});

const curveSchema = z.strictObject({
  /** Mean of f, towards the decision, over the steps; the same of random orders. */
  auc: z.number(),
  randomAuc: z.number(),
  /** By how much the map's order is better, with its interval. */
  better: z.number(),
  ci: interval,
  passed: z.boolean(),
});

/** How far the method may be trusted on this sample. */
const checkSchema = z.strictObject({
  verdict: z.enum(VERDICTS),
  reasons: z.array(z.string()),
  cascade: z.strictObject({
    stages: z.array(z.strictObject({ share, spearman: z.number().nullable() })),
    insensitive: z.boolean(),
  }),
  deletion: curveSchema,
  insertion: curveSchema,
  road: z
    .strictObject({ curve: z.array(z.strictObject({ share, most: z.number(), least: z.number() })), gain: z.number() })
    .nullable(),
  infidelity: z.number(),
  unexplained: z.number(),
  sensitivity: z.number().nullable(),
});

const windowSchema = z.strictObject({
  /** Seconds from the beginning, or characters of a text. */
  start: z.number().nonnegative(),
  end: z.number().nonnegative(),
  /** The utility logit of the window alone. */
  logit: z.number(),
});

const curveOfWindows = {
  count: positive,
  /** The window of the lowest logit: the one that is explained. */
  worst: windowSchema,
  /** The window of the highest logit. */
  best: windowSchema,
  curve: z.array(windowSchema),
};

const ruleOfWindows = {
  /** Of the whole, by the rule. */
  logit: z.number(),
  /** Lengths, as `8s` or `64t` (tokens). */
  window: z.string(),
  stride: z.string(),
  aggregate: z.enum(AGGREGATES),
  /** Of a fitted rule. */
  sharpness: z.number().optional(),
  /** Of every start and end. */
  unit: z.enum(['seconds', 'characters']),
  /** What the logit would be of other stretches of the same material; null where it is not known. */
  interval: z.strictObject({ level: share, low: z.number(), high: z.number(), block: positive }).nullable(),
};

/** Scores of the windows of an item, or of both sides of a pair, as `hpsv3 score` gives them. */
export const windowsSchema = z.union([
  z.strictObject({ ...ruleOfWindows, ...curveOfWindows }),
  z.strictObject({
    ...ruleOfWindows,
    left: z.strictObject(curveOfWindows),
    right: z.strictObject(curveOfWindows),
  }),
]);

const sampleSchema = z.strictObject({
  id: z.string(),
  kind: z.enum(['pair', 'item']),
  /** f: the pair logit, or the utility logit of an item; with `windows`, of the worst window of each side. */
  logit: z.number(),
  /** f of the baseline; null where the method does not compute it. */
  baselineLogit: z.number().nullable(),
  completeness: completenessSchema.nullable(),
  truncated: z.boolean(),
  maps: z.array(mapSchema),
  /** With `--check`. */
  check: checkSchema.optional(),
  /** With `--window`: the scores of all windows, of which the worst is explained as an item of its own. */
  windows: windowsSchema.optional(),
  warnings: z.array(z.string()),
});

const summarySchema = z.strictObject({
  /** `all`, or a group as `NAME=VALUE`. */
  group: z.string(),
  samples: positive,
  /** How often something weighs most for the decision, and its mean share of all that is attributed. */
  units: z.array(
    z.strictObject({
      kind: z.enum(['image', 'text', 'audio', 'video']),
      name: z.string(),
      times: count,
      meanShare: z.number(),
    }),
  ),
});

export const explanationDocument = defineDocument(
  'hpsv3/explanation@1',
  z.strictObject({
    tool: z.string(),
    model: z.strictObject({
      file: z.string(),
      sha256,
      modality: z.enum(MODALITIES),
      decision: z.enum(DECISIONS),
    }),
    method: z.enum(METHODS),
    settings: z.record(z.string(), z.number().nullable()),
    samples: z.array(sampleSchema),
    /** Of the rows that were checked, with `--check`. */
    faithfulness: z
      .strictObject({
        samples: positive,
        verdicts: z.strictObject({ trustworthy: count, doubtful: count, untrustworthy: count }),
        /** Mean of `better` over the rows, with its bootstrap interval over prompts; null where there are too few. */
        deletion: estimate,
        insertion: estimate,
        unexplained: z.number(),
      })
      .nullable(),
    /** Of a file of rows; empty for a single sample. */
    summary: z.array(summarySchema),
    /** Rows that could not be explained. */
    failed: z.array(
      z.strictObject({ line: positive, id: z.string().nullable(), code: z.string(), message: z.string() }),
    ),
  }),
  { what: 'an explanation', made: 'hpsv3 explain' },
);

export type ExplanationDocument = DocumentOf<typeof explanationDocument>;
export type ExplainedSample = ExplanationDocument['samples'][number];
export type ExplainedWindows = NonNullable<ExplainedSample['windows']>;
export type MapFacts = ExplainedSample['maps'][number];
export type GroupSummary = ExplanationDocument['summary'][number];
