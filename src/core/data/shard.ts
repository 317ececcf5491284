import { hash } from 'node:crypto';
import { HpsError } from '../errors.js';

/** One part of a file that several processes share. */
export interface Shard {
  /** 0 <= index < count */
  readonly index: number;
  readonly count: number;
}

/** @throws HpsError USAGE unless the text is `i/n` with 0 <= i < n */
export function parseShard(text: string): Shard {
  const [, index, count] = (/^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []).map(Number);
  if (index < count) return { index, count };
  throw new HpsError('USAGE', `\`shard\`: expected i/n with 0 <= i < n, got ${text}`, {
    hint: 'The first of four shards is 0/4, the last one 3/4.',
  });
}

/** The first 8 bytes of sha256 of an id: tells ids apart, and spreads them evenly over shards. */
export const idHash = (id: string): bigint => hash('sha256', id, 'buffer').readBigUInt64BE();

/** Whether a row belongs to a shard: by its id alone, wherever it stands. */
export const isInShard = (hash: bigint, { index, count }: Shard): boolean => hash % BigInt(count) === BigInt(index);
