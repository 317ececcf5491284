import * as z from 'zod';
import { parseJson } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { DECISIONS } from '../onnx/manifest.js';
import type { EnsembleWeights } from './weights.js';

/** What `hpsv3 ensemble --out ensemble.json` writes: the same inputs and options give the same bytes. */
export const ENSEMBLE_SCHEMA = 'hpsv3/ensemble@1';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const file = z.strictObject({ name: z.string(), sha256 });
const share = z.number().min(0).max(1);
const interval = z.tuple([z.number(), z.number()]).nullable();
const estimate = z.strictObject({ value: z.number().nullable(), ci: interval });
const figures = z.strictObject({ accuracy: estimate, auc: estimate, nll: estimate });

const memberSchema = z.strictObject({
  name: z.string().min(1),
  /** Of the member's logit as it comes; the weights of all members sum to 1. */
  weight: share,
  /** Its part of the answer: the weight times the usual size of its logits, as a share of all. */
  share,
  /** The scores the ensemble was made from. */
  scores: file,
  /** The model they name as theirs; null where they name none, or several. */
  model: sha256.nullable(),
});

export const ensembleSchema = z.strictObject({
  schema: z.literal(ENSEMBLE_SCHEMA),
  /** `stacking`: fitted to votes; `weights`: given by hand. */
  method: z.enum(['stacking', 'weights']),
  /** What the members' scores were decided by; null where nobody said which. */
  decision: z.enum(DECISIONS).nullable(),
  members: z.array(memberSchema).min(1).max(LIMITS.ensembleMembers),
  /** The log-odds are this times the weighted average of the members' logits. */
  slope: z.number().positive(),
  /** What a member counts where it has no score: a logit of 0. */
  missing: z.literal('zero'),
  fit: z
    .strictObject({
      penalty: z.number().positive(),
      simplex: z.boolean(),
      folds: z.int().min(2),
      seed: z.int().min(0),
    })
    .nullable(),
  /** On votes that no fit had seen; null where there were no labels. */
  judged: z
    .strictObject({
      labels: file,
      n: z.int().min(0),
      clusters: z.int().min(0),
      single: z.record(z.string(), figures),
      ensemble: figures,
      best: z.string(),
      verdict: z.enum(['better', 'undecided', 'worse']),
    })
    .nullable(),
  tool: z.string(),
});

export const isSha256 = (text: string): boolean => sha256.safeParse(text).success;

export type EnsembleFile = z.infer<typeof ensembleSchema>;

/** Weights that are this far from a sum of 1 were not written by this program. */
const SUM_TOLERANCE = 1e-6;

/**
 * An ensemble file's content.
 *
 * @param name - what errors call it
 * @throws HpsError CONFIG_INVALID for a document that breaks the schema, names a member twice, or whose weights do not sum to 1
 */
export function parseEnsemble(bytes: Uint8Array, name: string): EnsembleFile {
  const parsed = ensembleSchema.safeParse(parseJson(bytes, { name }));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(name, `${issue.path.join('.') || 'the document'}: ${issue.message}`);
  }
  const { members } = parsed.data;
  const repeated = members.find((member, i) => members.findIndex((other) => other.name === member.name) < i);
  if (repeated) throw invalid(name, `two members are named ${repeated.name}`);
  for (const key of ['weight', 'share'] as const) {
    const sum = members.reduce((total, member) => total + member[key], 0);
    if (Math.abs(sum - 1) > SUM_TOLERANCE) throw invalid(name, `the ${key}s of its members sum to ${sum}, not 1`);
  }
  return parsed.data;
}

export const formatEnsemble = (ensemble: EnsembleFile): string => `${JSON.stringify(ensemble, null, 2)}\n`;

/** The weights of an ensemble file, by member in its order. */
export const weightsOf = ({ members, slope }: EnsembleFile): EnsembleWeights => ({
  weights: members.map(({ weight }) => weight),
  shares: members.map(({ share: part }) => part),
  slope,
});

const invalid = (file: string, problem: string): HpsError =>
  new HpsError('CONFIG_INVALID', `${file}: ${problem}`, {
    hint: 'Write it again with hpsv3 ensemble --out ensemble.json.',
    details: { file },
  });
