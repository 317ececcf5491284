import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';

describe('SECURITY.md', () => {
  const [, promises] = readFileSync(`${PROJECT}SECURITY.md`, 'utf8').split('## Promised');
  const rows = promises.split('\n').filter((line) => line.startsWith('| ') && !/^\| (---|About)/.test(line));

  it.each(rows.map((row) => [row.split('|')[1].trim(), row] as const))('%s: names tests that are there', (_, row) => {
    const tests = [...row.matchAll(/`(tests\/[^`]+\.test\.ts)`/g)].map(([, path]) => path);
    expect(tests.length).toBeGreaterThan(0);
    for (const path of tests) expect(existsSync(PROJECT + path), path).toBe(true);
  });
});
