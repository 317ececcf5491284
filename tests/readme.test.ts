import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { hpsv3, PROJECT } from './helpers/cli.js';

/** A command as a page has it, and the lines that it says come out. */
interface Typed {
  readonly page: string;
  readonly command: string;
  readonly shown: readonly string[];
  /** Why it is not typed; null where it is. */
  readonly reason: string | null;
}

const PAGES = [
  'README.md',
  ...readdirSync(`${PROJECT}docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** Commands of the blocks of kind console, in their order. A comment `<!-- not run: reason -->` before a block leaves it out. */
function typedIn(page: string): Typed[] {
  const text = readFileSync(`${PROJECT}${page}`, 'utf8');
  const blocks = text.matchAll(/(?:<!-- not run: (.+?) -->\n)?```console\n([\s\S]*?)```/g);
  return [...blocks].flatMap(([, reason = null, block]) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((piece) => {
        const [command, ...shown] = piece.trimEnd().split('\n');
        return { page, command, shown, reason };
      }),
  );
}

/** Words of a command line; quotes keep spaces. */
const wordsOf = (command: string): string[] =>
  [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, plain]) => single ?? double ?? plain);

/** Whether a line is one that is shown: `…` stands for the rest of it. */
const isShown = (line: string, shown: string): boolean =>
  shown.endsWith('…') ? line.startsWith(shown.slice(0, -1)) : line.trimEnd() === shown;

/** The first shown line that does not come in its place: after a line of `…` anywhere later, else next. */
function firstMissing(output: string, shown: readonly string[]): string | undefined {
  const lines = stripVTControlCharacters(output).split('\n');
  let at = 0;
  let anywhere = false;
  for (const line of shown) {
    if (line === '…') {
      anywhere = true;
      continue;
    }
    const next = lines.findIndex((one, i) => i >= at && isShown(one, line));
    if (next < 0 || (!anywhere && next > at)) return line;
    at = next + 1;
    anywhere = false;
  }
  return undefined;
}

const ALL = PAGES.flatMap(typedIn);
const folder = mkdtempSync(join(tmpdir(), 'hpsv3-readme-'));
for (const name of ['checkpoints', 'configs', 'examples']) symlinkSync(`${PROJECT}${name}`, join(folder, name));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('every command that a page shows with its output', () => {
  const run = ALL.filter(({ reason }) => reason === null);

  it.each(run)('$page: $command', async ({ command, shown }) => {
    const [program, ...args] = wordsOf(command);
    expect(program).toBe('hpsv3');
    const { code, stdout, stderr } = await hpsv3(args, { cwd: folder });
    const output = `${stderr}${stdout}`;
    expect(firstMissing(output, shown), output).toBeUndefined();
    expect([0, 2]).toContain(code); // one of them shows an error
  });

  it('says why where it is not typed', () => {
    expect(
      ALL.filter(({ reason }) => reason !== null).map(({ page, command, reason }) => `${page}: ${command} (${reason})`),
    ).toEqual(['README.md: hpsv3 doctor (what it finds depends on the machine)']);
  });

  it('is compared line by line', () => {
    expect(firstMissing('a\nb\nc', ['a', 'b', 'c'])).toBeUndefined();
    expect(firstMissing('a\nb\nc', ['a', 'c'])).toBe('c');
    expect(firstMissing('a\nb\nc', ['a', '…', 'c'])).toBeUndefined();
    expect(firstMissing('a\nbcd', ['…', 'bc…'])).toBeUndefined();
    expect(firstMissing('a', ['…', 'b'])).toBe('b');
  });
});
