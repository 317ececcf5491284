import { fleissKappa, krippendorffAlpha, voteAgreement } from './agreement.js';
import type { DataFormat } from './formats.js';
import type { DataInput } from './input.js';
import { Interner } from './interner.js';
import type { LayoutChoice } from './layouts/apply.js';
import { readRecognisedRows } from './read-rows.js';
import { recogniseRows } from './recognise.js';
import { RowCounts, type RowsReport } from './row-counts.js';
import type { BadRow, DataRow, PairRow } from './rows.js';

/** Values of one group that are listed; the rest are counted. */
const MAX_GROUP_VALUES = 100;

export interface DataStats {
  readonly input: RowsReport;
  readonly byType: Readonly<Record<'pair' | 'absolute', number>>;
  /** `unstated` where neither type nor modality says. */
  readonly byModality: Readonly<Record<string, number>>;
  readonly clusters: { readonly count: number; readonly largest: number };
  readonly votes: {
    readonly total: number;
    /** Rows by their number of votes. */
    readonly perRow: Readonly<Record<string, number>>;
    readonly ties: number;
    readonly softLabels: number;
    /** Share of votes for the left, ties counting half; null without votes. Far from 0.5, sides were not randomised. */
    readonly leftShare: number | null;
  };
  readonly agreement: {
    /** Rows with two votes or ratings at least. */
    readonly rows: number;
    /** Mean share of votes for the row's most frequent answer; pairs only, null without such rows. */
    readonly mean: number | null;
    /** Of votes. */
    readonly krippendorffAlpha: number | null;
    readonly fleissKappa: number | null;
    /** Of ratings, as interval and as ordinal data. */
    readonly ratingsAlpha: { readonly interval: number | null; readonly ordinal: number | null };
  };
  /** Rows by value, for each group. */
  readonly groups: readonly {
    readonly name: string;
    readonly rows: number;
    readonly values: Readonly<Record<string, number>>;
    /** Values beyond those listed. */
    readonly otherValues: number;
  }[];
}

export interface DataStatsOptions extends LayoutChoice {
  readonly format?: DataFormat;
  readonly onBadRow?: (row: BadRow) => void;
}

/** What a data file holds, in one pass. */
export async function dataStats(input: DataInput, options: DataStatsOptions = {}): Promise<DataStats> {
  const counts = new RowCounts(options.onBadRow);
  const collector = new StatsCollector();
  const { ignored, votes } = counts;
  const rows = await recogniseRows(input, options.format, options);
  counts.layout = rows.layout?.layout.id;
  for await (const batch of readRecognisedRows(rows, { ignored, votes })) {
    for (const result of batch) {
      if (!result.row) counts.addBad(result);
      else if (!counts.isRepeated(result.row.id, result.line)) {
        counts.rows++;
        if (!isJudged(result.row)) counts.unlabelled++;
        collector.add(result.row);
      }
    }
  }
  return { input: counts.report(), ...collector.finish() };
}

const isJudged = (row: DataRow): boolean =>
  row.kind === 'pair' ? row.votes.length > 0 : row.ratings.length > 0 || row.score !== undefined;

class StatsCollector {
  private readonly byType = { pair: 0, absolute: 0 };
  private readonly byModality = new Map<string, number>();
  private readonly clusters = new Interner();
  private readonly clusterRows: number[] = [];
  private readonly groups = new Map<string, Map<string, number>>();
  private readonly perRow = new Map<number, number>();
  private readonly votes = new Judgements();
  private readonly ratings = new Judgements();
  private total = 0;
  private left = 0;
  private ties = 0;
  private softLabels = 0;

  add(row: DataRow): void {
    this.byType[row.kind]++;
    increment(this.byModality, row.modality ?? 'unstated');
    const cluster = this.clusters.codeOfText(row.promptId);
    this.clusterRows[cluster] = (this.clusterRows[cluster] ?? 0) + 1;
    for (const [name, value] of row.groups) {
      if (!this.groups.has(name)) this.groups.set(name, new Map());
      increment(this.groups.get(name)!, value);
    }
    if (row.kind === 'pair') this.addVotes(row);
    else if (row.ratings.length >= 2) this.ratings.add(row.ratings);
  }

  finish(): Omit<DataStats, 'input'> {
    return {
      byType: this.byType,
      byModality: Object.fromEntries(this.byModality),
      clusters: { count: this.clusters.size, largest: this.clusterRows.reduce((a, b) => Math.max(a, b), 0) },
      votes: {
        total: this.total,
        perRow: Object.fromEntries([...this.perRow].sort(([a], [b]) => a - b)),
        ties: this.ties,
        softLabels: this.softLabels,
        leftShare: this.total > 0 ? this.left / this.total : null,
      },
      agreement: this.agreement(),
      groups: [...this.groups].map(([name, values]) => groupStats(name, values)),
    };
  }

  private addVotes({ votes }: PairRow): void {
    increment(this.perRow, votes.length);
    for (const vote of votes) {
      this.left += vote;
      if (vote === 0.5) this.ties++;
      else if (vote !== 0 && vote !== 1) this.softLabels++;
    }
    this.total += votes.length;
    if (votes.length >= 2) this.votes.add(votes);
  }

  private agreement(): DataStats['agreement'] {
    const votes = this.votes.rows();
    const ratings = this.ratings.rows();
    const sum = votes.reduce((total, row) => total + voteAgreement(row), 0);
    return {
      rows: votes.length + ratings.length,
      mean: votes.length > 0 ? sum / votes.length : null,
      krippendorffAlpha: krippendorffAlpha(votes, 'nominal'),
      fleissKappa: fleissKappa(votes),
      ratingsAlpha: {
        interval: krippendorffAlpha(ratings, 'interval'),
        ordinal: krippendorffAlpha(ratings, 'ordinal'),
      },
    };
  }
}

/** The judgements of each row; rows that were judged alike share one list, so that millions of rows take four bytes each. */
class Judgements {
  private readonly lists = new Interner();
  private readonly distinct: (readonly number[])[] = [];
  private codes = new Int32Array(1024);
  private count = 0;

  add(values: readonly number[]): void {
    const code = this.lists.codeOfText(values.join());
    if (code === this.distinct.length) this.distinct.push(values);
    if (this.count === this.codes.length) {
      const larger = new Int32Array(2 * this.count);
      larger.set(this.codes);
      this.codes = larger;
    }
    this.codes[this.count++] = code;
  }

  rows(): (readonly number[])[] {
    return Array.from(this.codes.subarray(0, this.count), (code) => this.distinct[code]);
  }
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function groupStats(name: string, values: ReadonlyMap<string, number>): DataStats['groups'][number] {
  const sorted = [...values].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  return {
    name,
    rows: sorted.reduce((total, [, rows]) => total + rows, 0),
    values: Object.fromEntries(sorted.slice(0, MAX_GROUP_VALUES)),
    otherValues: Math.max(sorted.length - MAX_GROUP_VALUES, 0),
  };
}
