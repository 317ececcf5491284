import { cpSync, linkSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../src/core/errors.js';
import { openOnnx, readModelBytes } from '../../../src/core/onnx/read.js';
import { tensorOf } from '../../../src/core/onnx/tensor-data.js';
import { readTensor } from '../../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../../src/core/tensor/values.js';
import { bytes, GOLDEN, initializer, modelFile, number, temporaryFolder } from './tiny.js';

/** A float tensor of four values whose bytes lie where `entries` say. */
const external = (entries: Record<string, string>) =>
  modelFile(
    initializer(
      number(1, 4),
      number(2, 1),
      bytes(8, 'w'),
      ...Object.entries(entries).map(([key, value]) => bytes(13, [...bytes(1, key), ...bytes(2, value)])),
      number(14, 1),
    ),
  );

function write(entries: Record<string, string>): string {
  const folder = join(temporaryFolder(), 'model');
  mkdirSync(folder);
  writeFileSync(join(folder, 'w.bin'), new Uint8Array(Float32Array.of(1, 2, 3, 4, 5).buffer));
  writeFileSync(join(folder, '..', 'secret.bin'), new Uint8Array(20));
  const path = join(folder, 'm.onnx');
  writeFileSync(path, external(entries));
  return path;
}

async function firstValues(path: string, strict = false): Promise<{ values: number[]; warnings: readonly string[] }> {
  const file = openOnnx(path, { strict });
  const values = Array.from(asFloat32(await readTensor(tensorOf(file.model.graph.initializer[0]))));
  file.close();
  return { values, warnings: file.warnings };
}

describe('external data', () => {
  it('is read as the reference implementation wrote it', async () => {
    const { values, warnings } = await firstValues(join(GOLDEN, 'external.onnx'));
    expect(values).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(warnings).toEqual([]);
  });

  it('is a range of the file; offset and length may be left out', async () => {
    expect((await firstValues(write({ location: 'w.bin' }))).values).toEqual([1, 2, 3, 4]);
    expect((await firstValues(write({ location: './w.bin', offset: '4', length: '16' }))).values).toEqual([2, 3, 4, 5]);
  });

  it('works where the model and its data are links into one folder, as in the cache of Hugging Face', async () => {
    const folder = temporaryFolder();
    for (const part of ['blobs', 'snapshots', 'snapshots/rev']) mkdirSync(join(folder, part));
    cpSync(join(GOLDEN, 'external.onnx'), join(folder, 'blobs', 'aa'));
    cpSync(join(GOLDEN, 'external.bin'), join(folder, 'blobs', 'bb'));
    symlinkSync('../../blobs/aa', join(folder, 'snapshots/rev/model.onnx'));
    symlinkSync('../../blobs/bb', join(folder, 'snapshots/rev/external.bin'));
    expect((await firstValues(join(folder, 'snapshots/rev/model.onnx'))).values[2]).toBe(2);
  });

  it('warns of a hard link, and refuses it when strict', async () => {
    const path = write({ location: 'w.bin' });
    linkSync(join(path, '../w.bin'), join(path, '../other.bin'));
    expect((await firstValues(path)).warnings).toEqual([expect.stringContaining('hard link')]);
    await expect(firstValues(path, true)).rejects.toMatchObject({ code: 'ONNX_UNSAFE' });
  });

  it('says so when the data file is missing', () => {
    expect(() => openOnnx(write({ location: 'gone.bin' }))).toThrow(
      expect.objectContaining({ code: 'FILE_NOT_FOUND' }),
    );
  });

  it('names a git-lfs pointer in its place', () => {
    const path = write({ location: 'w.bin', length: '16', offset: '200' });
    writeFileSync(join(path, '../w.bin'), 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n');
    expect(() => openOnnx(path)).toThrow(/^w.bin: a git-lfs pointer/);
  });

  it('cannot belong to a model in memory', () => {
    expect(() => readModelBytes(external({ location: 'w.bin' }))).toThrow(
      expect.objectContaining({ code: 'ONNX_UNSAFE' }),
    );
  });

  /** None of the places exists (but for the devices): the answer must not depend on that. */
  const HOSTILE: readonly (readonly [string, ErrorCode, Record<string, string>])[] = [
    ['a parent folder', 'ONNX_UNSAFE', { location: '../secret.bin' }],
    ['a parent folder that does not exist', 'ONNX_UNSAFE', { location: '../none.bin' }],
    ['a nested parent folder', 'ONNX_UNSAFE', { location: 'a/../../none.bin' }],
    ['a parent folder that ends up inside', 'ONNX_UNSAFE', { location: 'a/../w.bin' }],
    ['a parent folder with backslashes', 'ONNX_UNSAFE', { location: '..\\none.bin' }],
    ['an absolute path', 'ONNX_UNSAFE', { location: '/nowhere/none.bin' }],
    ['a device', 'ONNX_UNSAFE', { location: '/dev/zero' }],
    ['a UNC path', 'ONNX_UNSAFE', { location: '\\\\server\\share\\none.bin' }],
    ['a drive', 'ONNX_UNSAFE', { location: 'C:none.bin' }],
    ['nothing', 'ONNX_UNSAFE', { location: '' }],
    ['no location', 'ONNX_UNSAFE', {}],
    ['the folder itself', 'ONNX_UNSAFE', { location: './' }],
    ['a NUL', 'ONNX_UNSAFE', { location: 'w.bin\0.txt' }],
    ['an unknown key', 'ONNX_UNSAFE', { location: 'w.bin', __class__: 'x' }],
    ['the base path of another folder', 'ONNX_UNSAFE', { location: 'w.bin', basepath: '/etc' }],
    ['a negative offset', 'ONNX_CORRUPT', { location: 'w.bin', offset: '-1' }],
    ['an offset in letters', 'ONNX_CORRUPT', { location: 'w.bin', offset: 'abc' }],
    ['an offset with an exponent', 'ONNX_CORRUPT', { location: 'w.bin', offset: '1e9' }],
    ['an empty offset', 'ONNX_CORRUPT', { location: 'w.bin', offset: '' }],
    ['an offset past the end', 'ONNX_CORRUPT', { location: 'w.bin', offset: '21' }],
    ['a length of 2^50', 'ONNX_CORRUPT', { location: 'w.bin', length: String(2 ** 50) }],
    ['a length of 2^64', 'ONNX_CORRUPT', { location: 'w.bin', length: String(2n ** 64n) }],
    ['a length that is not that of the dims', 'ONNX_CORRUPT', { location: 'w.bin', length: '8' }],
    ['a range past the end', 'ONNX_CORRUPT', { location: 'w.bin', offset: '8' }],
  ];

  it.each(HOSTILE)('refuses %s (%s)', (_, code, entries) => {
    expect(() => openOnnx(write(entries))).toThrow(expect.objectContaining({ code }));
  });

  it('refuses a link out of the folder', () => {
    const path = write({ location: 'link.bin' });
    symlinkSync('../secret.bin', join(path, '../link.bin'));
    expect(() => openOnnx(path)).toThrow(expect.objectContaining({ code: 'ONNX_UNSAFE' }));
  });

  it('refuses a folder that links out of the folder', () => {
    const path = write({ location: 'sub/secret.bin' });
    symlinkSync('..', join(path, '../sub'));
    expect(() => openOnnx(path)).toThrow(expect.objectContaining({ code: 'ONNX_UNSAFE' }));
  });

  it('refuses a circle of links, and a folder in place of the file', () => {
    const path = write({ location: 'loop.bin' });
    symlinkSync('loop.bin', join(path, '../loop.bin'));
    expect(() => openOnnx(path)).toThrow(expect.objectContaining({ code: 'ONNX_UNSAFE' }));
    renameSync(join(path, '../loop.bin'), join(path, '../loop2.bin'));
    mkdirSync(join(path, '../loop.bin'));
    expect(() => openOnnx(path)).toThrow(expect.objectContaining({ code: 'ONNX_UNSAFE' }));
  });
});
