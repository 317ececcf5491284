import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { IdSet } from '../../../src/core/data/id-set.js';
import { idHash, isInShard, parseShard } from '../../../src/core/data/shard.js';

describe('shards', () => {
  it('are the first 8 bytes of sha256 of the id, modulo their number', () => {
    const expected = BigInt(`0x${createHash('sha256').update('row 7').digest('hex').slice(0, 16)}`);
    expect(idHash('row 7')).toBe(expected);
    const shards = [0, 1, 2, 3, 4].map((index) => isInShard(expected, { index, count: 5 }));
    expect(shards.indexOf(true)).toBe(Number(expected % 5n));
    expect(shards.filter(Boolean)).toHaveLength(1);
  });

  it('share ids evenly', () => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) counts[Number(idHash(`id-${i}`) % 4n)]++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(120); // four standard deviations
  });

  it('are written i/n', () => {
    expect(parseShard('0/1')).toEqual({ index: 0, count: 1 });
    for (const text of ['1/1', '-1/2', '1', '1/0', 'a/b', '1/2/3', '']) {
      expect(() => parseShard(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    }
  });
});

describe('IdSet', () => {
  it('knows each hash it was given, past its first size', () => {
    const ids = new IdSet();
    const hashes = Array.from({ length: 20_000 }, (_, i) => idHash(String(i)));
    expect(hashes.every((hash) => ids.add(hash))).toBe(true);
    expect(hashes.some((hash) => ids.add(hash))).toBe(false);
    expect([ids.add(0n), ids.add(0n)]).toEqual([true, false]);
  });
});
