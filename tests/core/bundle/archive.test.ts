import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type BundleFile, unpack, writeTarGz, writeZip } from '../../../src/core/bundle/archive.js';
import { TAR_END, tarHeader, tarPadding } from '../../../src/core/bundle/tar.js';
import { Random } from '../../../src/core/bytes/random.js';
import { FileSink } from '../../../src/core/bytes/sink.js';
import { ZipWriter } from '../../../src/core/bytes/zip-writer.js';
import { LIMITS } from '../../../src/core/limits.js';
import { MemorySink } from '../../helpers/memory-sink.js';
import { tempFolder } from '../../helpers/temp.js';

const FILES: readonly BundleFile[] = [
  { path: 'run_hpsv3', content: Buffer.from('#!/bin/sh\n'), executable: true },
  { path: 'weights/model.onnx', content: Buffer.alloc(3000, 7), packing: 'store' },
  { path: `lib/${'deep/'.repeat(25)}text.txt`, content: Buffer.from('a line of text\n'.repeat(300)) },
  { path: 'empty', content: new Uint8Array() },
];

async function written(folder: string, kind: 'tar.gz' | 'zip', files = FILES): Promise<string> {
  const path = join(folder, `release.${kind}`);
  const sink = new FileSink(await open(path, 'w+'), 'release');
  if (kind === 'zip') await writeZip(sink, files);
  else await writeTarGz(sink, files, 315_532_800);
  await sink.finish();
  return path;
}

const KINDS = ['tar.gz', 'zip'] as const;

describe.each(KINDS)('an archive of the kind %s', (kind) => {
  it('unpacks to what went into it', async () => {
    const folder = tempFolder();
    const { paths } = await unpack(await written(folder, kind), join(folder, 'out'));
    expect([...paths].sort()).toEqual(FILES.map(({ path }) => `hpsv3_release/${path}`).sort());
    for (const { path, content } of FILES) {
      expect(readFileSync(join(folder, 'out/hpsv3_release', path)).equals(Buffer.from(content as Uint8Array))).toBe(
        true,
      );
    }
  });

  it('unpacks a file that is compressed and larger than what is read at a time', async () => {
    const folder = tempFolder();
    const random = new Random('large');
    const content = Buffer.alloc(2.5 * LIMITS.chunkBytes);
    for (let i = 0; i < content.length; i += 4) content.writeUInt32LE(Math.floor(random.uniform() * 2 ** 32), i);
    await unpack(await written(folder, kind, [{ path: 'large', content }]), join(folder, 'out'));
    expect(readFileSync(join(folder, 'out/hpsv3_release/large')).equals(content)).toBe(true);
  }, 30_000);

  it('has the same bytes whatever the order of files, the umask and the time zone', async () => {
    const first = readFileSync(await written(tempFolder(), kind));
    const umask = process.umask(0o077);
    const { TZ } = process.env;
    process.env['TZ'] = 'Pacific/Kiritimati';
    try {
      expect(readFileSync(await written(tempFolder(), kind, [...FILES].reverse())).equals(first)).toBe(true);
    } finally {
      process.umask(umask);
      if (TZ === undefined) delete process.env['TZ'];
      else process.env['TZ'] = TZ;
    }
  });

  it('is refused with a bit flipped', async () => {
    const folder = tempFolder();
    const path = await written(folder, kind);
    const whole = readFileSync(path);
    const random = new Random(`flips-${kind}`);
    let found = 0;
    for (let i = 0; i < 40; i++) {
      const flipped = Buffer.from(whole);
      flipped[Math.floor(random.uniform() * flipped.length)] ^= 1 << Math.floor(random.uniform() * 8);
      writeFileSync(path, flipped);
      const out = join(folder, `out-${i}`);
      const error = await unpack(path, out).then(
        () => null,
        (cause) => cause as { code?: string },
      );
      if (error !== null) {
        expect(error.code).toMatch(/^(ARCHIVE_(CORRUPT|UNSAFE)|USAGE)$/);
        found++;
      }
    }
    expect(found).toBe(40);
  });
});

/** A .tar.gz as another program would write it. */
function tarGz(path: string, entries: readonly { readonly path: string; readonly type?: string }[]): void {
  const parts = entries.flatMap(({ path: name, type = '0' }) => {
    const header = Buffer.from(tarHeader({ path: name, mode: 0o644, size: 5 }, 0));
    header.write(type, 156);
    const sum = header.fill(' ', 148, 156).reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, Buffer.from('bytes'), tarPadding(5)];
  });
  writeFileSync(path, gzipSync(Buffer.concat([...parts, TAR_END])));
}

describe('an archive of somebody else', () => {
  it.each([
    ['leads out of its folder', '../evil'],
    ['leads out of it later', 'hpsv3_release/../../evil'],
    ['is absolute', '/etc/evil'],
    ['is of another folder', 'other/file'],
    ['is a path of Windows', 'hpsv3_release/a\\..\\..\\evil'],
    ['is a drive of Windows', 'C:/evil'],
  ])('is refused where a name %s, before anything is written', async (_, name) => {
    const folder = tempFolder();
    mkdirSync(join(folder, 'out'));
    tarGz(join(folder, 'a.tar.gz'), [{ path: name }]);
    await expect(unpack(join(folder, 'a.tar.gz'), join(folder, 'out'))).rejects.toMatchObject({
      code: 'ARCHIVE_UNSAFE',
    });
    expect(readdirSync(join(folder, 'out'))).toEqual([]);
  });

  it.each(['1', '2', '3', '5', '6', 'x'])('is refused for an entry of the type %s', async (type) => {
    const folder = tempFolder();
    tarGz(join(folder, 'a.tar.gz'), [{ path: 'hpsv3_release/link', type }]);
    await expect(unpack(join(folder, 'a.tar.gz'), folder)).rejects.toMatchObject({ code: 'ARCHIVE_UNSAFE' });
  });

  it('is refused where a file is there twice', async () => {
    const folder = tempFolder();
    tarGz(join(folder, 'a.tar.gz'), [{ path: 'hpsv3_release/a' }, { path: 'hpsv3_release/a' }]);
    await expect(unpack(join(folder, 'a.tar.gz'), folder)).rejects.toMatchObject({ code: 'ARCHIVE_UNSAFE' });
  });

  it('is refused as a zip with a name that leads out', async () => {
    const folder = tempFolder();
    const sink = new MemorySink();
    const zip = new ZipWriter(sink, 1);
    await zip.add('hpsv3_release/../../evil', 5, [Buffer.from('bytes')]);
    await zip.finish();
    writeFileSync(join(folder, 'a.zip'), sink.bytes());
    await expect(unpack(join(folder, 'a.zip'), folder)).rejects.toMatchObject({ code: 'ARCHIVE_UNSAFE' });
  });

  it('is no archive at all', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'a.txt'), 'text');
    await expect(unpack(join(folder, 'a.txt'), folder)).rejects.toMatchObject({ code: 'USAGE' });
  });
});
