import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';

const { files } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { files: string[] };
/** npm packs these whatever `files` says. */
const ALWAYS = ['README.md', 'LICENSE', 'package.json'];
const isPacked = (path: string): boolean =>
  [...files, ...ALWAYS].some((entry) => path === entry || path.startsWith(`${entry}/`));

const pages = [...files, ...ALWAYS].flatMap((entry) => {
  const path = join(PROJECT, entry);
  if (!existsSync(path) || !statSync(path).isDirectory()) return entry.endsWith('.md') ? [entry] : [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(entry, name));
});

/** Targets of links and pictures in a page, without addresses and anchors. */
function targetsOf(page: string): string[] {
  const text = readFileSync(join(PROJECT, page), 'utf8').replace(/^```[\s\S]*?^```/gm, '');
  return [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)\s#]+)[^)]*\)/g)].map(([, target]) =>
    relative(PROJECT, join(PROJECT, dirname(page), decodeURI(target))),
  );
}

it.each(pages)('every document that %s links to is packed with it', (page) => {
  const targets = targetsOf(page);
  expect(targets.filter((target) => !existsSync(join(PROJECT, target)))).toEqual([]);
  expect(targets.filter((target) => !isPacked(target))).toEqual([]);
});

it('looks at the pages that there are', () => {
  expect(pages).toContain('README.md');
  expect(pages.length).toBeGreaterThan(20);
  expect(targetsOf('README.md').length).toBeGreaterThan(5);
});
