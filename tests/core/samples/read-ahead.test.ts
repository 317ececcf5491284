import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ReadAhead } from '../../../src/core/samples/read-ahead.js';
import { resolveItem } from '../../../src/core/samples/resolve.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const names = Array.from({ length: 100 }, (_, i) => `${i}.bin`);
for (const name of names) writeFileSync(join(folder, name), Buffer.alloc(1000, name));

/** Counts how far its rows were read. */
function source(rows: readonly string[][]) {
  const state = { taken: 0 };
  async function* each(): AsyncGenerator<string[]> {
    for (const row of rows) {
      state.taken++;
      yield row;
    }
  }
  return { state, rows: each() };
}

describe('ReadAhead', () => {
  it('gives the rows in their order, their files in memory, and no more than its bound', async () => {
    const ahead = new ReadAhead({ mediaRoot: folder, bytes: 4000 });
    const { state, rows } = source(names.map((name) => [name]));
    const given: string[] = [];
    let furthest = 0;
    for await (const [name] of ahead.rows(rows, (row) => row)) {
      await delay(2);
      furthest = Math.max(furthest, state.taken - given.length);
      expect(Buffer.from(ahead.contentOf(name)!)).toEqual(Buffer.alloc(1000, name));
      given.push(name);
      ahead.done([name]);
      expect(ahead.contentOf(name)).toBeUndefined();
    }
    expect(given).toEqual(names);
    expect(furthest).toBeGreaterThan(3);
    expect(furthest).toBeLessThan(40); // what is being read at a time is not known before
  });

  it('holds a file that several rows name until the last of them is over', async () => {
    const ahead = new ReadAhead({ mediaRoot: folder });
    const rows: string[][] = [];
    for await (const row of ahead.rows(source([['0.bin', '1.bin'], ['0.bin']]).rows, (each) => each)) rows.push(row);
    ahead.done(rows[0]);
    expect([ahead.contentOf('0.bin')?.length, ahead.contentOf('1.bin')]).toEqual([1000, undefined]);
    ahead.done(rows[1]);
    expect(ahead.contentOf('0.bin')).toBeUndefined();
  });

  it('leaves what cannot be read to whoever reads it, and reads nothing out of the folder', async () => {
    const ahead = new ReadAhead({ mediaRoot: folder });
    const row = ['absent.bin', '../etc/passwd', 'https://example.org/a.png', 'data:text/plain,a'];
    for await (const each of ahead.rows(source([row]).rows, (one) => one)) expect(each).toBe(row);
    expect(row.map((name) => ahead.contentOf(name))).toEqual([undefined, undefined, undefined, undefined]);
    ahead.done(row);
  });

  it('does not hold what is a large part of all it may', async () => {
    const ahead = new ReadAhead({ mediaRoot: folder, bytes: 2000 });
    for await (const [name] of ahead.rows(source([['3.bin']]).rows, (row) => row))
      expect(ahead.contentOf(name)).toBeUndefined();
  });

  it('ends with the error of its source, after the rows before it', async () => {
    const ahead = new ReadAhead({ mediaRoot: folder });
    async function* broken(): AsyncGenerator<string[]> {
      yield ['0.bin'];
      throw new Error('broken');
    }
    const given: string[][] = [];
    const reading = (async () => {
      for await (const row of ahead.rows(broken(), (each) => each)) given.push(row);
    })();
    await expect(reading).rejects.toThrow('broken');
    expect(given).toEqual([['0.bin']]);
  });

  it('changes neither the name nor the key of an item', async () => {
    const ahead = new ReadAhead({ mediaRoot: folder });
    for await (const [name] of ahead.rows(source([['5.bin']]).rows, (row) => row)) {
      const plain = await resolveItem({ image: name }, { modality: 'image', mediaRoot: folder });
      const held = await resolveItem({ image: name }, { modality: 'image', mediaRoot: folder, ahead });
      expect(held.key).toBe(plain.key);
      expect(held.media.image).toEqual({ bytes: Buffer.alloc(1000, name), name });
    }
  });
});
