import type { ContractInput } from '../../onnx/manifest.js';
import { isTextual } from '../../onnx/manifest-names.js';
import type { Run } from '../../run.js';
import type { ScoringContract } from '../../samples/contract.js';
import type { SideName } from '../decision.js';
import type { Evaluator, ItemInputs } from '../evaluator.js';
import type { PartKind } from '../parts.js';
import type { PreparedSide } from '../prepared.js';
import type { Token } from '../tokens.js';

/** A part as a method sees it that only evaluates f. */
export interface BlackBoxPart {
  readonly side: SideName;
  readonly kind: PartKind;
  readonly input: ContractInput;
  /** The inputs made of its text: ids, mask and types. */
  readonly textual: readonly ContractInput[];
  /** All inputs of its side. */
  readonly inputs: ItemInputs;
  readonly tokens: readonly Token[] | null;
}

export interface UnitAttribution {
  readonly part: BlackBoxPart;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface PerturbationResult {
  readonly attributions: readonly UnitAttribution[];
  /** f(x) */
  readonly logit: number;
}

export interface BlackBoxCase {
  readonly evaluator: Evaluator;
  readonly sides: ReadonlyMap<SideName, ItemInputs>;
  readonly parts: readonly BlackBoxPart[];
  /** Side of a patch of a picture in pixels; null for about a sixteenth of its longer side. */
  readonly patch: number | null;
  readonly run: Run;
}

const KINDS: ReadonlySet<string> = new Set<PartKind>(['image', 'text', 'audio', 'video']);

export const isPartKind = (kind: string): kind is PartKind => KINDS.has(kind);

export const blackBoxParts = ({ inputs }: ScoringContract, sides: readonly PreparedSide[]): BlackBoxPart[] =>
  sides.flatMap(({ side, inputs: own, tokens }) =>
    inputs.flatMap((input) => {
      const { kind } = input.preprocess;
      if (!isPartKind(kind)) return [];
      const textual = kind === 'text' ? inputs.filter(({ preprocess }) => isTextual(preprocess.kind)) : [];
      return [{ side, kind, input, textual, inputs: own, tokens: kind === 'text' ? tokens : null }];
    }),
  );
