import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { asHpsError } from '../../../src/core/cli/failure.js';
import { flagOf, withFlags } from '../../../src/core/cli/option-names.js';
import { HpsError } from '../../../src/core/errors.js';
import { PROJECT } from '../../helpers/cli.js';

describe('withFlags', () => {
  const flags = ['dry-run', 'samples', 'out'];

  it('spells an option of core as the flag of the command', () => {
    expect(withFlags('Leave `dryRun` out, or give `samples` FILE.', flags)).toBe(
      'Leave --dry-run out, or give --samples FILE.',
    );
    expect(flagOf('out', flags)).toBe('out');
  });

  it('leaves what the command has no flag for, and commands', () => {
    const text = 'Give `resume`; see `hpsv3 export`, or `out.x`.';
    expect(withFlags(text, flags)).toBe(text);
  });

  it('is applied to failures', () => {
    const error = new HpsError('USAGE', '`samples`: is empty', { hint: 'Give `samples`.', details: { a: 1 } });
    expect(asHpsError(error, { flags: ['--samples'] })).toMatchObject({
      code: 'USAGE',
      message: '--samples: is empty',
      hint: 'Give --samples.',
      details: { a: 1 },
    });
  });
});

/** Where command lines are made for people to type: the demo's steps, the snippets of a card, and the texts of a release. */
const COMMAND_LINES = /^(cli|lifecycle\/demo|card\/(sections|html|run-page)|bundle\/(texts|triton))/;
/** A flag in a sentence: a text that is a flag and nothing else is an argument of a program. */
const FLAG_IN_TEXT = /['"`][^'"`\n]*[ (:;`]--[a-z][a-z-]+[^'"`\n]*|['"`]--[a-z][a-z-]+[ :`]/;

describe('texts of core', () => {
  it('name options, and no flags', () => {
    const root = `${PROJECT}src/core`;
    const named = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !COMMAND_LINES.test(path))
      .flatMap((path) =>
        readFileSync(join(root, path), 'utf8')
          .split('\n')
          .filter((line) => FLAG_IN_TEXT.test(line) && !/^\s*(\*|\/\*\*|\/\/)/.test(line))
          .map((line) => `${path}: ${line.trim()}`),
      );
    expect(named).toEqual([]);
  });
});
