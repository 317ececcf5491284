import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { memoryUse } from '../../../src/core/runtime/memory-use.js';
import { tempFolder } from '../../helpers/temp.js';

const MIB = 2 ** 20;

/** A file system with these files. */
function rootWith(files: Readonly<Record<string, string | number>>): string {
  const root = tempFolder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${content}\n`);
  }
  return root;
}

describe('memoryUse', () => {
  it('is what a control group takes beside copies of files, in version 2', () => {
    const at = 'sys/fs/cgroup/pods/one/memory';
    const root = rootWith({
      'proc/self/cgroup': '0::/pods/one',
      [`${at}.max`]: 100 * MIB,
      [`${at}.current`]: 90 * MIB,
      [`${at}.stat`]: `anon 1\ninactive_file ${20 * MIB}\nactive_file ${10 * MIB}\nfile 7`,
    });
    expect(memoryUse(undefined, root)).toEqual({ usedBytes: 60 * MIB, limitBytes: 100 * MIB, of: 'container' });
  });

  it('is found at the root of what a container sees, and in version 1', () => {
    const root = rootWith({
      'proc/self/cgroup': '12:cpu:/x\n5:rdma,memory:/docker/abc',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': 50 * MIB,
      'sys/fs/cgroup/memory/memory.usage_in_bytes': 49 * MIB,
      'sys/fs/cgroup/memory/memory.stat': `total_inactive_file ${MIB}`,
    });
    expect(memoryUse(undefined, root)).toMatchObject({ usedBytes: 48 * MIB, limitBytes: 50 * MIB });
  });

  it('is null without a limit, and that of this process beside a bound', () => {
    const unlimited = { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/memory.max': 'max' };
    expect(memoryUse(undefined, rootWith(unlimited))).toBeNull();
    expect(memoryUse(undefined, tempFolder())).toBeNull();
    const use = memoryUse(1000 * MIB, rootWith(unlimited))!;
    expect(use).toMatchObject({ limitBytes: 1000 * MIB, of: 'bound' });
    expect(use.usedBytes).toBeGreaterThan(20 * MIB);
  });

  it('is of the limit that is nearer', () => {
    const at = 'sys/fs/cgroup/memory';
    const files = {
      'proc/self/cgroup': '0::/',
      [`${at}.max`]: 2 ** 40,
      [`${at}.current`]: 2 ** 39,
      [`${at}.stat`]: '',
    };
    expect(memoryUse(2 ** 50, rootWith(files))!.of).toBe('container');
    expect(memoryUse(MIB, rootWith(files))!.of).toBe('bound');
  });
});
