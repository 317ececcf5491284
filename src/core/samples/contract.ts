import { didYouMean } from '../bytes/suggest.js';
import { HpsError } from '../errors.js';
import {
  type ContractInput,
  type Decision,
  inputSchema,
  type Manifest,
  MODALITIES,
  type Modality,
} from '../onnx/manifest.js';
import * as z from '../zod.js';

/** What the scorer must know of a model: from its manifest, or from a contract file for a model of another tool. */
export interface ScoringContract {
  readonly modality: Modality;
  readonly mode: 'item' | 'pair';
  readonly decision: Decision;
  /** Of one item: for a pair file those of the left side, without the `left_` of their names. */
  readonly inputs: readonly ContractInput[];
  /** Session options the file needs to stay exact. */
  readonly session: Readonly<Record<string, string>>;
  readonly calibrator: Manifest['calibrator'];
  /** Where a model of another tool has its score; null for one with a manifest, whose outputs have our names. */
  readonly score: ForeignScore | null;
}

const foreignScoreSchema = z.strictObject({
  output: z.string().min(1),
  /** Column of an output [batch, columns]. */
  column: z.number().int().nonnegative().default(0),
  /** Lowest and highest value: they become utility -1 and 1. Without it the utility is the tanh of the value. */
  range: z
    .tuple([z.number(), z.number()])
    .refine(([low, high]) => low < high, 'must increase')
    .optional(),
});

/** How the score of an item is read from a model of another tool. */
export type ForeignScore = z.infer<typeof foreignScoreSchema>;

/** The input contract of a model without a manifest, in the words of the manifest, and where its score is. */
export const contractSchema = z.strictObject({
  modality: z.enum(MODALITIES),
  inputs: z.array(inputSchema).min(1),
  score: foreignScoreSchema,
  session: z.record(z.string(), z.string()).default({}),
});

/** What a contract file holds, and its base name for errors. */
export interface ContractFile {
  readonly name: string;
  readonly value: unknown;
}

/**
 * The contract of a model of another tool, from the content of a contract file.
 * @param name - what errors call the file
 * @throws HpsError CONFIG_INVALID
 */
export function parseContract(value: unknown, name: string): ScoringContract {
  const parsed = contractSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    if (issue.code === 'unrecognized_keys' && issue.path.length === 0) {
      const [key] = issue.keys;
      throw new HpsError('CONFIG_INVALID', `${name}: unknown key ${key}`, {
        hint: didYouMean(key, Object.keys(contractSchema.shape)),
        details: { file: name, key },
      });
    }
    const at = issue.path.join('.') || 'the root';
    throw new HpsError('CONFIG_INVALID', `${name}: ${at}: ${issue.message}`, {
      hint: 'A contract has modality, inputs (name, dtype, shape, preprocess, as in a manifest) and score (output, column, range).',
      details: { file: name, key: at },
    });
  }
  return { ...parsed.data, mode: 'item', decision: 'utility-difference', calibrator: null };
}

/**
 * The contract a manifest states.
 * @param file - what errors call the model
 * @throws HpsError ONNX_UNSUPPORTED for a head, which reads embeddings and no media
 */
export function contractOf(manifest: Manifest, file: string): ScoringContract {
  const { mode, modality, decision, inputs, session, calibrator } = manifest;
  if (mode === 'head' || modality === null) {
    throw new HpsError('ONNX_UNSUPPORTED', `${file}: has no encoder (mode ${mode}), so it reads embeddings only`, {
      hint: 'Export the checkpoint with `mode` pair or `mode` item to score media.',
      details: { file, mode },
    });
  }
  return {
    modality,
    mode,
    decision,
    inputs: mode === 'item' ? inputs : leftInputs(inputs),
    session,
    calibrator,
    score: null,
  };
}

const LEFT = 'left_';

const leftInputs = (inputs: readonly ContractInput[]): ContractInput[] =>
  inputs
    .filter(({ name }) => name.startsWith(LEFT))
    .map((input) => ({ ...input, name: input.name.slice(LEFT.length) }));
