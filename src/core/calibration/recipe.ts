import type { CalibrationMethodId } from './calibrator.js';
import { CALIBRATION_METHODS } from './methods/registry.js';
import { SCALE_METHODS } from './methods/scale.js';
import { type ClusteredVotes, PAIR_TASK } from './pair-task.js';
import { SCALE_TASK, type ScoredItems } from './scale-task.js';
import type { BoundedCandidate, CalibrationTask, ClusteredRows } from './task.js';

/** What is fitted, and how, in words: another thread makes the same of them. */
export interface Recipe {
  readonly kind: 'pair' | 'absolute';
  /** The methods to choose among, from the simplest to the most flexible. */
  readonly methods: readonly CalibrationMethodId[];
  /** Both orders of a pair are one judgement. */
  readonly symmetric: boolean;
  /** No two scores in the range of the data get the same probability, where a method could do that. */
  readonly strictlyMonotone: boolean;
}

/** What a recipe stands for, with rows of its kind. */
export interface Made<Rows extends ClusteredRows> {
  readonly recipe: Recipe;
  readonly task: CalibrationTask<Rows>;
  readonly methods: readonly BoundedCandidate<Rows>[];
}

/** Of pairs. */
export function madeForPairs(recipe: Recipe): Made<ClusteredVotes> {
  const methods = CALIBRATION_METHODS.map((one) => ({
    id: one.id,
    minClusters: one.minClusters,
    fit: (rows: ClusteredVotes) => one.fit(rows, recipe),
  }));
  return { recipe, task: PAIR_TASK, methods: chosen(methods, recipe) };
}

/** Of scored items. */
export function madeForItems(recipe: Recipe): Made<ScoredItems> {
  const methods = SCALE_METHODS.map((one) => ({
    id: one.id,
    minClusters: one.minClusters,
    fit: (rows: ScoredItems) => one.fit(rows, recipe),
  }));
  return { recipe, task: SCALE_TASK, methods: chosen(methods, recipe) };
}

const chosen = <T extends { readonly id: string }>(all: readonly T[], { methods }: Recipe): T[] =>
  all.filter(({ id }) => (methods as readonly string[]).includes(id));
