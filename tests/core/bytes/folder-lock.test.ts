import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { withLockedFolder } from '../../../src/core/bytes/folder-lock.js';
import { sha256Hex } from '../../../src/core/bytes/hash.js';
import { tempFolder } from '../../helpers/temp.js';

let parent: string;
let folder: string;
beforeEach(() => {
  parent = tempFolder();
  folder = join(parent, 'runs', 'run');
});

describe('withLockedFolder', () => {
  it('lets one at a time in, by whatever path, and names the process that is', async () => {
    await withLockedFolder(folder, async () => {
      for (const path of [folder, `${folder}/`, join(folder, '..', 'run')]) {
        await expect(withLockedFolder(path, async () => 'in')).rejects.toMatchObject({
          code: 'OUTPUT_BUSY',
          exitCode: 2,
          details: { folder: 'run', pid: process.pid },
        });
      }
      writeFileSync(join(folder, 'kept'), '');
    });
    expect(await withLockedFolder(folder, async () => 'in')).toBe('in');
    expect(readdirSync(folder)).toEqual(['kept']);
  });

  it('takes the folder of a process that is gone', async () => {
    const hex = (text: string) => sha256Hex(Buffer.from(text)).slice(0, 8);
    mkdirSync(join(folder, `.tmp-999999999-${hex(hostname())}-${hex('.')}-00000000`), { recursive: true });
    expect(await withLockedFolder(folder, async () => readdirSync(folder).length)).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('removes the folders it made where nothing came into them, and no other', async () => {
    await expect(withLockedFolder(folder, () => Promise.reject(new Error('bad data')))).rejects.toThrow('bad data');
    expect(readdirSync(parent)).toEqual([]);
    mkdirSync(folder, { recursive: true });
    await withLockedFolder(folder, async () => undefined);
    expect(existsSync(folder)).toBe(true);
  });

  it('refuses a file in its place', async () => {
    writeFileSync(join(parent, 'file'), '');
    await expect(withLockedFolder(join(parent, 'file'), async () => 'in')).rejects.toMatchObject({
      code: 'OUTPUT_INVALID',
    });
    await expect(withLockedFolder(join(parent, 'file', 'run'), async () => 'in')).rejects.toMatchObject({
      code: 'OUTPUT_INVALID',
    });
  });
});
