import { stripVTControlCharacters } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { hasColour } from '../../../src/core/cli/style.js';
import { displayWidth, formatTable, wrapProse } from '../../../src/core/cli/table.js';

afterEach(() => vi.unstubAllEnvs());

describe('colours', () => {
  it('are there on a terminal, unless the environment says otherwise', () => {
    expect(hasColour({}, true)).toBe(true);
    expect(hasColour({}, false)).toBe(false);
    expect(hasColour({ TERM: 'dumb' }, true)).toBe(false);
    expect(hasColour({ FORCE_COLOR: '1' }, false)).toBe(true);
    expect(hasColour({ FORCE_COLOR: '0' }, true)).toBe(false);
    expect(hasColour({ NO_COLOR: '1', FORCE_COLOR: '1' }, true)).toBe(false);
  });

  it('mark headings and verdicts of a table, and change neither its words nor its columns', () => {
    const table = () =>
      formatTable(
        ['check', 'result'],
        [
          ['finite', 'pass'],
          ['order', 'FAIL'],
        ],
      );
    vi.stubEnv('NO_COLOR', '1');
    const plain = table();
    vi.stubEnv('NO_COLOR', '');
    vi.stubEnv('FORCE_COLOR', '1');
    const coloured = table();
    expect(coloured).not.toBe(plain);
    expect(coloured).toContain('\u001b[32mpass');
    expect(coloured).toContain('\u001b[31mFAIL');
    expect(stripVTControlCharacters(coloured)).toBe(plain);
  });
});

describe('prose', () => {
  it('is broken between words, and columns are left alone', () => {
    const prose = 'a sentence that is longer than the terminal is wide, and goes on';
    const lines = wrapProse(prose, 20).split('\n');
    expect(lines.every((line) => displayWidth(line) <= 20)).toBe(true);
    expect(lines.join(' ')).toBe(prose);
    expect(wrapProse('name      value that is too long for it', 20)).toBe('name      value that is too long for it');
    expect(wrapProse(prose, undefined)).toBe(prose);
  });
});
