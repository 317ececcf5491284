import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { type BootstrapOptions, replicate } from '../stats/bootstrap.js';
import { holmAdjust } from '../stats/holm.js';
import { compareReplicates, type PairedComparison, type Verdict } from '../stats/paired.js';
import { sharedRows } from './baseline.js';
import { type GroupBy, groupings } from './groups.js';
import { judge } from './judged-statistics.js';
import type { Predictions } from './predictions.js';

/** What became of a figure, for all rows or for a group's. */
export interface GroupDelta {
  /** Null for all rows. */
  readonly by: string | null;
  readonly value: string | null;
  readonly metric: string;
  readonly n: number;
  readonly clusters: number;
  readonly before: number | null;
  readonly after: number | null;
  /** After less before, under the same resamples of clusters; 95 %. */
  readonly difference: number | null;
  readonly ci: PairedComparison['ci'];
  readonly pValue: number | null;
  /** Adjusted for all figures of all groups. */
  readonly holm: number | null;
  /** By the adjusted p-value: undecided where that is 0.05 or more. */
  readonly verdict: 'improved' | 'regressed' | 'undecided';
}

/** One model's scores of judged rows, and what it predicts by them. */
export interface JudgedModel {
  readonly joined: JoinedPairs | JoinedAbsolutes;
  readonly predictions: Predictions;
}

export interface GroupDeltaOptions extends BootstrapOptions {
  /** Fewest rows of a group that is compared. */
  readonly minRows: number;
}

const SIGNIFICANCE = 0.05;

/** Order for every model, errors only where both are on the scale of the labels. */
const comparedMetrics = (before: JudgedModel, after: JudgedModel): Set<string> => {
  if (after.joined.kind === 'pair') return new Set(['accuracy', 'brier']);
  return new Set(before.predictions.calibrated && after.predictions.calibrated ? ['spearman', 'rmse'] : ['spearman']);
};

/** Compares two models on the rows that both scored: over all, and by each group, and where several meet. */
export async function compareGroups(
  before: JudgedModel,
  after: JudgedModel,
  columns: readonly GroupBy[],
  { minRows, ...bootstrap }: GroupDeltaOptions,
): Promise<GroupDelta[]> {
  const { ours, theirs } = sharedRows(after.joined, before.joined);
  const metrics = comparedMetrics(before, after);
  const subsets = [
    { by: null, value: null, places: Array.from(ours.keys()) },
    ...groupings(columns).flatMap(({ name, column: { names, codes } }) =>
      names
        .map((value, code) => ({
          by: name,
          value,
          places: Array.from(ours.keys()).filter((i) => codes[ours[i]] === code),
        }))
        .sort((a, b) => (a.value < b.value ? -1 : 1)),
    ),
  ].filter(({ places }) => places.length >= minRows);
  const deltas: (Omit<GroupDelta, 'holm' | 'verdict'> & { readonly better: Verdict })[] = [];
  for (const { by, value, places } of subsets) {
    const own = judge(
      after.joined,
      after.predictions,
      Int32Array.from(places, (i) => ours[i]),
    );
    const old = judge(
      before.joined,
      before.predictions,
      Int32Array.from(places, (i) => theirs[i]),
    );
    for (const [s, { id, direction, statistic }] of own.statistics.entries()) {
      if (!metrics.has(id)) continue;
      const seed = `${bootstrap.seed}/${by}/${value}`;
      const both = [statistic, old.statistics[s].statistic];
      const [now, then] = await replicate(both, own.clusters, { ...bootstrap, seed });
      const { verdict, ...paired } = compareReplicates(now, then, direction, own.clusters, bootstrap.level);
      const facts = { by, value, metric: id, n: places.length, clusters: own.clusters.count };
      deltas.push({ ...facts, before: then.value, after: now.value, ...paired, better: verdict });
    }
  }
  const adjusted = holmAdjust(deltas.flatMap(({ pValue }) => (pValue === null ? [] : [pValue])));
  return deltas.map(({ better, ...delta }) => {
    const holm = delta.pValue === null ? null : adjusted.shift()!;
    const decided = holm !== null && holm < SIGNIFICANCE;
    const verdict = !decided || better === 'undecided' ? 'undecided' : better === 'better' ? 'improved' : 'regressed';
    return { ...delta, holm, verdict };
  });
}
