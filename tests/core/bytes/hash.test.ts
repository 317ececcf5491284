import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashFile, sha256Hex, startHash } from '../../../src/core/bytes/hash.js';
import { LIMITS } from '../../../src/core/limits.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hash-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

describe('sha256Hex', () => {
  it('gives the digest of FIPS 180-2, appendix B.1', () => {
    expect(sha256Hex(Buffer.from('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});

describe('hashFile', () => {
  it.each([2, 5])('agrees with a hash taken in memory, over %i chunks and a rest', async (chunks) => {
    const bytes = pattern(chunks * LIMITS.chunkBytes + 12_345);
    const seen: number[] = [];
    const hash = await hashFile(write('data.bin', bytes), { onProgress: (done) => seen.push(done) });
    expect(hash).toEqual({ sha256: sha256Hex(bytes), byteLength: bytes.length });
    expect(seen).toEqual([...Array.from({ length: chunks }, (_, i) => (i + 1) * LIMITS.chunkBytes), bytes.length]);
  });

  it('takes over a hash that was begun, unless the file has changed since', async () => {
    const bytes = new Uint8Array(5 * LIMITS.chunkBytes).fill(9);
    const path = write('begun.bin', bytes);
    startHash(path);
    expect(await hashFile(path)).toEqual({ sha256: sha256Hex(bytes), byteLength: bytes.length });
    startHash(path);
    bytes[7]++;
    rmSync(path);
    write('begun.bin', bytes);
    expect((await hashFile(path)).sha256).toBe(sha256Hex(bytes));
    for (const nothing of [join(folder, 'none'), folder, '']) startHash(nothing);
  });

  it('hashes an empty file', async () => {
    expect(await hashFile(write('empty', new Uint8Array()))).toMatchObject({
      sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      byteLength: 0,
    });
  });

  it('refuses a file that is not there and a folder', async () => {
    await expect(hashFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(hashFile(folder)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  it('stops with the reason of the signal', async () => {
    const path = write('data.bin', pattern(5 * LIMITS.chunkBytes));
    const reason = new Error('enough');
    await expect(hashFile(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const later = new AbortController();
    const onProgress = () => later.abort(reason);
    await expect(hashFile(path, { signal: later.signal, onProgress })).rejects.toBe(reason);
  });
});
