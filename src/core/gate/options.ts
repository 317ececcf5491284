import { counter, type Run } from '../run.js';
import type { ModelLimits } from '../runtime/child.js';
import type { OptimizationLevel } from '../runtime/session.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Budget, type BudgetKind, withDefaults } from './budget.js';
import type { MemberModel } from './members.js';
import type { GateLevel } from './report.js';

export type GateReference =
  /** Outputs of the reference implementation; `atol` by the checkpoint's dtype (GOLDEN_ATOL). */
  | {
      readonly kind: 'golden';
      readonly file: string;
      readonly tensors: ReadonlyMap<string, Tensor>;
      readonly atol: number;
    }
  /** Another model that must decide alike. */
  | { readonly kind: 'model'; readonly path: string }
  /** Models whose logits, each times its coefficient, add up to the candidate's. */
  | { readonly kind: 'ensemble'; readonly members: readonly MemberModel[] }
  | { readonly kind: 'none' };

export interface GateOptions extends Run {
  /** Path of the model that is judged. */
  readonly candidate: string;
  readonly reference: GateReference;
  readonly level: GateLevel;
  /** What replaces the defaults of `budgetKind`. */
  readonly budget?: Budget;
  /** `source` by default for a model, `golden` and `none` for those. */
  readonly budgetKind?: BudgetKind;
  /** Of the probes; the same seed gives the same probes. Default `0`. */
  readonly seed?: string;
  /** Inputs of the user's own instead of probes. */
  readonly inputs?: { readonly file: string; readonly tensors: ReadonlyMap<string, Tensor> };
  /** Look for the first value inside the graph that moved, on failure. Default true; of no use where every layer moves. */
  readonly locate?: boolean;
  /** Levels of optimisation compared with `all` in a full gate. Default disabled and basic. */
  readonly levels?: readonly OptimizationLevel[];
  /** 1 for results that do not depend on the number of cores. */
  readonly threads?: number;
  readonly limits?: ModelLimits;
  /** Runs models in segments of so many bytes of weights; by default those alone that do not fit into memory. */
  readonly segmentBytes?: number;
}

/** The bounds of `budgetKind`, with what replaces them. */
export function budgetOf({ reference, budgetKind, budget }: GateOptions): Budget {
  return withDefaults(budgetKind ?? (reference.kind === 'model' ? 'source' : reference.kind), budget);
}

export const seedOf = ({ seed = '0' }: GateOptions): string => seed;

/** Counts the batches of a step. */
export const progressOf = (run: Run, step: string): (() => void) => counter(run, `Gate, ${step}`, 'batches');
