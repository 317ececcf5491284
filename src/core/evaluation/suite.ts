import type { CodedColumn } from '../data/columns.js';
import type { JoinedPairs } from '../data/join.js';
import { HpsError } from '../errors.js';
import { type BootstrapOptions, bootstrap, type Estimate } from '../stats/bootstrap.js';
import type { Clusters, Statistic } from '../stats/statistic.js';
import type { PairSides } from './prompt-items.js';
import type { SUITE_METRICS, Suite } from './suite-file.js';

export interface SuiteSubset {
  readonly name: string;
  readonly metric: (typeof SUITE_METRICS)[number];
  readonly rows: number;
  readonly prompts: number;
  /** In its section, as given or by rows. */
  readonly weight: number;
  readonly score: Estimate;
}

export interface SuiteSection {
  readonly name: string;
  readonly weight: number;
  readonly score: Estimate;
  readonly subsets: readonly SuiteSubset[];
}

export interface SuiteReport {
  readonly name: string;
  readonly source: string | null;
  /** Base name and sha256 of the suite. */
  readonly file: string;
  readonly sha256: string;
  readonly score: Estimate;
  readonly sections: readonly SuiteSection[];
  /** Subsets of the suite without a row, which are left out of their sections. */
  readonly missing: readonly string[];
  /** Rows of subsets that the suite does not name. */
  readonly otherRows: number;
  /** Pairs that people find equal, where the suite leaves them out. */
  readonly equalVotes: number;
}

/** A share as sums by prompt, times a coefficient: what every figure of a suite is made of. */
interface Term {
  readonly coefficient: number;
  readonly above: Float64Array;
  readonly below: Float64Array;
}

/** Nothing to add up where the published formula has 0. */
const termValue = ({ coefficient, above, below }: Term, draws?: Float64Array): number => {
  let [sum, total] = [0, 0];
  for (let p = 0; p < above.length; p++) {
    const times = draws ? draws[p] : 1;
    sum += times * above[p];
    total += times * below[p];
  }
  return total > 0 ? (coefficient * sum) / total : 0;
};

interface Subset {
  readonly name: string;
  readonly metric: SuiteSubset['metric'];
  readonly rows: readonly number[];
  readonly prompts: number;
  readonly terms: readonly Term[];
}

const subsetValue = ({ terms }: Subset, draws?: Float64Array): number | null => {
  // In a resample a subset may have no prompt at all.
  const empty = draws !== undefined && terms[0].below.every((count, p) => count === 0 || draws[p] === 0);
  return empty ? null : terms.reduce((sum, term) => sum + termValue(term, draws), 0);
};

/**
 * The figures of a suite with intervals, by prompts. `pairs`: the share of pairs whose better side scores higher. `best-of`: of a prompt
 * with one right answer, 1 over the number of answers that share the highest score, if the right one is among them, else 0. `ties`:
 * RewardBench 2's, of prompts named `ref:N` and `tied:N`, from how far the worst right answer is above the best wrong one and right
 * answers are apart.
 *
 * @param sides - which items the pairs are of
 * @throws HpsError DATA_INVALID where no row is of the suite; USAGE for a group the labels do not have
 */
export async function judgeSuite(
  { suite, name: file, sha256 }: { readonly suite: Suite; readonly name: string; readonly sha256: string },
  joined: JoinedPairs,
  sides: PairSides,
  options: BootstrapOptions,
): Promise<SuiteReport> {
  const judged = new JudgedPairs(joined, sides, suite);
  const named = suite.sections ?? [{ name: suite.name, weight: 1, subsets: judged.subsetNames }];
  const sections = named.map(({ name, weight, subsets }) => {
    const list = Array.isArray(subsets) ? subsets.map((one) => [one, null] as const) : Object.entries(subsets);
    const present = list.flatMap(([subset, own]) => {
      const found = judged.subset(subset);
      return found === null ? [] : [{ subset: found, weight: own ?? found.rows.length }];
    });
    return { name, weight, present, missing: list.map(([subset]) => subset).filter((one) => !judged.has(one)) };
  });
  const scored = sections.filter(({ present }) => present.length > 0);
  if (scored.length === 0) {
    throw new HpsError('DATA_INVALID', `no row is of the suite ${suite.name}`, {
      hint: `Rows have the values ${judged.subsetNames.slice(0, 10).join(', ')}.`,
      details: { suite: suite.name, subsets: judged.subsetNames.slice(0, 50) },
    });
  }
  type Scored = (typeof scored)[number];
  const sectionValue = ({ present }: Scored, draws?: Float64Array) =>
    mean(present.map(({ subset, weight }) => [subsetValue(subset, draws), weight]));
  const values: ((draws?: Float64Array) => number | null)[] = [
    (draws) => mean(scored.map((section) => [sectionValue(section, draws), section.weight])),
    ...scored.map((section) => (draws?: Float64Array) => sectionValue(section, draws)),
    ...scored.flatMap(({ present }) =>
      present.map(
        ({ subset }) =>
          (draws?: Float64Array) =>
            subsetValue(subset, draws),
      ),
    ),
  ];
  const { clusters } = judged;
  const estimates = await bootstrap(values.map(byCluster), clusters, options);
  let next = 0;
  const score = estimates[next++];
  const ofSections = scored.map(() => estimates[next++]);
  return {
    name: suite.name,
    source: suite.source ?? null,
    file,
    sha256,
    score,
    sections: scored.map(({ name, weight, present }, i) => ({
      name,
      weight,
      score: ofSections[i],
      subsets: present.map(({ subset, weight: own }) => ({
        name: subset.name,
        metric: subset.metric,
        rows: subset.rows.length,
        prompts: subset.prompts,
        weight: own,
        score: estimates[next++],
      })),
    })),
    missing: sections.flatMap(({ missing }) => missing),
    otherRows: judged.rowsOutside(new Set(sections.flatMap(({ present }) => present.map(({ subset }) => subset.name)))),
    equalVotes: judged.equalVotes,
  };
}

/** What of a suite a reader should know, one sentence each. */
export function suiteWarnings({ name, missing, otherRows, equalVotes }: SuiteReport): string[] {
  const warnings: string[] = [];
  if (missing.length > 0) {
    warnings.push(
      `${name}: no row is of ${missing.join(', ')}; the whole is of the others, and compares with no published figure.`,
    );
  }
  if (otherRows > 0) warnings.push(`${name}: ${otherRows} rows are of no subset of the suite.`);
  if (equalVotes > 0) warnings.push(`${name}: ${equalVotes} pairs that people find equal are left out.`);
  return warnings;
}

/** Those that have a value, by their weights; null where none has. */
function mean(values: readonly (readonly [value: number | null, weight: number])[]): number | null {
  let [sum, total] = [0, 0];
  for (const [value, weight] of values) {
    if (value === null) continue;
    sum += weight * value;
    total += weight;
  }
  return total > 0 ? sum / total : null;
}

/** Sums by prompt need no weights of rows. */
function byCluster(value: (draws?: Float64Array) => number | null): Statistic {
  const statistic: Statistic = () => value();
  statistic.overClusters = () => value;
  return statistic;
}

/** What RewardBench 2 calls the two prompts of one question. */
const TIES_PROMPT = /^(ref|tied):(.+)$/;

/** Pairs seen from the side people prefer. */
class JudgedPairs {
  readonly clusters: Clusters;
  readonly subsetNames: readonly string[];
  readonly equalVotes: number;
  private readonly better: CodedColumn | undefined;
  private readonly rows = new Map<string, number[]>();
  private readonly prompts: Int32Array;

  constructor(
    private readonly joined: JoinedPairs,
    private readonly sides: PairSides,
    private readonly suite: Suite,
  ) {
    const { by } = suite;
    const column = by === undefined ? null : joined.groups.get(by.replace(/^groups\./, ''));
    if (column === undefined) {
      throw new HpsError('USAGE', `the labels have no group ${by}, which the suite goes by`, {
        hint: `They have ${[...joined.groups.keys()].join(', ') || 'none'}.`,
        details: { by },
      });
    }
    this.better = suite.better === undefined ? undefined : joined.groups.get(suite.better.replace(/^groups\./, ''));
    // The two prompts of a question about ties are resampled together.
    const codes = new Map<string, number>();
    const prompts = joined.clusterNames.map((name, cluster) => {
      const key = TIES_PROMPT.exec(name)?.[2];
      const known = codes.get(key === undefined ? `\0${cluster}` : key) ?? codes.size;
      codes.set(key === undefined ? `\0${cluster}` : key, known);
      return known;
    });
    this.prompts = Int32Array.from(prompts);
    this.clusters = { of: joined.cluster.map((cluster) => prompts[cluster]), count: codes.size };
    let equal = 0;
    for (let row = 0; row < joined.count; row++) {
      if (this.lead(row) === 0 && suite.equal_votes === 'leave-out') {
        equal++;
        continue;
      }
      const subset = column ? column.names[column.codes[row]] : suite.name;
      if (subset === undefined) continue;
      const list = this.rows.get(subset) ?? [];
      list.push(row);
      this.rows.set(subset, list);
    }
    this.equalVotes = equal;
    this.subsetNames = [...this.rows.keys()].sort();
  }

  has(name: string): boolean {
    return this.rows.has(name);
  }

  rowsOutside(names: ReadonlySet<string>): number {
    let count = 0;
    for (const [name, rows] of this.rows) if (!names.has(name)) count += rows.length;
    return count;
  }

  subset(name: string): Subset | null {
    const rows = this.rows.get(name);
    if (!rows) return null;
    const metric = this.suite.metrics[name] ?? this.suite.metric;
    const prompts = new Set(rows.map((row) => this.joined.cluster[row])).size;
    const terms = metric === 'pairs' ? this.pairs(rows) : metric === 'best-of' ? this.bestOf(rows) : this.ties(rows);
    return { name, metric, rows, prompts, terms };
  }

  /** Above 0 where the left side is the better one, below where the right one is. */
  private lead(row: number): number {
    const side = this.better?.names[this.better.codes[row]];
    if (side === 'left' || side === 'right') return side === 'left' ? 1 : -1;
    return this.joined.votesLeft[row] - this.joined.votesRight[row];
  }

  /** How much higher the side that people prefer scores. */
  private margin(row: number): number {
    return this.lead(row) < 0 ? -this.joined.logit[row] : this.joined.logit[row];
  }

  private term(coefficient: number, values: Iterable<readonly [prompt: number, value: number]>): Term {
    const above = new Float64Array(this.clusters.count);
    const below = new Float64Array(this.clusters.count);
    for (const [prompt, value] of values) {
      above[prompt] += value;
      below[prompt]++;
    }
    return { coefficient, above, below };
  }

  private pairs(rows: readonly number[]): Term[] {
    const { equal_scores: equal } = this.suite;
    const credit = (row: number): number => {
      if (this.lead(row) === 0) return 0.5;
      const margin = this.margin(row);
      return margin > 0 ? 1 : margin === 0 ? equal : 0;
    };
    return [
      this.term(
        1,
        rows.map((row) => [this.clusters.of[row], credit(row)]),
      ),
    ];
  }

  private byPrompt(rows: readonly number[]): Map<number, number[]> {
    const of = new Map<number, number[]>();
    for (const row of rows) {
      const list = of.get(this.joined.cluster[row]) ?? [];
      list.push(row);
      of.set(this.joined.cluster[row], list);
    }
    return of;
  }

  private bestOf(rows: readonly number[]): Term[] {
    const credits = Array.from(this.byPrompt(rows), ([prompt, own]): [number, number] => {
      const margins = own.map((row) => this.margin(row));
      const shared = 1 + margins.filter((margin) => margin === 0).length;
      return [this.prompts[prompt], margins.some((margin) => margin < 0) ? 0 : 1 / shared];
    });
    return [this.term(1, credits)];
  }

  /** @see https://github.com/allenai/reward-bench, `process_single_model` */
  private ties(rows: readonly number[]): Term[] {
    const stats = { ref: new Map<string, TiesStats>(), tied: new Map<string, TiesStats>() };
    const promptOf = new Map<string, number>();
    for (const [prompt, own] of this.byPrompt(rows)) {
      const [, kind, id] = TIES_PROMPT.exec(this.joined.clusterNames[prompt]) ?? [];
      if (id === undefined) {
        throw new HpsError('DATA_INVALID', `prompt ${this.joined.clusterNames[prompt]} is not named ref:N or tied:N`, {
          hint: 'Subsets of ties are those of RewardBench 2: read its file with the layout rewardbench-2.',
        });
      }
      stats[kind as 'ref' | 'tied'].set(id, this.tiesStats(own));
      promptOf.set(id, this.prompts[prompt]);
    }
    const accurate = (of: ReadonlyMap<string, TiesStats>) =>
      Array.from(of, ([id, { above }]): [number, number] => [promptOf.get(id)!, above > 0 ? 1 : 0]);
    const both = Array.from(stats.tied).flatMap(([id, tied]) => {
      const ref = stats.ref.get(id);
      if (!ref || tied.apart === null) return [];
      return [
        { prompt: promptOf.get(id)!, tied: tied.above, least: Math.min(ref.above, tied.above), apart: tied.apart },
      ];
    });
    return [
      this.term(0.3, accurate(stats.tied)),
      this.term(0.3, accurate(stats.ref)),
      this.term(
        0.2,
        both.map(({ prompt, tied, apart }) => [prompt, tied > apart ? 1 : 0]),
      ),
      this.term(
        0.2,
        both.map(({ prompt, least, apart }) => [prompt, least > apart ? 1 : 0]),
      ),
      this.term(
        0.01,
        both.filter(({ apart }) => apart > 0).map(({ prompt, least, apart }) => [prompt, Math.tanh(least / apart - 1)]),
      ),
    ];
  }

  private tiesStats(rows: readonly number[]): TiesStats {
    let above = Number.POSITIVE_INFINITY;
    const against = new Map<number, Map<number, number>>(); // margins by wrong answer, then by right one
    for (const row of rows) {
      const isLeft = this.lead(row) >= 0;
      const [right, wrong] = isLeft
        ? [this.sides.left[row], this.sides.right[row]]
        : [this.sides.right[row], this.sides.left[row]];
      const margin = this.margin(row);
      above = Math.min(above, margin);
      const margins = against.get(wrong) ?? new Map<number, number>();
      margins.set(right, margin);
      against.set(wrong, margins);
    }
    const [margins] = [...against.values()].sort((a, b) => b.size - a.size);
    const values = [...margins.values()];
    return { above, apart: values.length > 1 ? Math.max(...values) - Math.min(...values) : null };
  }
}

interface TiesStats {
  /** The worst right answer above the best wrong one. */
  readonly above: number;
  /** Between the best and the worst right answer; null where there is one. */
  readonly apart: number | null;
}
