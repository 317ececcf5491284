import { HpsError } from '../errors.js';
import { type Manifest, TOKENIZER_KEY } from '../onnx/manifest.js';
import { metadataOf, type OnnxModel } from '../onnx/model.js';

/** A model that is to become part of an ensemble. */
export interface MemberGraph {
  /** What errors call it: the file's base name. */
  readonly file: string;
  readonly model: OnnxModel;
  readonly manifest: Manifest;
}

/** Differences named in one message. */
const MAX_DIFFERENCES = 5;

/**
 * Checks that the members take the same inputs and decide alike, so that one graph can feed them all.
 *
 * @throws HpsError MODELS_INCOMPARABLE naming two files and what differs between them
 */
export function assertOneContract(members: readonly MemberGraph[]): void {
  const [first, ...others] = members;
  for (const other of others) {
    const found = differences(contractOf(first), contractOf(other));
    if (found.length === 0) continue;
    const more = found.length > MAX_DIFFERENCES ? ` and ${found.length - MAX_DIFFERENCES} more` : '';
    const shown = found.slice(0, MAX_DIFFERENCES);
    throw new HpsError(
      'MODELS_INCOMPARABLE',
      `${first.file} and ${other.file} cannot be one ensemble: ${shown.map(inWords).join('; ')}${more}`,
      {
        hint: 'Export all members for the same modality, mode, opset, preprocessing and tokenizer. Models that differ are combined by their scores: `hpsv3 batch` with each, then `hpsv3 ensemble` with the scores of both and labels of people.',
        details: { files: [first.file, other.file], differences: shown },
      },
    );
  }
}

/** All that members must have in common. */
function contractOf({ model, manifest }: MemberGraph): Tree {
  const opsets = model.opsetImport.map(({ domain, version }) => [domain || 'ai.onnx', version]);
  return {
    opset: Object.fromEntries(opsets),
    modality: manifest.modality,
    mode: manifest.mode,
    decision: manifest.decision,
    inputs: Object.fromEntries(manifest.inputs.map(({ name, ...input }) => [name, input])) as Tree,
    tokenizer: metadataOf(model, TOKENIZER_KEY) ?? null,
    session: manifest.session,
  };
}

/** The output that a model decides by. */
export const decisionOutput = ({ mode }: Manifest): 'utility_logit' | 'pair_logit' =>
  mode === 'item' ? 'utility_logit' : 'pair_logit';

type Leaf = string | number | boolean | null | undefined;
type Tree = Leaf | readonly Tree[] | { readonly [key: string]: Tree };

interface Difference {
  readonly path: string;
  readonly first: Tree;
  readonly other: Tree;
}

/** Places where two contracts differ; what one of them lacks is undefined there. */
function differences(first: Tree, other: Tree, path = ''): Difference[] {
  if (!isBranch(first) || !isBranch(other)) return first === other ? [] : [{ path, first, other }];
  const keys = [...new Set([...Object.keys(first), ...Object.keys(other)])];
  return keys.flatMap((key) =>
    differences(
      (first as Record<string, Tree>)[key],
      (other as Record<string, Tree>)[key],
      path === '' ? key : `${path}.${key}`,
    ),
  );
}

const isBranch = (tree: Tree): tree is Exclude<Tree, Leaf> => typeof tree === 'object' && tree !== null;

const inWords = ({ path, first, other }: Difference): string =>
  path === 'tokenizer'
    ? 'their tokenizers differ'
    : `${path} is ${describe(first)} in one and ${describe(other)} in the other`;

/** Longest value that is spelt out. */
const MAX_SHOWN = 60;

function describe(tree: Tree): string {
  if (tree === undefined) return 'absent';
  if (isBranch(tree) && !Array.isArray(tree)) return 'present';
  const text = typeof tree === 'string' ? tree : JSON.stringify(tree);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
