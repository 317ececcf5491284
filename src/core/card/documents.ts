import type { JsonValue } from '../bytes/json.js';
import { calibratorDocument } from '../calibration/calibrator.js';
import { AUXILIARY } from '../data/rows.js';
import { schemaOf } from '../documents/define.js';
import { count, interval, sha256 } from '../documents/parts.js';
import { ensembleDocument } from '../ensemble/ensemble-file.js';
import { HpsError } from '../errors.js';
import { profileDocument } from '../profiling/schema.js';
import * as z from '../zod.js';

/** Reports of our commands as a card reads them: what it needs of each, everything else left out. */

export const estimateSchema = z.object({ value: z.number().nullable(), ci: interval.nullable() });
const figures = z.record(z.string(), estimateSchema);
const input = z.object({ name: z.string(), sha256 });
const bins = z.array(z.object({ weight: z.number(), forecast: z.number(), observed: estimateSchema }));
const unmatched = z.object({ count });
const rowsOf = z.object({ rows: count, badRows: count, unlabelled: count, otherKind: count });

const comparison = z.object({
  model: estimateSchema,
  baseline: estimateSchema,
  difference: z.number().nullable(),
  ci: interval.nullable(),
  pValue: z.number().nullable(),
  holm: z.number().nullable(),
  verdict: z.enum(['better', 'worse', 'undecided']),
});

const pick = z.object({
  n: count,
  prompts: count,
  humanScore: estimateSchema,
  winRate: estimateSchema,
  regret: estimateSchema,
  captured: estimateSchema,
  baseline: comparison.extend({ prompts: count }).optional(),
});

const bias = z.object({
  id: z.string(),
  more: z.string(),
  less: z.string(),
  unit: z.string(),
  rows: count,
  differing: count,
  bias: estimateSchema,
  pValue: z.number().nullable(),
  holm: z.number().nullable(),
  score: estimateSchema,
  people: estimateSchema,
  claim: z.string().nullable(),
  unclear: z.string().nullable(),
});

const diagnosis = z.object({
  level: z.number(),
  rows: count,
  clusters: count,
  biases: z.array(bias),
  lengthControlled: z.object({ accuracy: estimateSchema, longer: estimateSchema, shorter: estimateSchema }).nullable(),
  media: z.boolean(),
  unreadable: z.object({ count, examples: z.array(z.string()) }),
});

/** What `hpsv3 evaluate --out` writes. */
export const evaluationSchema = z.object({
  kind: z.enum(['pair', 'absolute']),
  n: count,
  clusters: count,
  calibrated: z.boolean(),
  /** Absent from reports of 0.1.0. */
  fittedOnTheseLabels: z.boolean().optional(),
  overall: figures,
  ceiling: estimateSchema.nullable(),
  groups: z.array(
    z.object({
      by: z.string(),
      value: z.string(),
      n: count,
      clusters: count,
      metrics: figures.nullable(),
      suppressed: z.boolean(),
    }),
  ),
  gaps: z.array(
    z.object({
      by: z.string(),
      value: z.string(),
      metric: z.string(),
      difference: estimateSchema,
      pValue: z.number().nullable(),
      holm: z.number().nullable(),
    }),
  ),
  worst: z.array(z.object({ by: z.string(), value: z.string(), metric: z.string(), estimate: estimateSchema })),
  baseline: z
    .object({
      file: z.string(),
      n: count,
      clusters: count,
      comparisons: z.record(z.string(), comparison),
      verdict: z.enum(['better', 'worse', 'undecided']),
    })
    .optional(),
  bestOf: z
    .object({
      from: z.enum(['ratings', 'comparisons']),
      items: count,
      prompts: count,
      incomplete: count,
      picks: z.array(pick),
    })
    .optional(),
  suite: z
    .object({
      name: z.string(),
      source: z.string().nullable(),
      score: estimateSchema,
      sections: z.array(
        z.object({
          name: z.string(),
          weight: z.number(),
          score: estimateSchema,
          subsets: z.array(
            z.object({
              name: z.string(),
              metric: z.string(),
              rows: count,
              prompts: count,
              weight: z.number(),
              score: estimateSchema,
            }),
          ),
        }),
      ),
      missing: z.array(z.string()),
    })
    .optional(),
  aux: z
    .partialRecord(
      z.enum(AUXILIARY),
      z.object({ n: count, clusters: count, positives: z.number().optional(), metrics: figures }),
    )
    .optional(),
  diagnosis: diagnosis.optional(),
  reliability: z.object({ before: bins.nullable(), after: bins.nullable() }),
  distributions: z.object({
    of: z.enum(['probability-of-majority', 'prediction']),
    low: z.number(),
    high: z.number(),
    rows: z.array(
      z.object({
        by: z.string().nullable(),
        value: z.string().nullable(),
        n: count,
        counts: z.array(count).max(100),
        quantiles: z.array(z.number()).length(5),
      }),
    ),
  }),
  minGroup: count,
  modelSha256: sha256.nullable(),
  inputs: z.object({
    scores: input,
    labels: input,
    calibrator: input.nullable(),
    baseline: input.nullable(),
  }),
  options: z.object({
    by: z.array(z.string()),
    bestOf: z.array(count).optional(),
    diagnose: z.literal(true).optional(),
    resamples: count.nullable(),
    seed: count,
  }),
  resamples: count,
  fewerResamples: z.record(z.string(), count),
  rows: z.object({
    labels: rowsOf,
    scores: rowsOf,
    matched: count,
    labelsOnly: unmatched,
    scoresOnly: unmatched,
    failed: count,
  }),
  tool: z.string(),
});
export type Evaluation = z.infer<typeof evaluationSchema>;

const lineage = z.array(z.object({ step: z.string(), inputs: z.array(input) }));
const check = z.object({ name: z.string(), passed: z.boolean(), detail: z.string() });

const gate = z.object({
  passed: z.boolean(),
  level: z.enum(['off', 'quick', 'full']),
  reference: z.enum(['golden', 'source', 'members', 'recorded', 'none']),
  pairs: count.nullable(),
  flips: count.nullable(),
  flipRate: z.number().nullable(),
  kendall: z.number().nullable(),
  maxScoreDiff: z.number().nullable(),
  orderBias: z.number().optional(),
  decisions: z
    .object({
      confusion: z.object({
        leftLeft: count,
        leftRight: count,
        rightLeft: count,
        rightRight: count,
        even: count,
      }),
      byMargin: z.array(z.object({ low: z.number(), high: z.number(), pairs: count, flips: count })).max(100),
    })
    .optional(),
  checks: z.array(check),
  notes: z.array(z.string()),
  peakRssBytes: z.number(),
});

/** What `hpsv3 quantize` writes beside the model. */
export const quantizationSchema = z.object({
  scheme: z.string(),
  out: z.string(),
  sha256,
  bytes: count,
  ratio: z.number(),
  latency: z.object({ float: z.number(), quantized: z.number(), ratio: z.number() }).nullable(),
  flips: count.nullable(),
  flipRate: z.number().nullable(),
  kendall: z.number().nullable(),
  maxLogitDiff: z.number().nullable(),
  accuracy: z.object({ pairs: count, float: z.number(), quantized: z.number(), pValue: z.number() }).optional(),
  bestOf: z
    .object({
      picks: z.array(
        z.object({
          n: count,
          prompts: count,
          float: estimateSchema,
          quantized: estimateSchema,
          difference: z.number().nullable(),
          ci: interval.nullable(),
        }),
      ),
    })
    .optional(),
  quantized: count,
  excluded: z.array(z.object({ node: z.string(), why: z.string() })),
  gate: gate.nullable(),
  lineage,
  warnings: z.array(z.string()),
});
export type Quantization = z.infer<typeof quantizationSchema>;

/** What `hpsv3 export` writes beside the model. */
export const exportSchema = z.object({
  out: z.string(),
  sha256,
  bytes: count,
  opset: count,
  architecture: z.string(),
  modality: z.string().nullable(),
  mode: z.string(),
  dtype: z.string(),
  nodes: count,
  parameters: count,
  parity: z.object({
    golden: z.object({ maxAbsDiff: z.number(), outputs: z.record(z.string(), z.json()) }).nullable(),
  }),
  gate: gate.nullable(),
  lineage,
  warnings: z.array(z.string()),
});
export type ExportDocument = z.infer<typeof exportSchema>;

const whole = profileDocument.schema.shape;

/** What `hpsv3 profile` writes, without the kernels one by one and the settings that are not recommended. */
export const profileSchema = z.object({
  schema: whole.schema,
  model: whole.model,
  machine: whole.machine,
  noise: whole.noise,
  coldStart: whole.coldStart,
  latency: whole.latency,
  memory: whole.memory,
  counts: z.object({ macs: count, parameters: count }),
  time: z.object({
    wallMs: z.number(),
    operators: z.array(z.object({ operator: z.string(), kernels: count, ms: z.number(), share: z.number() })),
  }),
  sweep: z.object({ recommended: whole.sweep.shape.recommended }),
  baseline: whole.baseline,
  warnings: z.array(z.string()),
});
export type ProfileDocument = z.infer<typeof profileSchema>;

const member = z.object({ file: z.string(), weight: z.number() });

/** What `hpsv3 ensemble --member` writes beside the model. */
export const mergeSchema = z.object({
  out: z.string(),
  sha256,
  bytes: count,
  members: z.array(member),
  slope: z.number(),
  modality: z.string().nullable(),
  mode: z.string(),
  nodes: count,
  shared: z.object({ initializers: count, bytes: count }),
  gate,
  warnings: z.array(z.string()),
});

const change = z.object({
  before: z.number().nullable(),
  after: z.number().nullable(),
  difference: z.number().nullable(),
  ci: interval.nullable(),
  verdict: z.enum(['better', 'worse', 'undecided']),
});
const changes = z.object({ pairs: count, clusters: count, accuracy: change, auc: change });

/** What `hpsv3 finetune` writes beside the model. */
export const finetuneSchema = z.object({
  out: z.string(),
  sha256,
  bytes: count,
  modality: z.string(),
  trained: z.object({ tensors: count, parameters: count, selection: z.string() }),
  steps: count,
  bestStep: count.nullable(),
  ended: z.string(),
  gained: changes,
  forgotten: changes.nullable(),
  helped: z.boolean(),
  gate: gate.nullable(),
  warnings: z.array(z.string()),
});

/** What `hpsv3 calibrate --embed` writes beside the model. */
export const embeddingSchema = z.object({
  method: z.string(),
  n: count,
  clusters: count,
  before: figures,
  after: figures,
  reduction: figures,
  choice: z.array(z.object({ method: z.string() })),
  model: z.object({ out: z.string(), sha256, bytes: count }).nullable(),
  gate: gate.nullable(),
  warnings: z.array(z.string()),
});

/** The kinds of documents, each with the keys that tell it from the others. */
export const DOCUMENT_KINDS = {
  evaluation: { schema: evaluationSchema, keys: ['overall', 'groups', 'distributions'], made: 'hpsv3 evaluate' },
  calibrator: {
    schema: calibratorDocument.schema,
    keys: ['schema', 'parameters', 'dataSha256'],
    made: 'hpsv3 calibrate',
  },
  quantization: { schema: quantizationSchema, keys: ['scheme', 'ratio', 'quantized'], made: 'hpsv3 quantize' },
  profile: { schema: profileSchema, keys: ['coldStart', 'latency', 'peaks'], made: 'hpsv3 profile' },
  export: { schema: exportSchema, keys: ['architecture', 'parity', 'opset'], made: 'hpsv3 export' },
  ensemble: { schema: ensembleDocument.schema, keys: ['members', 'slope', 'missing'], made: 'hpsv3 ensemble' },
  merge: { schema: mergeSchema, keys: ['members', 'slope', 'shared'], made: 'hpsv3 ensemble' },
  finetune: { schema: finetuneSchema, keys: ['trained', 'gained', 'helped'], made: 'hpsv3 finetune' },
  embedding: { schema: embeddingSchema, keys: ['reduction', 'choice', 'model'], made: 'hpsv3 calibrate' },
} as const;
export type DocumentKind = keyof typeof DOCUMENT_KINDS;

/** A report among others, by its path. */
export type FoundDocument = {
  [K in DocumentKind]: {
    readonly path: string;
    readonly kind: K;
    readonly report: z.infer<(typeof DOCUMENT_KINDS)[K]['schema']>;
  };
}[DocumentKind];

/** Kinds by the schema that their documents carry. */
const KIND_OF: Readonly<Record<string, DocumentKind>> = {
  evaluation: 'evaluation',
  calibrator: 'calibrator',
  quantization: 'quantization',
  profile: 'profile',
  export: 'export',
  ensemble: 'ensemble',
  'ensemble-merge': 'merge',
  finetune: 'finetune',
  calibration: 'embedding',
};

/** Which report of ours a JSON value is: by its schema, or by its keys where hpsv3 0.1.0 wrote it without; undefined for another. */
export function documentKind(value: JsonValue): DocumentKind | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const carried = schemaOf(value);
  if (carried) return KIND_OF[carried.name];
  const kinds = Object.entries(DOCUMENT_KINDS) as [DocumentKind, { readonly keys: readonly string[] }][];
  return kinds.find(([, { keys }]) => keys.every((key) => Object.hasOwn(value, key)))?.[0];
}

/**
 * A report of the kind that is due.
 *
 * @throws HpsError CONFIG_INVALID for another document, or one that breaks its schema (say, of an older version)
 */
export function parseDocument<K extends DocumentKind>(
  kind: K,
  value: JsonValue,
  name: string,
): z.infer<(typeof DOCUMENT_KINDS)[K]['schema']> {
  const { schema, made } = DOCUMENT_KINDS[kind];
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data as z.infer<(typeof DOCUMENT_KINDS)[K]['schema']>;
  const [issue] = parsed.error.issues;
  const is = documentKind(value);
  const place = issue.path.join('.') || 'the root';
  throw new HpsError(
    'CONFIG_INVALID',
    `${name}: not a report of ${made}: ${is !== undefined && is !== kind ? `it is one of ${DOCUMENT_KINDS[is].made}` : `${place}: ${issue.message}`}`,
    { hint: `Give a report that \`${made}\` of this version wrote.`, details: { file: name, at: place } },
  );
}
