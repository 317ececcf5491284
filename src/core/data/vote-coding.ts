import { quote, type RowFields, type RowValue } from './row-json.js';

/** A spelling of votes that files have instead of 1, 0 and 0.5. */
export interface VoteCoding {
  readonly id: string;
  /** What its spellings are read as, for people. */
  readonly meaning: string;
  /** 1 left preferred, 0 right, 0.5 tie, by the spelling in lower case. */
  readonly votes: ReadonlyMap<string, number>;
}

const words = (left: string, right: string): ReadonlyMap<string, number> =>
  new Map([
    [left, 1],
    [right, 0],
    ['tie', 0.5],
  ]);

export const VOTE_CODINGS: readonly VoteCoding[] = [
  {
    id: '1/2',
    meaning: '1 is the left, 2 the right',
    votes: new Map([
      ['1', 1],
      ['2', 0],
    ]),
  },
  { id: 'left/right', meaning: 'left and right are the side preferred', votes: words('left', 'right') },
  { id: 'A/B', meaning: 'A is the left, B the right', votes: words('a', 'b') },
  {
    id: 'chosen/rejected',
    meaning: 'chosen is a left side that was preferred, rejected one that was not',
    votes: words('chosen', 'rejected'),
  },
];

/** Distinct spellings that are looked at: a file of votes has a few. */
const MAX_SPELLINGS = 100;

/**
 * How the votes of one file are spelled. Nobody needs to know until a vote is met that is not 1, 0 or 0.5; then the whole file
 * is looked through, since a 1 or a 2 alone says nothing. Rows that were read before are right in either case: every vote that
 * both codings have means the same in them.
 */
export class VoteSpelling {
  /** Null where votes are spelled as the format has them, or in no one way. */
  coding: VoteCoding | null = null;
  /** Whether a vote was met that `settle` may explain. */
  isPending = false;
  private isSettled = false;
  /** Why there is no coding: the end of the sentence that refuses a vote. */
  private why = '';

  /** A vote as 1, 0 or 0.5; undefined for one that nothing explains. */
  decode(value: RowValue): number | undefined {
    const spelling = spellingOf(value);
    if (this.coding) return this.coding.votes.get(spelling);
    if (value === 1 || value === 0 || value === 0.5) return value;
    this.isPending = !this.isSettled && isCoded(spelling);
    return undefined;
  }

  /** What a vote must be, and is not. */
  refusal(value: RowValue): string {
    const due = this.coding ? `one of ${[...this.coding.votes.keys()].join(', ')}` : '1, 0 or 0.5';
    return `must be ${due}, not ${quote(value)}${this.why}`;
  }

  /** @param rows - the fields of every row of the file; null for a stream, which can be read only once */
  async settle(rows: AsyncIterable<RowFields> | null): Promise<void> {
    this.isSettled = true;
    this.isPending = false;
    if (!rows) {
      this.why = ' (other codings are recognised in files, not in streams)';
      return;
    }
    const spellings = new Set<string>();
    for await (const fields of rows) {
      for (const vote of votesOf(fields)) if (spellings.size < MAX_SPELLINGS) spellings.add(spellingOf(vote));
    }
    const known = [...spellings].filter((spelling) => isStandard(spelling) || isCoded(spelling));
    this.coding = VOTE_CODINGS.find(({ votes }) => known.every((spelling) => votes.has(spelling))) ?? null;
    if (!this.coding) this.why = ` (the file mixes codings: ${known.slice(0, 8).join(', ')})`;
  }
}

const isCoded = (spelling: string): boolean => VOTE_CODINGS.some(({ votes }) => votes.has(spelling));

/** A number from 0 to 1: a vote, or a soft label. */
const isStandard = (spelling: string): boolean => spelling !== '' && Number(spelling) >= 0 && Number(spelling) <= 1;

const spellingOf = (value: RowValue): string =>
  typeof value === 'string' ? value.trim().toLowerCase() : typeof value === 'number' ? String(value) : '';

/** The votes of a pair, as they stand in the file. */
function votesOf(fields: RowFields): readonly RowValue[] {
  if (!fields.has('left')) return [];
  const labels = fields.get('labels') ?? fields.get('label') ?? [];
  return Array.isArray(labels) ? labels : [labels as RowValue];
}
