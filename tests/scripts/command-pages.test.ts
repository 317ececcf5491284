import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';

type Pages = Map<string, string>;
interface Program {
  commandPages(manifest: object, oclif: object): Pages;
}

const { commandPages }: Program = await import(new URL('../../scripts/command-pages.js', import.meta.url).href);
const readJson = (path: string) => JSON.parse(readFileSync(`${PROJECT}${path}`, 'utf8'));

it('has a page for every command as the command describes itself (npm run docs)', () => {
  const written = commandPages(readJson('oclif.manifest.json'), readJson('package.json').oclif);
  const folder = `${PROJECT}docs/commands/`;
  const committed = new Map(readdirSync(folder).map((name) => [name, readFileSync(`${folder}${name}`, 'utf8')]));
  expect(Object.fromEntries(committed)).toEqual(Object.fromEntries(written));
});

it('keeps what is in a description from becoming markup or a table cell', () => {
  const flags = {
    out: { name: 'out', type: 'option', required: true, helpValue: 'FILE', description: 'a|b <i> *c*, and `--x *`' },
    by: { name: 'by', type: 'option', options: ['p', 'q'], default: 'p', exclusive: ['out'] },
    on: { name: 'on', type: 'boolean', allowNo: true, default: true, description: 'On' },
  };
  const manifest = {
    commands: {
      'a:b': { id: 'a:b', summary: 'Sums.', flags, args: {}, examples: ['<%= config.bin %> <%= command.id %> 1'] },
    },
  };
  const page = commandPages(manifest, { bin: 'tool' }).get('a-b.md');
  expect(page).toContain('# tool a b');
  expect(page).toContain('tool a b --out FILE [FLAGS]');
  expect(page).toContain('| `--out FILE` | required | a\\|b \\<i\\> \\*c\\*, and `--x *` |');
  expect(page).toContain('| `--by p\\|q` | `p` | (not with --out) |');
  expect(page).toContain('| `--[no-]on` | `true` | On |');
  expect(page).toContain('```sh\ntool a b 1\n```');
});

it('lists every page of docs in its index', () => {
  const index = readFileSync(`${PROJECT}docs/README.md`, 'utf8');
  const pages = readdirSync(`${PROJECT}docs`).filter((file) => file.endsWith('.md') && file !== 'README.md');
  expect(pages.filter((page) => !index.includes(`](${page})`))).toEqual([]);
});
