import { resamplesOf } from '../calibration/figures.js';
import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { type BootstrapOptions, type Estimate, estimateOf, replicate } from '../stats/bootstrap.js';
import { holmAdjust } from '../stats/holm.js';
import { discordantRows, type McNemarTest, mcnemarTest } from '../stats/mcnemar.js';
import { compareReplicates, type PairedComparison, type Verdict } from '../stats/paired.js';
import { majorityAgreed } from '../stats/pairwise-accuracy.js';
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
  /** Of pairs whose majority exactly one of the two agrees with; rows count as independent. Null for items. */
  readonly mcnemar: (McNemarTest & { readonly onlyModel: number; readonly onlyBaseline: number }) | null;
  /** By the first figure: accuracy for pairs, Spearman for items. */
  readonly verdict: Verdict;
}

/** Compares two models on the rows both scored, under the same resamples of clusters. */
export function compareWithBaseline(
  model: JoinedPairs | JoinedAbsolutes,
  baseline: JoinedPairs | JoinedAbsolutes,
  options: BootstrapOptions,
): BaselineReport {
  const { ours, theirs } = sharedRows(model, baseline);
  const own = judge(model, predict(model, null), ours);
  const other = judge(baseline, predict(baseline, null), theirs);
  const compared = own.statistics.flatMap((metric, i) => {
    if (!ORDER_METRICS.has(metric.id)) return [];
    const { id, direction, statistic } = metric;
    const resamples = resamplesOf(id, ours.length, options);
    const both = [statistic, other.statistics[i].statistic];
    const [first, second] = replicate(both, own.clusters, { ...options, resamples });
    const [ofModel, ofBaseline] = [first, second].map((one) => estimateOf(one, own.clusters, options.level));
    const paired = compareReplicates(first, second, direction, own.clusters, options.level);
    return [{ id, model: ofModel, baseline: ofBaseline, ...paired }];
  });
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
    mcnemar: mcnemar(model, baseline, ours, theirs),
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
): BaselineReport['mcnemar'] {
  if (model.kind !== 'pair' || baseline.kind !== 'pair') return null;
  const agreed = ({ logit, votesLeft, votesRight }: JoinedPairs, rows: Int32Array) => {
    const take = (column: Float64Array) => Float64Array.from(rows, (row) => column[row]);
    return majorityAgreed(take(logit), { positive: take(votesLeft), negative: take(votesRight) });
  };
  const { onlyFirst, onlySecond } = discordantRows(agreed(model, ours), agreed(baseline, theirs));
  return { ...mcnemarTest(onlyFirst, onlySecond), onlyModel: onlyFirst, onlyBaseline: onlySecond };
}
