import { describe, expect, it } from 'vitest';
import { FlatColumns } from '../../../src/core/data/flat.js';

describe('the header of a table', () => {
  it('is refused with more columns than any table has, in linear time', () => {
    const names = ['type', ...Array.from({ length: 1_000_000 }, (_, i) => `c${i}`)];
    expect(() => new FlatColumns(names, 'x.csv', [['type']])).toThrow(
      expect.objectContaining({ code: 'DATA_INVALID' }),
    );
  });
});
