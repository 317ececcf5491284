import { shared, type Threads } from '../bytes/threads.js';
import { rankedBy } from './cluster-names.js';
import { type FoldOptions, foldSeeds, predictByChoice } from './cross-validation.js';
import { type NamedReplicates, replicatesOf } from './figures.js';
import { type Made, madeForItems, madeForPairs, type Recipe } from './recipe.js';
import type { Candidate, ClusteredRows } from './task.js';

interface Resampling {
  readonly seed: string;
  readonly resamples?: number;
}

/**
 * The parts of a fit that are computed in threads of their own, from the same rows and with the same result; undefined where there is
 * no other thread any more.
 */
export interface Aside {
  /** @see predictByChoice */
  predict(
    rows: ClusteredRows,
    candidates: readonly Pick<Candidate<never>, 'id'>[],
    options: FoldOptions,
  ): Promise<Float64Array> | undefined;
  /** Replicates of the figures of what is predicted. */
  replicates(
    rows: ClusteredRows,
    predicted: Float64Array | null,
    options: Resampling,
  ): Promise<NamedReplicates[]> | undefined;
}

/** @param recipe - what the rows are fitted by. Their columns are best shared: see `shared`. */
export const asideIn = (threads: Threads, recipe: Recipe): Aside => ({
  predict: (rows, candidates, { folds, seed, repeats }) => {
    if (threads.count < 2) return undefined;
    const methods = candidates.map(({ id }) => id) as Recipe['methods'][number][];
    const options = { folds, seed, repeats };
    const { names, codes } = rows.cluster;
    const cluster = { names: rankedBy(names, foldSeeds(options)), codes };
    const given: PredictCall = { recipe: { ...recipe, methods }, rows: { ...rows, cluster }, options };
    return threads.call({ module: import.meta.url, name: 'predictAside', given });
  },
  replicates: ({ cluster: { names, codes }, ...rows }, predicted, options) => {
    if (threads.count < 2) return undefined;
    const given: ReplicatesCall = {
      recipe,
      rows: { ...rows, cluster: { names: rankedBy(names, []), codes } },
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
  readonly rows: ClusteredRows;
  readonly predicted: Float64Array | null;
  readonly options: Resampling;
}

const madeOf = (recipe: Recipe): Made<ClusteredRows> =>
  (recipe.kind === 'pair' ? madeForPairs(recipe) : madeForItems(recipe)) as unknown as Made<ClusteredRows>;

/** Called by name. @internal */
export async function predictAside({ recipe, rows, options }: PredictCall): Promise<Float64Array> {
  const { task, methods } = madeOf(recipe);
  return shared(await predictByChoice(task, rows, methods, options));
}

/** Called by name. @internal */
export function replicatesAside({ recipe, rows, predicted, options }: ReplicatesCall) {
  const { task } = madeOf(recipe);
  return replicatesOf(
    task.statistics(rows, predicted),
    { of: rows.cluster.codes, count: rows.cluster.names.length },
    options,
  );
}
