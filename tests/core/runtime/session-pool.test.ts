import { describe, expect, it, vi } from 'vitest';
import { HpsError } from '../../../src/core/errors.js';
import type { ThreadSession } from '../../../src/core/runtime/child.js';
import { SessionPool } from '../../../src/core/runtime/session-pool.js';
import { float32Value } from '../../../src/core/runtime/value.js';

const feeds = (x: number) => new Map([['x', float32Value([1], Float32Array.of(x))]]);

/** Sessions that answer with their own number, each busy for as long as it is told. */
function sessions(refuse: (opened: number) => boolean = () => false) {
  const released: number[] = [];
  const ran: number[] = [];
  let opened = 0;
  const open = async (): Promise<ThreadSession> => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (refuse(opened)) throw new HpsError('MODEL_OUT_OF_MEMORY', 'no room');
    const number = opened++;
    let queue = Promise.resolve();
    const session: Partial<ThreadSession> = {
      device: { kind: 'cpu' },
      inputs: [],
      loadMs: 1,
      run: (given) => {
        queue = queue.then(() => new Promise((resolve) => setTimeout(resolve, 2)));
        return queue.then(() => {
          ran.push(number);
          return new Map(given);
        });
      },
      release: async () => void released.push(number),
    };
    return session as ThreadSession;
  };
  return { open, ran, released };
}

async function withPool(
  most: number,
  { open, refused = [] }: { open: () => Promise<ThreadSession>; refused?: number[] },
  use: (pool: SessionPool) => Promise<void>,
): Promise<void> {
  const pool = new SessionPool(await open(), { open, most, onRefused: (_, count) => refused.push(count) });
  await use(pool);
  await pool.settled();
  await pool.release();
}

const many = (pool: SessionPool, count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => pool.run(feeds(i))));

describe('SessionPool', () => {
  it('opens more sessions while runs keep waiting, up to the most, and ends all of them', async () => {
    const fake = sessions();
    await withPool(4, fake, async (pool) => {
      const outputs = await many(pool, 100);
      expect(outputs.map((values) => values.get('x')!.data[0])).toEqual(Array.from({ length: 100 }, (_, i) => i));
      expect(pool.sessions).toBe(4);
      expect(new Set(fake.ran)).toEqual(new Set([0, 1, 2, 3]));
    });
    expect(fake.released.sort()).toEqual([0, 1, 2, 3]);
  });

  it('opens one before a long run ends', async () => {
    const fake = sessions();
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const endless = async () => ({ ...(await fake.open()), run: () => ended.then(() => new Map()) });
    await withPool(2, { open: endless }, async (pool) => {
      const runs = many(pool, 2);
      await vi.waitFor(() => expect(pool.sessions).toBe(2));
      end();
      await runs;
    });
  });

  it('opens none while runs wait less than opening one takes, as the items of a pair do', async () => {
    const fake = sessions();
    await withPool(4, { open: async () => ({ ...(await fake.open()), loadMs: 1e6 }) }, async (pool) => {
      await many(pool, 20);
      expect(pool.sessions).toBe(1);
    });
  });

  it('stays as it is where one more is refused, and says so once', async () => {
    const fake = sessions((opened) => opened > 1);
    const refused: number[] = [];
    await withPool(8, { ...fake, refused }, async (pool) => {
      await many(pool, 100);
      expect(pool.sessions).toBe(2);
    });
    expect(refused).toEqual([2]);
  });

  it('gives the error of a run to that run, and refuses runs that wait when it is closed', async () => {
    const fake = sessions();
    const first = await fake.open();
    const failing = { ...first, run: () => Promise.reject(new HpsError('INPUTS_INVALID', 'no')) };
    await withPool(1, { open: async () => failing }, async (pool) => {
      await expect(pool.run(feeds(1))).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
    });
    const pool = new SessionPool(first, { open: fake.open, most: 1, onRefused: () => undefined });
    const settled = Promise.allSettled([1, 2, 3].map((x) => pool.run(feeds(x))));
    await pool.release();
    expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  });
});
