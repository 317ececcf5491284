import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { withBoundedThreads } from '../../../src/core/runtime/bounded-threads.js';

const MIB = 2 ** 20;

describe('withBoundedThreads', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const bounded = (usedMiB: number, work: (count: () => number | undefined) => void | Promise<void>) => {
    const use = { taken: usedMiB };
    const warnings: string[] = [];
    const done = withBoundedThreads(
      {
        ...{ threads: 4, rows: MIB, rowBytes: 100 },
        onWarning: (warning) => warnings.push(warning),
        look: () => ({ usedBytes: use.taken * MIB, limitBytes: 1000 * MIB, of: 'bound' }),
      },
      async (pool) => {
        await work(() => pool?.count);
        return pool?.count ?? null;
      },
    );
    return { use, warnings, done };
  };

  it('starts as many threads as there is room for, and says so', async () => {
    const roomy = bounded(100, () => undefined);
    expect([await roomy.done, roomy.warnings]).toEqual([4, []]);
    const tight = bounded(600, () => undefined);
    expect(await tight.done).toBe(2);
    expect(tight.warnings).toEqual([
      '600 MiB of memory are in use, and the limit is 1,000 MiB; 4 threads could take 400 MiB more: no more than 2 threads compute at once.',
    ]);
  });

  it('goes on with one thread where there is room for none', async () => {
    const full = bounded(990, () => void vi.advanceTimersByTime(200));
    expect(await full.done).toBeNull();
    expect(full.warnings).toEqual([
      '990 MiB of memory are in use, and the limit is 1,000 MiB; 4 threads could take 400 MiB more: no more than 1 thread computes at once.',
      '990 MiB of memory are in use, and the limit is 1,000 MiB: even with one thread it may need more.',
    ]);
  });

  it('halves the threads while memory stays near its limit', async () => {
    const filling: ReturnType<typeof bounded> = bounded(100, async (count) => {
      await Promise.resolve();
      filling.use.taken = 900;
      vi.advanceTimersByTime(200);
      expect(count()).toBe(2);
    });
    expect(await filling.done).toBe(2);
    expect(filling.warnings).toEqual([
      '900 MiB of memory are in use, and the limit is 1,000 MiB: no more than 2 threads compute at once from here on.',
    ]);
  });
});
