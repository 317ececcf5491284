import { HpsError } from '../errors.js';
import { Interner } from './interner.js';
import type { IgnoredFields } from './parse-row.js';
import { quote } from './row-json.js';
import type { BadRow } from './rows.js';
import { VOTE_CODINGS, VoteSpelling } from './vote-coding.js';

/** Bad rows that are kept word for word; all are counted. */
const MAX_EXAMPLES = 20;

/** What reading a file came to, beside its rows. */
export interface RowsReport {
  /** Rows read and kept. */
  readonly rows: number;
  readonly badRows: number;
  readonly badRowsByCode: Readonly<Partial<Record<BadRow['code'], number>>>;
  /** The first bad rows, in the order of the file. */
  readonly badRowExamples: readonly BadRow[];
  /** Rows that are well-formed and carry no judgement. */
  readonly unlabelled: number;
  /** Rows of the other kind (absolute rows among pairs, or pairs among absolute rows), left out. */
  readonly otherKind: number;
  /** Names of fields the format does not have, and how many rows have each. */
  readonly ignoredFields: Readonly<Record<string, number>>;
  /** How votes are spelled in the file, where not as 1, 0 and 0.5. */
  readonly voteCoding?: string;
  /** How others lay such rows out, where they are not in our own layout. */
  readonly layout?: string;
}

/** A file without a single row, good or bad, is a mistake somewhere before. @throws HpsError DATA_INVALID */
export function refuseEmpty(file: string, rows: number): void {
  if (rows > 0) return;
  throw new HpsError('DATA_INVALID', `${file}: has no rows`, {
    hint: 'Give the file that has them. Nothing was written.',
    details: { file },
  });
}

/** What a row is reported as whose id an earlier row has. */
export const repeatedId = (id: string, line: number): BadRow => ({
  line,
  code: 'DUPLICATE_ID',
  message: `id ${quote(id)} was on an earlier row, which is kept`,
});

/** Refused rows that a message shows. */
const SHOWN_REASONS = 3;

/** Why the first of the refused rows were refused, each with its line. */
export const firstReasons = ({ badRowExamples }: RowsReport): string =>
  badRowExamples
    .slice(0, SHOWN_REASONS)
    .map(({ line, message }) => `line ${line}: ${message}`)
    .join('; ');

/** How many rows of a file were refused, and why; null where none was. */
export function describeRefused(file: string, report: RowsReport): string | null {
  const { badRows, badRowsByCode } = report;
  if (badRows === 0) return null;
  const codes = Object.entries(badRowsByCode).map(([code, count]) => `${count} ${code}`);
  return `${file}: ${badRows} ${badRows === 1 ? 'row' : 'rows'} refused (${codes.join(', ')}): ${firstReasons(report)}`;
}

/** How the votes of a file are spelled, where not as the format has them; else null. */
export function describeCoding({ voteCoding }: RowsReport): string | null {
  const coding = VOTE_CODINGS.find(({ id }) => id === voteCoding);
  return coding ? `Votes are coded ${coding.id}: ${coding.meaning}` : null;
}

/** As what the rows of a file were read, where they are not in our own layout; else null. */
export const describeLayout = ({ layout }: RowsReport): string | null =>
  layout === undefined ? null : `Read in the layout ${layout}`;

/** What of the rows of a file a reader should know, one sentence each. */
export const rowsWarnings = (file: string, report: RowsReport): string[] =>
  [describeRefused(file, report), describeCoding(report) && `${file}: ${describeCoding(report)}`]
    .filter((sentence) => sentence !== null)
    .map((sentence) => `${sentence}.`);

/** Counts while a file is read. */
export class RowCounts {
  readonly ignored: IgnoredFields = new Map();
  readonly votes = new VoteSpelling();
  layout: string | undefined;
  rows = 0;
  unlabelled = 0;
  otherKind = 0;
  private badRows = 0;
  private readonly ids = new Interner();
  private readonly byCode = new Map<BadRow['code'], number>();
  private readonly examples: BadRow[] = [];

  /** @param onBadRow - receives every bad row, for instance to write `errors.jsonl` */
  constructor(private readonly onBadRow: (row: BadRow) => void = () => {}) {}

  addBad({ line, code, message }: BadRow): void {
    this.badRows++;
    this.byCode.set(code, (this.byCode.get(code) ?? 0) + 1);
    if (this.examples.length < MAX_EXAMPLES) this.examples.push({ line, code, message });
    this.onBadRow({ line, code, message });
  }

  /** Whether an earlier row had this id; the repetition counts as bad. */
  isRepeated(id: string, line: number): boolean {
    const known = this.ids.size;
    if (this.ids.codeOfText(id) === known) return false;
    this.addBad(repeatedId(id, line));
    return true;
  }

  report(): RowsReport {
    return {
      rows: this.rows,
      badRows: this.badRows,
      badRowsByCode: Object.fromEntries(this.byCode),
      badRowExamples: this.examples,
      unlabelled: this.unlabelled,
      otherKind: this.otherKind,
      ignoredFields: Object.fromEntries(this.ignored),
      ...(this.votes.coding && { voteCoding: this.votes.coding.id }),
      ...(this.layout !== undefined && { layout: this.layout }),
    };
  }
}
