import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MemoryUse } from '../../../src/core/runtime/memory-use.js';
import { underWay, watchMemory } from '../../../src/core/runtime/memory-watch.js';

const MIB = 2 ** 20;

describe('watchMemory', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function watched(use: { taken: number; of: MemoryUse['of'] }) {
    let rows = 4;
    const warnings: string[] = [];
    const end = watchMemory({
      maxMemory: undefined,
      halve: () => {
        if (rows === 1) return null;
        rows /= 2;
        return underWay(rows);
      },
      least: 'with one batch at a time',
      onWarning: (warning) => warnings.push(warning),
      look: () => ({ usedBytes: use.taken * MIB, limitBytes: 100 * MIB, of: use.of }),
    });
    return { warnings, end };
  }

  it('halves what is under way while memory stays near its limit, and says so each time, the last time too', () => {
    const use = { taken: 50, of: 'bound' as const };
    const { warnings } = watched(use);
    vi.advanceTimersByTime(2000);
    expect(warnings).toEqual([]);
    use.taken = 90;
    vi.advanceTimersByTime(10_000);
    expect(warnings).toEqual([
      '90 MiB of memory are in use, and the limit is 100 MiB: no more than 2 rows are under way at once from here on.',
      '90 MiB of memory are in use, and the limit is 100 MiB: no more than 1 row is under way at once from here on.',
      '90 MiB of memory are in use, and the limit is 100 MiB: even with one batch at a time it may need more.',
    ]);
  });

  it('says at once that a limit cannot be kept that is less than what is in use', () => {
    expect(watched({ taken: 150, of: 'bound' }).warnings).toEqual([
      '150 MiB of memory are in use, and the limit is 100 MiB: even with one batch at a time it may need more.',
    ]);
  });

  it('stops when it is told to, and names the container', () => {
    const { warnings, end } = watched({ taken: 99, of: 'container' });
    vi.advanceTimersByTime(200);
    end();
    vi.advanceTimersByTime(10_000);
    expect(warnings).toEqual([
      '99 MiB of memory are in use, and the limit of the container is 100 MiB: no more than 2 rows are under way at once from here on.',
    ]);
  });
});
