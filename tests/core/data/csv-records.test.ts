import { stringify } from 'csv-stringify/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CsvDialect, type CsvRecord, CsvScanner } from '../../../src/core/data/csv-records.js';
import type { BadRow } from '../../../src/core/data/rows.js';
import { LIMITS } from '../../../src/core/limits.js';

const COMMAS: CsvDialect = { delimiter: 0x2c, carriageReturns: false };

function scan(content: string | Buffer, { size = Number.MAX_SAFE_INTEGER, dialect = COMMAS } = {}) {
  const bytes = Buffer.from(content);
  const scanner = new CsvScanner(dialect);
  const results: (CsvRecord | BadRow)[] = [];
  for (let at = 0; at < bytes.length; at += size) results.push(...scanner.push(bytes.subarray(at, at + size)));
  return [...results, ...scanner.finish()];
}

const cellsOf = (results: readonly (CsvRecord | BadRow)[]) =>
  results.map((result) => ('cells' in result ? result.cells : `line ${result.line}: ${result.message}`));

describe('CsvScanner', () => {
  it('gives back what was written, in pieces of any size', () => {
    const table = fc.array(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'é', '😀', '"', ',', '\n', '\r', ' ') }), {
        minLength: 2,
        maxLength: 3,
      }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(table, fc.integer({ min: 1, max: 20 }), fc.constantFrom('\n', '\r\n'), (rows, size, ending) => {
        const csv = stringify(rows, { record_delimiter: ending, quoted_match: /[\r\n]/ });
        expect(cellsOf(scan(csv, { size }))).toEqual(rows);
      }),
      { numRuns: 500, seed: 4 },
    );
  });

  it('numbers records by the line they begin on, and steps over empty lines', () => {
    expect(scan('a,"x\ny\nz"\n\n\r\nb,c\r\n"",d')).toEqual([
      { line: 1, cells: ['a', 'x\ny\nz'] },
      { line: 6, cells: ['b', 'c'] },
      { line: 7, cells: ['', 'd'] },
    ]);
  });

  it.each([
    [
      'text after a closing quote',
      'a,"b" c,d\ne,f\n"g, h",i\n',
      'line 1: text follows the closing quote of cell 2',
      ['e', 'f'],
      ['g, h', 'i'],
    ],
    [
      'a quote within a cell',
      'a,b "c",d\ne,f\n',
      'line 1: a quote stands within cell 2, which does not begin with one',
      ['e', 'f'],
    ],
    [
      'a quote that is never closed',
      'a,b\nc,"d\ne,f\ng,h',
      ['a', 'b'],
      'line 2: the quote that opens cell 2 on line 2 is never closed',
      ['e', 'f'],
      ['g', 'h'],
    ],
    [
      'a quote that the next one closes',
      'a,"b\nc,d\ne,"f"\ng,h\n',
      'line 1: text follows the closing quote of cell 2',
      ['c', 'd'],
      ['e', 'f'],
      ['g', 'h'],
    ],
    ['a quote on the last line', 'a,b\n"', ['a', 'b'], 'line 2: the quote that opens cell 1 on line 2 is never closed'],
    [
      'a quote opened on a later line of its record',
      'a,"b\nc","d\ne',
      'line 1: the quote that opens cell 3 on line 2 is never closed',
      'line 2: a quote stands within cell 1, which does not begin with one',
      ['e'],
    ],
  ])('gives up one line for %s', (_name, csv, ...expected) => {
    for (const size of [1, 3, 1000]) expect(cellsOf(scan(csv, { size }))).toEqual(expected);
  });

  it('reads or reports every line once, whatever is done to the bytes', () => {
    const base = 'id,type,left\n1,pair,"a, b"\n2,pair,"two\nlines"\r\n3,pair,""\n\n4,pair,"say ""x"""\n5,pair,é\n';
    const edit = fc.record({
      at: fc.nat(base.length),
      text: fc.constantFrom('"', '""', ',', '\n', '\r', '\r\n', 'x', '\0', '\xff', '",', '\n"'),
      removed: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 6 }), fc.integer({ min: 1, max: 30 }), (edits, size) => {
        let text = Buffer.from(base).toString('latin1');
        for (const { at, text: inserted, removed } of edits)
          text = text.slice(0, at) + inserted + text.slice(at + removed);
        const bytes = Buffer.from(text, 'latin1');
        const results = scan(bytes, { size });
        expect(results).toEqual(scan(bytes));
        if (results.some((result) => 'cells' in result && result.cells.includes(null))) return; // their lines are not known
        const takenBy = text.split('\n').map(() => 0);
        for (const result of results) {
          const lines = 'cells' in result ? result.cells.join('').split('\n').length : 1;
          for (let i = 0; i < lines; i++) takenBy[result.line - 1 + i]++;
        }
        const isBlank = text.split('\n').map((line) => line === '' || line === '\r');
        expect(takenBy.filter((count, i) => count !== 1 && !(count === 0 && isBlank[i]))).toEqual([]);
      }),
      { numRuns: 3000, seed: 5 },
    );
  });

  it('gives up the first line of a record beyond the limit, in memory that is bounded too', () => {
    const line = `${'x'.repeat(9999)}\n`;
    const lines = Math.ceil(LIMITS.rowBytes / line.length) + 1;
    for (const size of [1 << 20, 1 << 30]) {
      const [first, ...rest] = scan(`a,"${line.repeat(lines)}b,c\n`, { size });
      expect(first).toMatchObject({ line: 1, code: 'ROW_TOO_LARGE' });
      expect(rest).toHaveLength(lines);
      expect(rest.at(-1)).toEqual({ line: lines + 1, cells: ['b', 'c'] });
    }
  });

  it('reads damaged records in linear time', () => {
    // Each opens a quote whose record breaks on the line after the next; a reader that starts over would read it all each time.
    const lines = Array.from({ length: 100_000 }, (_, i) => (i % 3 ? `",${i},"` : `a,"${i}`));
    const results = scan(lines.join('\n'));
    expect(results.length).toBeGreaterThan(50_000);
  });

  it('knows other delimiters, and lines that end in a carriage return', () => {
    const dialect = { delimiter: 0x3b, carriageReturns: true };
    for (const size of [1, 100]) {
      expect(cellsOf(scan('a;b,c\r"d\r;e";f\rg', { size, dialect }))).toEqual([['a', 'b,c'], ['d\r;e', 'f'], ['g']]);
    }
  });

  it('tells cells that are not UTF-8 from the others', () => {
    expect(scan(Buffer.from('a,\xff,b\nc,d,e\n', 'latin1'))).toEqual([
      { line: 1, cells: ['a', null, 'b'] },
      { line: 2, cells: ['c', 'd', 'e'] },
    ]);
  });
});
