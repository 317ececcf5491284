import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { withTemporaryFolder } from '../../../src/core/bytes/temporary-folder.js';
import { HpsError } from '../../../src/core/errors.js';
import { tempFolder } from '../../helpers/temp.js';

afterEach(() => vi.unstubAllEnvs());

it('is removed, whether its use succeeds or fails', async () => {
  const parent = tempFolder();
  vi.stubEnv('TMPDIR', parent);
  const use = async (folder: string): Promise<number> => {
    await writeFile(join(folder, 'x'), 'x');
    return readdirSync(folder).length;
  };
  expect(await withTemporaryFolder('test', use)).toBe(1);
  await expect(
    withTemporaryFolder('test', async (folder) => {
      await use(folder);
      throw new RangeError('a bug');
    }),
  ).rejects.toThrow(RangeError);
  expect(readdirSync(parent)).toEqual([]);
});

it.each([
  ['absent', () => undefined, 'there is no such folder'],
  ['a-file', (path: string) => writeFileSync(path, ''), 'it is not a folder'],
])('that cannot be made is named with its reason: %s', async (name, make, reason) => {
  const path = join(tempFolder(), name);
  make(path);
  vi.stubEnv('TMPDIR', path);
  await expect(withTemporaryFolder('test', async () => 1)).rejects.toMatchObject({
    exitCode: 74,
    message: `temporary files cannot be written into ${name} (TMPDIR): ${reason}`,
  });
});

it('that is full is told from an output that is', async () => {
  const failing = (error: object) =>
    withTemporaryFolder('test', async () => {
      throw Object.assign(new Error('failed'), error);
    });
  await expect(failing({ code: 'ENOSPC' })).rejects.toMatchObject({ exitCode: 74, message: /no space is left/ });
  await expect(failing({ code: 'EACCES', path: '/elsewhere' })).rejects.not.toBeInstanceOf(HpsError);
});

it('reports the loss of the folder meanwhile', async () => {
  const parent = tempFolder();
  mkdirSync(join(parent, 'tmp'));
  vi.stubEnv('TMPDIR', join(parent, 'tmp'));
  const lost = withTemporaryFolder('test', async (folder) => writeFile(join(folder, 'gone', 'x'), 'x'));
  await expect(lost).rejects.toMatchObject({ code: 'OUTPUT_WRITE_FAILED' });
  expect(existsSync(join(parent, 'tmp'))).toBe(true);
});
