import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';
import { unexportedTypes } from '../helpers/declarations.js';

const declarations = (entry: string): string => `${PROJECT}dist/${entry}.d.ts`;

describe.each(['index', 'lifecycle'])('the entry %s', (entry) => {
  it('exports every type that its own declarations mention', () => {
    expect(unexportedTypes(declarations(entry)).map(({ type, by }) => `${type}, which ${by} mentions`)).toEqual([]);
  });
});

describe('the library and the command line', () => {
  it('have the same verbs', () => {
    const text = readFileSync(`${PROJECT}src/lifecycle.ts`, 'utf8');
    const verbs = readdirSync(`${PROJECT}src/core/lifecycle`);
    expect(verbs.filter((verb) => !text.includes(`'./core/lifecycle/${verb}/`))).toEqual([]);
  });

  it('mark every report that is printed with the id of its schema', () => {
    const commands = readdirSync(`${PROJECT}src/commands`, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    const without = commands.filter(
      (file) => !/override readonly report = /.test(readFileSync(`${PROJECT}src/commands/${file}`, 'utf8')),
    );
    // Checks for drift, profiles and selections are documents with schemas of their own, and the worker prints no report.
    const documents = ['drift/check.ts', 'profile.ts', 'select/index.ts', 'select/replay.ts'];
    expect(without.sort()).toEqual([...documents, 'worker.ts']);
  });
});
