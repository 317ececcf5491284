import { describe, expect, it } from 'vitest';
import { differencesOf, numbersIn } from '../../../src/core/card/differences.js';

describe('differencesOf', () => {
  it('names each value that differs by its path', () => {
    const stated = { a: [1, { b: 'x' }], c: null, d: 1 };
    const found = { a: [1, { b: 'y' }], c: null, e: [1, 2] };
    expect(differencesOf(stated, found)).toEqual([
      { at: 'a.1.b', stated: 'x', found: 'y' },
      { at: 'd', stated: 1, found: 'absent' },
      { at: 'e', stated: 'absent', found: 'a list of 2' },
    ]);
  });

  it('lets numbers differ by rounding where asked to, and by nothing else', () => {
    expect(differencesOf({ a: 1 }, { a: 1 + 1e-12 }, '', 1e-9)).toEqual([]);
    expect(differencesOf({ a: 1 }, { a: 1 + 1e-12 })).toHaveLength(1);
    expect(differencesOf({ a: 2e-16 }, { a: 0 }, '', 1e-9)).toEqual([]);
    expect(differencesOf({ a: 1e-12 }, { a: 0 }, '', 1e-9)).toHaveLength(1);
    expect(differencesOf({ a: 0 }, { a: '0' }, '', 1e-9)).toHaveLength(1);
    expect(differencesOf([1], { 0: 1 })).toHaveLength(1);
  });
});

describe('numbersIn', () => {
  it('counts numbers at any depth', () => {
    expect(numbersIn({ a: [1, { b: 2, c: 'x', d: null }], e: 3 })).toBe(3);
  });
});
