import { type Figures, resamplesOf } from '../calibration/figures.js';
import { type CodedColumn, rowsByCode } from '../data/columns.js';
import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { type Run, startStage } from '../run.js';
import { type BootstrapOptions, estimateOf, replicateEach, sortedValues } from '../stats/bootstrap.js';
import { holmAdjust } from '../stats/holm.js';
import { ABSOLUTE_METRICS, PAIR_METRICS } from '../stats/metric.js';
import { bootstrapP } from '../stats/paired.js';
import { differenceOf, inBlocks, ofSubset, ratioAmong, type Statistic } from '../stats/statistic.js';
import type { JudgeRows } from './aside.js';
import { type JudgedStatistic, judge } from './judged-statistics.js';
import type { Predictions } from './predictions.js';

/** A group column, or several whose values are looked at together. */
export interface GroupBy {
  /** As given: `source`, or `source × models`. */
  readonly name: string;
  readonly column: CodedColumn;
}

/** One group's figures. */
export interface GroupReport {
  readonly by: string;
  readonly value: string;
  readonly n: number;
  readonly clusters: number;
  /** Null where suppressed. */
  readonly metrics: Figures | null;
  /** Too few rows to say anything of: shown, so that nobody takes the group for absent. */
  readonly suppressed: boolean;
}

/** How far a group is from all other rows, in one figure. */
export interface GroupGap {
  readonly by: string;
  readonly value: string;
  readonly metric: string;
  /** The group less the others. */
  readonly difference: Figures[string];
  readonly pValue: number | null;
  /** Adjusted for the number of gaps. */
  readonly holm: number | null;
}

export interface WorstGroup {
  readonly by: string;
  readonly value: string;
  readonly metric: string;
  readonly estimate: Figures[string];
}

export interface GroupsReport {
  readonly groups: readonly GroupReport[];
  readonly gaps: readonly GroupGap[];
  /** For each figure that gaps are told of, the group that has it worst. */
  readonly worst: readonly WorstGroup[];
}

/** Of smooth ECE, of which dozens of groups would take minutes. */
export const GROUP_SMOOTH_RESAMPLES = 50;

/** Between the values of an intersection. */
const TIMES = ' × ';

/** Each column by itself, then, for two or more, all of them together. */
export function groupings(columns: readonly GroupBy[]): GroupBy[] {
  return columns.length > 1 ? [...columns, intersection(columns)] : [...columns];
}

function intersection(columns: readonly GroupBy[]): GroupBy {
  const names: string[] = [];
  const codeOf = new Map<string, number>();
  const codes = columns[0].column.codes.map((_, row) => {
    const values = columns.map(({ column: { names, codes } }) => names[codes[row]]);
    if (values.some((value) => value === undefined)) return -1;
    const key = values.join(TIMES);
    const code = codeOf.get(key) ?? names.push(key) - 1;
    codeOf.set(key, code);
    return code;
  });
  return { name: columns.map(({ name }) => name).join(TIMES), column: { names, codes } };
}

/** Figures that gaps are told of: those that do not grow with fewer rows, as calibration errors do. */
const GAP_METRICS = new Set(['accuracy', 'brier', 'rmse', 'spearman']);

export interface GroupOptions extends BootstrapOptions, Run {
  /** Fewest rows of a group that is shown. */
  readonly minRows: number;
}

export interface JudgeOptions extends GroupOptions {
  /** How figures of the rows of a group are computed. */
  readonly judgeRows: JudgeRows;
  /** All groups at once: each in a thread of its own. */
  readonly inThreads: boolean;
}

/** A group with its figures. */
export interface JudgedGroup {
  readonly report: GroupReport;
  readonly rows: Int32Array;
}

interface Member {
  readonly by: string;
  readonly value: string;
  readonly rows: Int32Array;
}

/** Figures of every group. */
export async function judgeGroups(
  joined: JoinedPairs | JoinedAbsolutes,
  columns: readonly GroupBy[],
  { judgeRows, inThreads, ...options }: JudgeOptions,
): Promise<JudgedGroup[]> {
  const members = groupings(columns).flatMap(membersOf);
  const { seed, resamples, level, signal } = options;
  const judgedGroup = async ({ by, value, rows }: Member): Promise<JudgedGroup> => {
    const base = { by, value, n: rows.length };
    if (rows.length < options.minRows) {
      const clusters = countClusters(joined, rows);
      return { report: { ...base, clusters, metrics: null, suppressed: true }, rows };
    }
    const { figures, clusters } = await judgeRows(rows, {
      ...{ resamples, level, signal },
      smoothResamples: GROUP_SMOOTH_RESAMPLES,
      outOf: joined.count,
      seed: `${seed}/${by}/${value}`,
    });
    return { report: { ...base, clusters, metrics: figures, suppressed: false }, rows };
  };
  const judged: JudgedGroup[] = [];
  for (const each of inThreads ? [members] : members.map((member) => [member])) {
    startStage(options, each.length === 1 ? `Group ${each[0].by} ${each[0].value}` : 'Groups');
    judged.push(...(await Promise.all(each.map(judgedGroup))));
  }
  return judged;
}

/** The groups, how far each is from the rest, and which is worst. */
export async function compareWithRest(
  joined: JoinedPairs | JoinedAbsolutes,
  predictions: Predictions,
  judged: readonly JudgedGroup[],
  options: GroupOptions,
): Promise<GroupsReport> {
  const groups = judged.map(({ report }) => report);
  const shown = judged.filter(({ report }) => !report.suppressed);
  if (shown.length > 0) startStage(options, 'Gaps between groups');
  const members = shown.map(({ report: { by, value }, rows }) => ({ by, value, rows }));
  const gaps = await gapsOf(joined, predictions, members, options);
  return { groups, gaps, worst: worstOf(groups, joined.kind === 'pair' ? PAIR_METRICS : ABSOLUTE_METRICS) };
}

function membersOf({ name: by, column }: GroupBy): Member[] {
  const rows = rowsByCode(column);
  return column.names
    .map((value, code) => ({ by, value, rows: rows[code] }))
    .sort((a, b) => (a.value < b.value ? -1 : 1));
}

/** Each group against all rows outside it, under the same resamples of clusters. */
async function gapsOf(
  joined: JoinedPairs | JoinedAbsolutes,
  predictions: Predictions,
  members: readonly Member[],
  options: GroupOptions,
): Promise<GroupGap[]> {
  const whole = judge(joined, predictions, null).statistics.filter(({ id }) => GAP_METRICS.has(id));
  const terms = whole.map(({ statistic }) => statistic.terms?.());
  const gaps = members.flatMap(({ by, value, rows }) => {
    const inside = new Uint8Array(joined.count);
    for (const row of rows) inside[row] = 1;
    const others = rowsOutside(inside, rows.length);
    if (others.length < options.minRows) return [];
    const clusters = Math.min(countClusters(joined, rows), countClusters(joined, others));
    return whole.map(({ id }, i) => {
      const sums = terms[i];
      const gap = sums
        ? differenceOf(ratioAmong(sums, inside, 1), ratioAmong(sums, inside, 0))
        : differenceOf(statisticOf(joined, predictions, rows, id), statisticOf(joined, predictions, others, id));
      return { by, value, metric: id, clusters, gap };
    });
  });
  if (gaps.length === 0) return [];
  const clusters = { of: joined.cluster, count: joined.clusterCount };
  const seed = `${options.seed}/gaps`;
  const resampled = await replicateEach(
    gaps.map(({ gap, metric }) => ({ statistic: gap, resamples: resamplesOf(metric, joined.count, options) })),
    inBlocks(clusters, seed),
    { ...options, seed },
  );
  const tested = resampled.map((replicates, i) => {
    const difference = estimateOf(replicates, clusters, options.level);
    return { difference, pValue: difference.ci && bootstrapP(sortedValues(replicates), gaps[i].clusters) };
  });
  const adjusted = holmAdjust(tested.flatMap(({ pValue }) => (pValue === null ? [] : [pValue])));
  return gaps.map(({ by, value, metric }, i) => {
    const { difference, pValue } = tested[i];
    return { by, value, metric, difference, pValue, holm: pValue === null ? null : adjusted.shift()! };
  });
}

function rowsOutside(inside: Uint8Array, rows: number): Int32Array {
  const others = new Int32Array(inside.length - rows);
  let count = 0;
  for (let row = 0; row < inside.length; row++) if (inside[row] === 0) others[count++] = row;
  return others;
}

/** A figure of some rows as a function of the weights of all. */
function statisticOf(
  joined: JoinedPairs | JoinedAbsolutes,
  predictions: Predictions,
  rows: Int32Array,
  metric: string,
): Statistic {
  const { statistics } = judge(joined, predictions, rows);
  return ofSubset(statistics.find(({ id }) => id === metric)!.statistic, rows);
}

function countClusters({ cluster, clusterCount }: JoinedPairs | JoinedAbsolutes, rows: Int32Array): number {
  const seen = new Uint8Array(clusterCount);
  let count = 0;
  for (const row of rows) {
    count += 1 - seen[cluster[row]];
    seen[cluster[row]] = 1;
  }
  return count;
}

function worstOf(
  groups: readonly GroupReport[],
  metrics: readonly Pick<JudgedStatistic, 'id' | 'direction'>[],
): WorstGroup[] {
  return metrics
    .filter(({ id }) => GAP_METRICS.has(id))
    .flatMap(({ id, direction }) => {
      const sign = direction === 'higher' ? 1 : -1;
      const known = groups.flatMap(({ by, value, metrics }) => {
        const estimate = metrics?.[id];
        return estimate && estimate.value !== null ? [{ by, value, metric: id, estimate }] : [];
      });
      known.sort((a, b) => sign * (a.estimate.value! - b.estimate.value!));
      return known.slice(0, 1);
    });
}
