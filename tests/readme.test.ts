import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { hpsv3, PROJECT } from './helpers/cli.js';
import { blocksOf, commandLines, PAGES, typedIn, wordsOf } from './helpers/pages.js';

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

  it('says why where it is not typed', async () => {
    const untyped = PAGES.flatMap(blocksOf).filter(({ reason }) => reason !== null);
    const listed = untyped.map(({ page, text, reason }) => `${page}: ${text.split('\n', 1)[0]}\n    ${reason}`);
    await expect(`${listed.join('\n')}\n`).toMatchFileSnapshot('readme-not-run.txt');
  });

  it('has commands and flags that are there, where it is not typed', () => {
    const { commands } = JSON.parse(readFileSync(`${PROJECT}oclif.manifest.json`, 'utf8'));
    const untyped = PAGES.flatMap(blocksOf).filter(({ kind, reason }) => kind === 'sh' || reason !== null);
    const unknown = untyped.flatMap((block) =>
      commandLines(block).flatMap((line) => {
        const [program, ...words] = wordsOf(line);
        if (program !== 'hpsv3') return [];
        const ids = [words.slice(0, 3), words.slice(0, 2), words.slice(0, 1)].map((some) => some.join(':'));
        const id = ids.find((one) => Object.hasOwn(commands, one));
        if (id === undefined) return [`${block.page}: ${line}: no such command`];
        const flags: { name: string; aliases?: string[] }[] = Object.values(commands[id].flags);
        const known = ['json', 'help', ...flags.flatMap(({ name, aliases = [] }) => [name, ...aliases])];
        const given = words.filter((word) => word.startsWith('--')).map((word) => word.slice(2).split('=', 1)[0]);
        return given.filter((flag) => !known.includes(flag)).map((flag) => `${block.page}: ${id} has no --${flag}`);
      }),
    );
    expect(unknown).toEqual([]);
  });

  it('is compared line by line', () => {
    expect(firstMissing('a\nb\nc', ['a', 'b', 'c'])).toBeUndefined();
    expect(firstMissing('a\nb\nc', ['a', 'c'])).toBe('c');
    expect(firstMissing('a\nb\nc', ['a', '…', 'c'])).toBeUndefined();
    expect(firstMissing('a\nbcd', ['…', 'bc…'])).toBeUndefined();
    expect(firstMissing('a', ['…', 'b'])).toBe('b');
  });
});
