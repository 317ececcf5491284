import { styleText } from 'node:util';

/** What a word means, wherever it stands. */
export type Meaning = 'heading' | 'good' | 'bad' | 'doubtful' | 'aside';

const STYLES = { heading: 'bold', good: 'green', bad: 'red', doubtful: 'yellow', aside: 'dim' } as const;

/** Whether standard output shows colours: on a terminal that has them, unless NO_COLOR says no; FORCE_COLOR says yes anywhere. */
export function hasColour(env: NodeJS.ProcessEnv = process.env, isTerminal = process.stdout.isTTY === true): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: none, TERM: terminal } = env;
  if (none) return false;
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return isTerminal && terminal !== 'dumb';
}

/** The text as its meaning is shown; plain where there are no colours, so that nothing is said by colour alone. */
export function styled(meaning: Meaning, text: string): string {
  return hasColour() ? styleText(STYLES[meaning], text, { validateStream: false }) : text;
}

const MEANINGS: ReadonlyMap<string, Meaning> = new Map([
  ...['pass', 'ready', 'found', 'improved', 'better', 'faster', 'writable'].map((word) => [word, 'good'] as const),
  ...['FAIL', 'failed', 'missing', 'regressed', 'worse', 'slower', 'does not load'].map(
    (word) => [word, 'bad'] as const,
  ),
  ...['undecided', 'not found', 'not installed'].map((word) => [word, 'doubtful'] as const),
]);

/** A cell of a table that is a verdict by itself, as the verdict is shown. */
export function styledCell(text: string): string {
  const meaning = MEANINGS.get(text.trim());
  return meaning === undefined ? text : styled(meaning, text);
}
