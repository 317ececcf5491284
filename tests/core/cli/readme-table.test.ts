import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PROJECT } from '../../helpers/cli.js';

it('names every command in the table of the README, and no other', () => {
  const table = readFileSync(`${PROJECT}README.md`, 'utf8').match(/\| Command \| Does \|\n([\s\S]*?)\n\n/)![1];
  const named = [...table.matchAll(/^\| (.+?) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  const commands = readdirSync(`${PROJECT}src/commands`).map((entry) => entry.replace(/\.ts$/, ''));
  expect(named.sort()).toEqual(commands.sort());
});
