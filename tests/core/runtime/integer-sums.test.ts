import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { RemoteSession } from '../../../src/core/runtime/child.js';
import { withModelProcess } from '../../../src/core/runtime/child.js';
import { sumsAreCutOff } from '../../../src/core/runtime/integer-sums.js';

const flags = process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'latin1') : '';

describe('sumsAreCutOff', () => {
  it.skipIf(process.arch !== 'x64' || flags === '')('is so where the processor has no VNNI', async () => {
    expect(await withModelProcess({}, sumsAreCutOff)).toBe(!/\bavx(512)?_vnni\b/.test(flags));
  });

  it.each([
    [255 * 127 * 32, false],
    [16 * (2 ** 15 - 1), true],
  ])('looks at the sums themselves: %i', async (sum, expected) => {
    const session = {
      run: async () => new Map([['y', { dtype: 'I32', shape: [4, 16], data: new Int32Array(64).fill(sum) }]]),
      release: async () => undefined,
    } as unknown as RemoteSession;
    expect(await sumsAreCutOff({ load: async () => session })).toBe(expected);
  });
});
