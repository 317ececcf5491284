import { resamplesOf } from '../calibration/figures.js';
import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { type BootstrapOptions, type Estimate, estimateOf, replicate } from '../stats/bootstrap.js';
import { holmAdjust } from '../stats/holm.js';
import { compareReplicates, type PairedComparison, type Verdict } from '../stats/paired.js';
import { majorityAgreed, votesAgreed } from '../stats/pairwise-accuracy.js';
import { clusterDifferences, type SignFlipTest, signFlipTest } from '../stats/sign-flip.js';
import { type Clusters, inBlocks } from '../stats/statistic.js';
import { allRows, judge } from './judged-statistics.js';
import { predict } from './predictions.js';

/** Figures that two models can be compared in whatever the scale of their scores: those of order alone. */
const ORDER_METRICS = new Set(['accuracy', 'auc', 'spearman', 'kendall']);

export interface MetricComparison extends PairedComparison {
  readonly model: Estimate;
  readonly baseline: Estimate;
  /** p-value adjusted for the number of figures compared. */
  readonly holm: number | null;
}

export interface BaselineReport {
  /** Rows that both models scored; only these are compared. */
  readonly n: number;
  readonly clusters: number;
  readonly comparisons: Readonly<Record<string, MetricComparison>>;
  /**
   * McNemar's test of the votes each agrees with, extended to ties and clusters: signs of whole clusters are flipped. Beside it the
   * rows where the majority agrees with one of the two only, and those where one of them has half a credit. Null for items.
   */
  readonly mcnemar:
    | (SignFlipTest & { readonly onlyModel: number; readonly onlyBaseline: number; readonly half: number })
    | null;
  /** By the first figure: accuracy for pairs, Spearman for items. */
  readonly verdict: Verdict;
}

/** Compares two models on the rows both scored, under the same resamples of clusters. */
export async function compareWithBaseline(
  model: JoinedPairs | JoinedAbsolutes,
  baseline: JoinedPairs | JoinedAbsolutes,
  options: BootstrapOptions,
): Promise<BaselineReport> {
  const { ours, theirs } = sharedRows(model, baseline);
  const own = judge(model, predict(model, null), ours);
  const other = judge(baseline, predict(baseline, null), theirs);
  const clusters = inBlocks(own.clusters, options.seed);
  const compared: (Omit<MetricComparison, 'holm'> & { readonly id: string })[] = [];
  for (const [i, { id, direction, statistic }] of own.statistics.entries()) {
    if (!ORDER_METRICS.has(id)) continue;
    const resamples = resamplesOf(id, ours.length, options);
    const both = [statistic, other.statistics[i].statistic];
    const [first, second] = await replicate(both, clusters, { ...options, resamples });
    const [ofModel, ofBaseline] = [first, second].map((one) => estimateOf(one, own.clusters, options.level));
    const paired = compareReplicates(first, second, direction, own.clusters, options.level);
    compared.push({ id, model: ofModel, baseline: ofBaseline, ...paired });
  }
  const adjusted = holmAdjust(compared.flatMap(({ pValue }) => (pValue === null ? [] : [pValue])));
  const comparisons = Object.fromEntries(
    compared.map(({ id, ...comparison }) => [
      id,
      { ...comparison, holm: comparison.pValue === null ? null : adjusted.shift()! },
    ]),
  );
  return {
    n: ours.length,
    clusters: own.clusters.count,
    comparisons,
    mcnemar: mcnemar(model, baseline, ours, theirs, own.clusters),
    verdict: compared[0].verdict,
  };
}

/** Row numbers in either table of the ids that both have, in the order of the model's. */
export function sharedRows(model: JoinedPairs | JoinedAbsolutes, baseline: JoinedPairs | JoinedAbsolutes) {
  const place = new Map(Array.from(allRows(baseline), (row) => [baseline.idAt(row), row]));
  const ours = allRows(model).filter((row) => place.has(model.idAt(row)));
  return { ours, theirs: ours.map((row) => place.get(model.idAt(row))!) };
}

function mcnemar(
  model: JoinedPairs | JoinedAbsolutes,
  baseline: JoinedPairs | JoinedAbsolutes,
  ours: Int32Array,
  theirs: Int32Array,
  clusters: Clusters,
): BaselineReport['mcnemar'] {
  if (model.kind !== 'pair' || baseline.kind !== 'pair') return null;
  const columns = ({ logit, votesLeft, votesRight }: JoinedPairs, rows: Int32Array) => {
    const take = (column: Float64Array) => Float64Array.from(rows, (row) => column[row]);
    return [take(logit), { positive: take(votesLeft), negative: take(votesRight) }] as const;
  };
  const [own, other] = [columns(model, ours), columns(baseline, theirs)];
  const differences = clusterDifferences(votesAgreed(...own), votesAgreed(...other), clusters);
  const [first, second] = [majorityAgreed(...own), majorityAgreed(...other)];
  const rowsOfLead = (lead: number) => first.filter((credit, i) => credit - second[i] === lead).length;
  return {
    ...signFlipTest(differences),
    onlyModel: rowsOfLead(1),
    onlyBaseline: rowsOfLead(-1),
    half: rowsOfLead(0.5) + rowsOfLead(-0.5),
  };
}
