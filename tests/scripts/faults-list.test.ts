import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';

const read = (path: string): string => readFileSync(`${PROJECT}tests/${path}`, 'utf8');
const rows = [...read('FAULTS.md').matchAll(/^\| (\d+) \|.*\| (.*) \|$/gm)].map(([, number, tests]) => ({
  number,
  tests,
}));

it('lists every fault, in order', () => {
  expect(rows.map(({ number }) => Number(number))).toEqual(Array.from({ length: 23 }, (_, i) => i + 1));
});

it.each(rows)('the tests of fault $number are there', ({ tests }) => {
  let file = '';
  const named = tests.split('; ').map((entry) => {
    const [, path, words] = /^(?:([\w/.-]+\.ts): )?`(.+)`$/.exec(entry) ?? [];
    file = path ?? file;
    return { file, words };
  });
  expect(named.filter(({ file, words }) => words === undefined || !read(file).includes(words))).toEqual([]);
});
