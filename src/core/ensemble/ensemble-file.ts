import { defineDocument, formatDocument, type ReadDocument, readDocument } from '../documents/define.js';
import { count, estimate, fileHash, sha256, share } from '../documents/parts.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { DECISIONS } from '../onnx/manifest-names.js';
import * as z from '../zod.js';
import type { EnsembleWeights } from './weights.js';

const figures = z.strictObject({ accuracy: estimate, auc: estimate, nll: estimate });

const memberSchema = z.strictObject({
  name: z.string().min(1),
  /** Of the member's logit as it comes; the weights of all members sum to 1. */
  weight: share,
  /** Its part of the answer: the weight times the usual size of its logits, as a share of all. */
  share,
  /** The scores the ensemble was made from. */
  scores: fileHash,
  /** The model they name as theirs; null where they name none, or several. */
  model: sha256.nullable(),
});

const fields = z.strictObject({
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
      seed: count,
    })
    .nullable(),
  /** On votes that no fit had seen; null where there were no labels. */
  judged: z
    .strictObject({
      labels: fileHash,
      n: count,
      clusters: count,
      single: z.record(z.string(), figures),
      ensemble: figures,
      best: z.string(),
      verdict: z.enum(['better', 'undecided', 'worse']),
    })
    .nullable(),
  tool: z.string(),
});

/** What `hpsv3 ensemble --out ensemble.json` writes: the same inputs and options give the same bytes. */
export const ensembleDocument = defineDocument('hpsv3/ensemble@1', fields, {
  what: 'an ensemble',
  made: 'hpsv3 ensemble',
  limit: LIMITS.configBytes,
});

export const isSha256 = (text: string): boolean => sha256.safeParse(text).success;

export type EnsembleFile = z.output<typeof ensembleDocument.schema>;

/** Weights that are this far from a sum of 1 were not written by this program. */
const SUM_TOLERANCE = 1e-6;

/**
 * Reads an ensemble file.
 *
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, MADE_BY_NEWER; CONFIG_INVALID for a document that breaks the schema, names a
 *   member twice, or whose weights do not sum to 1
 */
export function readEnsemble(path: string): ReadDocument<EnsembleFile> {
  const read = readDocument(ensembleDocument, path);
  const { name, document } = read;
  const { members } = document;
  const repeated = members.find((member, i) => members.findIndex((other) => other.name === member.name) < i);
  if (repeated) throw invalid(name, `two members are named ${repeated.name}`);
  for (const key of ['weight', 'share'] as const) {
    const sum = members.reduce((total, member) => total + member[key], 0);
    if (Math.abs(sum - 1) > SUM_TOLERANCE) throw invalid(name, `the ${key}s of its members sum to ${sum}, not 1`);
  }
  return read;
}

export const formatEnsemble = (ensemble: EnsembleFile): string => formatDocument(ensemble);

/** The weights of an ensemble file, by member in its order. */
export const weightsOf = ({ members, slope }: EnsembleFile): EnsembleWeights => ({
  weights: members.map(({ weight }) => weight),
  shares: members.map(({ share: part }) => part),
  slope,
});

const invalid = (file: string, problem: string): HpsError =>
  new HpsError('CONFIG_INVALID', `${file}: ${problem}`, {
    hint: 'Write it again with `hpsv3 ensemble`.',
    details: { file },
  });
