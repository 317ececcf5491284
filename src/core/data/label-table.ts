import { type CodedColumn, CodedColumnBuilder, NumberColumn } from './columns.js';
import { Interner } from './interner.js';
import { type RowCounts, repeatedId } from './row-counts.js';
import { type DataRow, humanScore } from './rows.js';

interface LabelTableBase {
  readonly count: number;
  /** Row i has the id with code i: ids are distinct. */
  readonly ids: Interner;
  /** `prompt_id`, or the row's own id. No -1. */
  readonly cluster: CodedColumn;
  readonly task: CodedColumn;
  /** By name, without the prefix `groups.`. */
  readonly groups: ReadonlyMap<string, CodedColumn>;
  /** How probable it was that each row would be asked for, 1 where it does not say; absent where none does. */
  readonly propensity?: Float64Array;
}

/** Judged pairs as columns: what statistics read, some 60 bytes a row beside its id. */
export interface PairLabelTable extends LabelTableBase {
  readonly kind: 'pair';
  /** Votes for the left; a tie counts one half on each side, a soft label p counts p left and 1 - p right. */
  readonly votesLeft: Float64Array;
  readonly votesRight: Float64Array;
  /** Votes that were ties (already counted in both columns above). */
  readonly ties: Float64Array;
}

/** Scored items as columns. */
export interface AbsoluteLabelTable extends LabelTableBase {
  readonly kind: 'absolute';
  /** On the human scale: the row's score, or else the mean of its ratings. */
  readonly score: Float64Array;
  /** Raters behind the score; 0 where only the score is known. */
  readonly ratings: Float64Array;
}

export type LabelTable = PairLabelTable | AbsoluteLabelTable;

/** Where a group's name and value are in the bytes of a row. */
export interface GroupBounds {
  nameStart: number;
  nameEnd: number;
  start: number;
  end: number;
}

/** Collects rows into columns. The first row of an id wins; later ones are counted as bad. */
export class LabelTableBuilder {
  readonly ids = new Interner();
  private readonly clusters = new CodedColumnBuilder();
  private readonly tasks = new CodedColumnBuilder();
  private readonly groupNames = new Interner();
  private readonly groupColumns: CodedColumnBuilder[] = [];
  /** Code of the latest group at each position in a row. */
  private readonly groupOrder: number[] = [];
  /** votesLeft, votesRight, ties; or score, ratings. */
  private readonly numbers = [new NumberColumn(), new NumberColumn(), new NumberColumn()] as const;
  private propensities: NumberColumn | undefined;
  private kind: DataRow['kind'] | undefined;

  /** @param wanted - kind of the rows to keep; without it, that of the first row with a judgement */
  constructor(
    private readonly counts: RowCounts,
    wanted?: DataRow['kind'],
  ) {
    this.kind = wanted;
  }

  addRow(row: DataRow, line: number): void {
    const judgement = judgementOf(row);
    if (!judgement) {
      this.counts.unlabelled++;
      return;
    }
    if (!this.accepts(row.kind)) return;
    const id = Buffer.from(row.id);
    const index = this.addId(id, 0, id.byteLength, line);
    if (index < 0) return;
    judgement.forEach((value, column) => void this.numbers[column].push(value));
    const cluster = Buffer.from(row.promptId);
    this.clusters.set(index, cluster, 0, cluster.byteLength);
    if (row.task !== undefined) this.setTask(index, Buffer.from(row.task));
    if (row.propensity !== undefined) this.setPropensity(index, row.propensity);
    let position = 0;
    for (const [name, value] of row.groups) {
      const bytes = Buffer.from(name + value);
      const nameEnd = Buffer.byteLength(name);
      this.setGroup(index, bytes, position++, { nameStart: 0, nameEnd, start: nameEnd, end: bytes.byteLength });
    }
  }

  /** Whether a row of this kind is kept; the first one decides. */
  accepts(kind: DataRow['kind']): boolean {
    this.kind ??= kind;
    if (this.kind === kind) return true;
    this.counts.otherKind++;
    return false;
  }

  /** The row's index, or -1 when its id was there before. */
  addId(bytes: Uint8Array, start: number, end: number, line: number): number {
    const index = this.ids.size;
    const code = this.ids.codeOf(bytes, start, end);
    if (code === index) {
      this.counts.rows++;
      return index;
    }
    this.counts.addBad(repeatedId(this.ids.textOf(code), line));
    return -1;
  }

  addVotes(left: number, right: number, ties: number): void {
    this.numbers[0].push(left);
    this.numbers[1].push(right);
    this.numbers[2].push(ties);
  }

  setCluster(row: number, bytes: Uint8Array, start: number, end: number): void {
    this.clusters.set(row, bytes, start, end);
  }

  setPropensity(row: number, propensity: number): void {
    this.propensities ??= new NumberColumn();
    this.propensities.fillTo(row, 1);
    this.propensities.push(propensity);
  }

  setTask(row: number, bytes: Uint8Array, start = 0, end = bytes.byteLength): void {
    this.tasks.set(row, bytes, start, end);
  }

  /** @param position - of the group in its row: rows mostly have the same groups in the same order */
  setGroup(row: number, bytes: Uint8Array, position: number, at: GroupBounds): void {
    let code = this.groupOrder[position] ?? -1;
    if (code < 0 || !this.groupNames.equals(code, bytes, at.nameStart, at.nameEnd)) {
      code = this.groupNames.codeOf(bytes, at.nameStart, at.nameEnd);
      this.groupOrder[position] = code;
    }
    if (code === this.groupColumns.length) this.groupColumns.push(new CodedColumnBuilder());
    this.groupColumns[code].set(row, bytes, at.start, at.end);
  }

  finish(): LabelTable {
    const count = this.ids.size;
    const [first, second, third] = this.numbers.map((column) => column.finish());
    this.propensities?.fillTo(count, 1);
    const propensity = this.propensities?.finish();
    const base = {
      count,
      ...(propensity && { propensity }),
      ids: this.ids,
      cluster: this.clusters.finish(count),
      task: this.tasks.finish(count),
      groups: new Map(this.groupColumns.map((column, code) => [this.groupNames.textOf(code), column.finish(count)])),
    };
    return this.kind === 'absolute'
      ? { kind: 'absolute', ...base, score: first, ratings: second }
      : { kind: 'pair', ...base, votesLeft: first, votesRight: second, ties: third };
  }
}

/** Votes for the left, the right, and ties; or score and number of ratings; null when nobody has judged the row. */
function judgementOf(row: DataRow): readonly number[] | null {
  if (row.kind === 'absolute') {
    const score = humanScore(row);
    return score === undefined ? null : [score, row.ratings.length];
  }
  if (row.votes.length === 0) return null;
  const left = row.votes.reduce((sum, vote) => sum + vote, 0);
  return [left, row.votes.length - left, row.votes.filter((vote) => vote === 0.5).length];
}
