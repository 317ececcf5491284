import { describe, expect, it } from 'vitest';
import { didYouMean, editDistance, suggest } from '../../../src/core/bytes/suggest.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatHash,
  formatJson,
  printable,
} from '../../../src/core/cli/format.js';
import { startProgress } from '../../../src/core/cli/progress.js';
import { displayWidth, formatTable, truncate } from '../../../src/core/cli/table.js';
import type { Progress } from '../../../src/core/run.js';

describe('suggest', () => {
  it.each([
    ['kitten', 'sitting', 3],
    ['', 'abc', 3],
    ['opest', 'opset', 1],
    ['seed', 'seed', 0],
  ])('counts the edits from %s to %s', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });

  it('picks the nearest word, and none when all are far', () => {
    expect(suggest('--opst', ['--seed', '--opset', '--out'])).toBe('--opset');
    expect(suggest('zebra', ['seed', 'opset'])).toBeUndefined();
    expect(suggest('x'.repeat(100_000), ['seed'])).toBeUndefined();
    expect(didYouMean('zebra', ['seed', 'opset'])).toBe('Known: seed, opset.');
  });
});

describe('format', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1_048_575, '1.0 MiB'],
    [1.5 * 2 ** 30, '1.5 GiB'],
    [2 ** 62, '4096.0 PiB'],
  ])('writes %d bytes as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [450, '450 ms'],
    [999.7, '1.0 s'],
    [12_340, '12.3 s'],
    [59_999, '1m 00s'],
    [83_000, '1m 23s'],
    [3_600_000 + 59_000 * 60, '1h 59m'],
  ])('writes %d ms as %s', (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text));

  it('groups digits and shortens hashes', () => {
    expect(formatCount(1_234_567)).toBe('1,234,567');
    expect(formatHash('0123456789abcdef')).toBe('0123456789ab');
  });

  it('spells out what would drive a terminal or reorder text', () => {
    expect(printable('a\u001b[2Jb\nc\u202ed\u009be')).toBe('a\\u001b[2Jb\\u000ac\\u202ed\\u009be');
    expect(printable('naïve 漢字')).toBe('naïve 漢字');
  });
});

describe('formatJson', () => {
  it('escapes what would drive a terminal, and reads back the same', () => {
    const value = { 'na\u009bme': ['\u001b[31m', '\u202e', '\n', '漢字'] };
    const text = formatJson(value);
    expect(text).toMatch(/^[\n\u0020-\u007e漢字]*$/);
    expect(JSON.parse(text)).toEqual(value);
  });
});

describe('formatTable', () => {
  it('aligns words left and numbers right', () => {
    const table = formatTable(
      ['tensor', 'numel'],
      [
        ['a.weight', 1200],
        ['b', 7],
        ['c', null],
      ],
    );
    expect(table).toBe('tensor    numel\na.weight  1,200\nb             7\nc             -');
  });

  it('counts wide characters as two columns and combining ones as none', () => {
    expect(displayWidth('漢字')).toBe(4);
    expect(displayWidth('e\u0301')).toBe(1);
    const [, wide, narrow] = formatTable(
      ['n', 'v'],
      [
        ['漢字', 'x'],
        ['abcd', 'y'],
      ],
    ).split('\n');
    expect(displayWidth(wide)).toBe(displayWidth(narrow));
  });

  it('cuts the widest column to the width of the terminal', () => {
    const table = formatTable(['name', 'n'], [['x'.repeat(100), 12345]], { width: 40 });
    for (const line of table.split('\n')) expect(displayWidth(line)).toBeLessThanOrEqual(40);
    expect(table).toContain('…');
    expect(table).toContain('12,345');
    expect(truncate('漢字漢字', 5)).toBe('漢字…');
  });

  it('pads nothing to the width of a name of a megabyte, and writes that name whole', () => {
    const long = 'x'.repeat(1_000_000);
    const table = formatTable(['name', 'n'], [[long, 1], ...Array.from({ length: 100 }, () => ['short', 2])]);
    expect(table).toContain(`${long}  1`);
    expect(table.length).toBeLessThan(long.length + 101 * 200);
  });

  it('lets no control character of a cell through', () => {
    expect(formatTable(['name'], [['\u001b[31mred']])).toBe('name\n\\u001b[31mred');
  });
});

describe('startProgress', () => {
  function record(isTTY: boolean, env: NodeJS.ProcessEnv = {}, quiet = false) {
    let written = '';
    let time = 0;
    const stream = {
      isTTY,
      columns: 60,
      write(text: string) {
        written += text;
      },
    };
    const progress = startProgress({ stream: stream as never, env, quiet, now: () => time });
    for (let step = 1; step <= 40; step++) {
      time = step * 1000;
      progress.update({ stage: 'Exporting', done: step * 1024, total: 40 * 1024, unit: 'bytes' });
    }
    progress.finish();
    return written;
  }

  it('keeps one live line on a terminal, never wider than it, and clears it', () => {
    const lines = record(true).split('\r\u001b[K');
    expect(lines).toHaveLength(42);
    expect(lines[20]).toContain('50%, 20.0 KiB of 40.0 KiB');
    expect(lines.at(-1)).toBe('');
    for (const line of lines) expect(line.length).toBeLessThan(60);
  });

  it.each([
    [false, {}],
    [true, { TERM: 'dumb' }],
    [true, { NO_COLOR: '1' }],
  ])('prints a plain line every ten seconds elsewhere (terminal %s, %o)', (isTTY, env) => {
    const text = record(isTTY, env);
    expect(text).not.toContain('\u001b');
    expect(text.trimEnd().split('\n')).toHaveLength(4);
    expect(text).toContain('Exporting: 25%, 10.0 KiB of 40.0 KiB, 1.0 KiB/s, 30.0 s left\n');
  });

  it('is silent when asked', () => {
    expect(record(true, {}, true)).toBe('');
  });
});

describe('a stage', () => {
  /** What is written of updates a second apart, by plain lines. */
  function lines(updates: readonly Progress[]): string[] {
    let written = '';
    let time = 0;
    const stream = {
      isTTY: false,
      write(text: string) {
        written += text;
      },
    };
    const progress = startProgress({ stream: stream as never, env: {}, now: () => time });
    for (const update of updates) {
      time += 1000;
      progress.update(update);
    }
    progress.finish();
    return written.trimEnd().split('\n');
  }
  const counted = (count: number, more: (i: number) => Partial<Progress>): Progress[] =>
    Array.from({ length: count }, (_, i) => ({ stage: 'Scoring', done: i + 1, total: null, unit: 'rows', ...more(i) }));

  it.each([
    ['with a guess', () => ({ total: 30, isEstimate: true }), 'Scoring: 10 of about 30 rows, 1.0/s, 20.0 s left'],
    ['without a total', () => ({}), 'Scoring: 10 rows, 1.0/s, 9.0 s'],
    ['with one', () => ({ total: 30 }), 'Scoring: 10 of 30 rows, 1.0/s, 20.0 s left'],
    [
      'with a detail',
      () => ({ total: 30, detail: 'loss 0.5' }),
      'Scoring: 10 of 30 rows, 1.0/s, 20.0 s left, loss 0.5',
    ],
    ['that is only named', () => ({ done: 0 }), 'Scoring: 9.0 s'],
    ['of bytes of unknown length', () => ({ unit: 'bytes' as const }), 'Scoring: 10 B, 1 B/s, 9.0 s'],
    ['that could drive a terminal', () => ({ stage: 'a\u001b[2J' }), 'a\\u001b[2J: 10 rows, 1.0/s, 9.0 s'],
  ])('%s says how far it is', (_, more, line) => expect(lines(counted(10, more))).toEqual([line]));

  it('has a rate of its own, and one of what was done since it was first seen', () => {
    const before = counted(8, () => ({ stage: 'Reading' }));
    const resumed = counted(5, (i) => ({ done: 100 + 2 * i, total: 110 }));
    expect(lines([...before, ...resumed])).toEqual(['Scoring: 102 of 110 rows, 2.0/s, 4.0 s left']);
  });
});
