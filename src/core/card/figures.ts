import { formatCount } from '../bytes/format.js';
import type { AuxReport } from '../evaluation/auxiliary.js';
import type { MetricComparison } from '../evaluation/baseline.js';
import type { BestOfFigures } from '../evaluation/best-of.js';
import type { BiasReport } from '../evaluation/diagnose.js';
import type { Estimate } from '../stats/bootstrap.js';
import { ABSOLUTE_METRICS, PAIR_METRICS } from '../stats/metric.js';

/** `0.712`, to three places; `-` where undefined. */
export const formatFigure = (value: number | null | undefined): string =>
  value === null || value === undefined ? '-' : value.toFixed(3);

/** `11.4 ms`, `1.30 s`. */
export const formatMs = (ms: number): string =>
  ms < 1000 ? `${Number(ms.toPrecision(3))} ms` : `${(ms / 1000).toPrecision(3)} s`;

/** `[0.690, 0.735]`. */
export const formatInterval = (ci: readonly [number, number] | null | undefined): string =>
  ci ? `[${ci[0].toFixed(3)}, ${ci[1].toFixed(3)}]` : '-';

/** The word a report shows for a metric, whether its values are shares of 1, and how it is defined. */
export function metricOf(id: string): { readonly label: string; readonly isShare: boolean; readonly source: string } {
  const metric = [...PAIR_METRICS, ...ABSOLUTE_METRICS].find((candidate) => candidate.id === id);
  return {
    label: metric?.label ?? id,
    isShare: metric !== undefined && metric.range[1] === 1,
    source: metric?.source ?? 'as its report defines it',
  };
}

/** `accuracy 0.712 [0.690, 0.735]`. */
export const formatEstimate = ({ value, ci }: Estimate): string => `${formatFigure(value)} ${formatInterval(ci)}`;

/** A row of the table of a model against its baseline: figure, both values, difference, its interval, p, verdict. */
export const comparisonRow = (
  id: string,
  { model, baseline, difference, ci, holm, verdict }: MetricComparison,
): string[] => [
  metricOf(id).label,
  formatFigure(model.value),
  formatFigure(baseline.value),
  formatFigure(difference),
  formatInterval(ci),
  holm === null ? '-' : holm.toPrecision(2),
  verdict,
];

/** Of the table of a suite: the whole, sections, and their subsets. */
export const SUITE_HEADERS = ['Part', 'Score', '95 % interval', 'Rows'];

interface SuiteScores {
  readonly name: string;
  readonly score: Estimate;
  readonly sections: readonly {
    readonly name: string;
    readonly score: Estimate;
    readonly subsets: readonly { readonly name: string; readonly rows: number; readonly score: Estimate }[];
  }[];
}

export function suiteRows({ name, score, sections }: SuiteScores): string[][] {
  const row = (part: string, one: Estimate, rows: number) => [
    part,
    formatFigure(one.value),
    formatInterval(one.ci),
    formatCount(rows),
  ];
  const rowsOf = ({ subsets }: SuiteScores['sections'][number]) => subsets.reduce((sum, { rows }) => sum + rows, 0);
  return [
    row(
      name,
      score,
      sections.reduce((sum, section) => sum + rowsOf(section), 0),
    ),
    ...sections.flatMap((section) => [
      row(section.name, section.score, rowsOf(section)),
      ...section.subsets
        .filter((subset) => subset.name !== section.name)
        .map((subset) => row(`- ${subset.name}`, subset.score, subset.rows)),
    ]),
  ];
}

/** Of the table of what picks among N items are worth. */
export const BEST_OF_HEADERS = ['N', 'Prompts', 'Score of raters', 'Win rate', 'Regret', 'Gain captured'];

export const bestOfRow = ({
  n,
  prompts,
  humanScore,
  winRate,
  regret,
  captured,
}: Omit<BestOfFigures, 'baseline'>): string[] => [
  String(n),
  String(prompts),
  ...[humanScore, winRate, regret, captured].map(formatEstimate),
];

/** Of the table of what a score depends on beyond what people do. */
export const BIAS_HEADERS = ['Trait', 'Differ', 'Score for more', 'People for more', 'Bias, logits a unit', 'p (Holm)'];

export const biasRow = ({
  id,
  differing,
  score,
  people,
  bias,
  holm,
  unclear,
}: Omit<BiasReport, 'id'> & { readonly id: string }): string[] => [
  id,
  String(differing),
  formatFigure(score.value),
  formatFigure(people.value),
  unclear ?? formatEstimate(bias),
  holm === null ? '-' : holm.toPrecision(2),
];

export const HEAD_HEADERS = ['Head', 'Items', 'Figure', 'Value', '95 % interval'];

/** Figures of auxiliary heads, one a row; the first of a head names it. */
export const headRows = (aux: AuxReport): string[][] =>
  Object.entries(aux).flatMap(([head, { n, positives, metrics }]) =>
    Object.entries(metrics).map(([id, { value, ci }], i) => [
      i === 0 ? head : '',
      i === 0
        ? `${formatCount(n)}${positives === undefined ? '' : `, ${(100 * positives).toFixed(0)} % ${POSITIVE[head]}`}`
        : '',
      metricOf(id).label,
      formatFigure(value),
      formatInterval(ci),
    ]),
  );

const POSITIVE: Readonly<Record<string, string>> = { fluency: 'fluent', toxicity: 'toxic' };
