import { shared, type Threads } from '../bytes/threads.js';
import { type FoldOptions, predictByChoice } from './cross-validation.js';
import { type NamedReplicates, replicatesOf } from './figures.js';
import { type Made, madeForItems, madeForPairs, type Recipe } from './recipe.js';
import type { Candidate, ClusteredRows } from './task.js';

interface Resampling {
  readonly seed: string;
  readonly resamples?: number;
}

/** The parts of a fit that are computed in threads of their own, from the same rows and with the same result. */
export interface Aside {
  /** @see predictByChoice */
  predict(
    rows: ClusteredRows,
    candidates: readonly Pick<Candidate<never>, 'id'>[],
    options: FoldOptions,
  ): Promise<Float64Array>;
  /** Replicates of the figures of what is predicted. */
  replicates(rows: ClusteredRows, predicted: Float64Array | null, options: Resampling): Promise<NamedReplicates[]>;
}

/** @param recipe - what the rows are fitted by. Their columns are best shared: see `shared`. */
export const asideIn = (threads: Threads, recipe: Recipe): Aside => ({
  predict: (rows, candidates, { folds, seed, repeats }) => {
    const methods = candidates.map(({ id }) => id) as Recipe['methods'][number][];
    const given: PredictCall = { recipe: { ...recipe, methods }, rows, options: { folds, seed, repeats } };
    return threads.call({ module: import.meta.url, name: 'predictAside', given });
  },
  replicates: ({ cluster: { names, codes }, ...rows }, predicted, options) => {
    const given: ReplicatesCall = {
      recipe,
      rows: { ...rows, cluster: { names: [], codes } },
      clusters: names.length,
      predicted: predicted && shared(predicted),
      options,
    };
    return threads.call({ module: import.meta.url, name: 'replicatesAside', given });
  },
});

interface PredictCall {
  readonly recipe: Recipe;
  readonly rows: ClusteredRows;
  readonly options: FoldOptions;
}

interface ReplicatesCall {
  readonly recipe: Recipe;
  /** Without the names of their clusters. */
  readonly rows: ClusteredRows;
  readonly clusters: number;
  readonly predicted: Float64Array | null;
  readonly options: Resampling;
}

const madeOf = (recipe: Recipe): Made<ClusteredRows> =>
  (recipe.kind === 'pair' ? madeForPairs(recipe) : madeForItems(recipe)) as unknown as Made<ClusteredRows>;

/** Called by name. @internal */
export function predictAside({ recipe, rows, options }: PredictCall): Promise<Float64Array> {
  const { task, methods } = madeOf(recipe);
  return predictByChoice(task, rows, methods, options);
}

/** Called by name. @internal */
export function replicatesAside({ recipe, rows, clusters, predicted, options }: ReplicatesCall) {
  const { task } = madeOf(recipe);
  return replicatesOf(task.statistics(rows, predicted), { of: rows.cluster.codes, count: clusters }, options);
}
