import type { Curve } from '../onnx/curve.js';
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

export const madeForPairs = (recipe: Recipe): Made<ClusteredVotes> => ({
  recipe,
  task: PAIR_TASK,
  methods: chosen<ClusteredVotes>(CALIBRATION_METHODS, recipe),
});

export const madeForItems = (recipe: Recipe): Made<ScoredItems> => ({
  recipe,
  task: SCALE_TASK,
  methods: chosen<ScoredItems>(SCALE_METHODS, recipe),
});

/** Of all methods for such rows those of the recipe, with its options. */
const chosen = <Rows extends ClusteredRows>(
  all: readonly (Omit<BoundedCandidate<Rows>, 'fit'> & { fit(rows: Rows, options: Recipe): Curve })[],
  recipe: Recipe,
): BoundedCandidate<Rows>[] =>
  all
    .filter(({ id }) => (recipe.methods as readonly string[]).includes(id))
    .map((one) => ({ id: one.id, minClusters: one.minClusters, fit: (rows) => one.fit(rows, recipe) }));
