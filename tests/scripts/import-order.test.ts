import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const { ORDER, VERBS_OF }: { ORDER: string[]; VERBS_OF: Record<string, string[]> } = await import(
  new URL('../../scripts/import-order.js', import.meta.url).href
);
const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('the order of folders', () => {
  it('is the table of CONTRIBUTING.md', () => {
    const rows = [...read('CONTRIBUTING.md').matchAll(/^\| `([\w.]+)` \|/gm)].map(([, folder]) => folder);
    expect(rows).toEqual(ORDER);
  });

  it('is the house that src/core/README.md draws, the roof first', () => {
    const floors = [...read('src/core/README.md').matchAll(/^ {4}([\w.]+) +(?!opens to)\S/gm)].map(
      ([, floor]) => floor,
    );
    expect(floors).toEqual([...ORDER].reverse());
  });

  it('has the doors between verbs that src/core/README.md draws', () => {
    const doors = [...read('src/core/README.md').matchAll(/^ {4}(\w+) +opens to (.+)$/gm)].map(([, from, to]) => [
      from,
      to.split(', '),
    ]);
    expect(Object.fromEntries(doors)).toEqual(VERBS_OF);
  });
});
