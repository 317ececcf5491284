import type { PairRow } from '../data/rows.js';
import { HpsError } from '../errors.js';

/** The answer that a pair of known answer has by its labels: the side that most of them prefer; null without one. */
export function goldAnswer({ votes }: PairRow): 'left' | 'right' | null {
  if (votes.length === 0) return null;
  const share = votes.reduce((sum, vote) => sum + vote, 0) / votes.length;
  return share === 0.5 ? null : share > 0.5 ? 'left' : 'right';
}

/** What raters are asked: a context that is a question asks it itself. */
export function questionOf({ context, task }: PairRow, asked: string | null): string {
  if (asked !== null) return asked;
  if (context !== undefined && isQuestion(context)) return context;
  return task === undefined ? 'Which one is better?' : `Which one is better in ${task}?`;
}

/** What stands above both sides: a context that is not itself the question. */
export const promptOf = ({ context }: PairRow, asked: string | null): string | null =>
  context === undefined || (asked === null && isQuestion(context)) ? null : context;

/** Question marks of the scripts that have one of their own. */
const isQuestion = (text: string): boolean => /[?？؟՞;]\s*$/u.test(text);

/** What a pair shows, as text: two rows of one id that differ in it are not the same pair. */
export const contentOf = ({ left, right, context, task }: PairRow): string =>
  JSON.stringify([left, right, context ?? null, task ?? null]);

/**
 * Holds the pairs of a session that goes on to those it has votes on.
 * @throws HpsError DATA_INVALID where one of them is gone or shows something else
 */
export function assertUnchanged(before: readonly PairRow[], now: readonly PairRow[], voted: ReadonlySet<string>): void {
  const present = new Map(now.map((row) => [row.id, contentOf(row)]));
  const changed = before.filter((row) => voted.has(row.id) && present.get(row.id) !== contentOf(row));
  if (changed.length === 0) return;
  const [first] = changed;
  throw new HpsError(
    'DATA_INVALID',
    `${changed.length} pairs that have votes are gone or show something else, the first of them ${JSON.stringify(first.id)}`,
    {
      hint: 'Give the rows that the session began with, more rows if you like; or another folder for other pairs.',
      details: { pairs: changed.length, first: first.id },
    },
  );
}
