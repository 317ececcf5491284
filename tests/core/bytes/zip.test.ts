import { crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../../src/core/bytes/source.js';
import { openZip, readEntry } from '../../../src/core/bytes/zip.js';
import { ZipWriter } from '../../../src/core/bytes/zip-writer.js';
import { MemorySink } from '../../helpers/memory-sink.js';

const A = Buffer.from('first entry');
const B = Buffer.from('second');

async function writeZip(entries: Readonly<Record<string, Uint8Array>>): Promise<Buffer> {
  const sink = new MemorySink();
  const zip = new ZipWriter(sink, 64);
  for (const [name, bytes] of Object.entries(entries)) await zip.add(name, bytes.byteLength, [bytes]);
  await zip.finish();
  return sink.bytes();
}

const good = () => writeZip({ 'a/data.pkl': A, 'a/data/0': B });

interface Positions {
  local: number[];
  central: number[];
  descriptor: number[];
  end: number;
}

/** Where the records of an archive without stray signatures start. */
function positions(bytes: Buffer): Positions {
  const all = (signature: number) => {
    const found: number[] = [];
    for (let at = bytes.indexOf(u32(signature)); at >= 0; at = bytes.indexOf(u32(signature), at + 1)) found.push(at);
    return found;
  };
  return { local: all(0x04034b50), central: all(0x02014b50), descriptor: all(0x08074b50), end: all(0x06054b50)[0] };
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const code = (bytes: Uint8Array, use = (source: MemorySource): unknown => openZip(source)): string => {
  try {
    use(new MemorySource(bytes, 'x.zip'));
    return 'none';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
};

/** A one-entry deflated archive that states whatever sizes it is told. */
function deflated(content: Uint8Array, stated: { size?: number; crc?: number; method?: number } = {}): Buffer {
  const data = deflateRawSync(content);
  const name = Buffer.from('x.npy');
  const size = stated.size ?? content.byteLength;
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(stated.method ?? 8, 4);
  common.writeUInt32LE(stated.crc ?? 0, 10);
  common.writeUInt32LE(data.byteLength, 14);
  common.writeUInt32LE(size, 18);
  common.writeUInt16LE(name.byteLength, 22);
  const local = Buffer.concat([u32(0x04034b50), common, name, data]);
  const central = Buffer.concat([u32(0x02014b50), Buffer.from([20, 0]), common, Buffer.alloc(14), name]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(central.byteLength, 8);
  end.writeUInt32LE(local.byteLength, 12);
  return Buffer.concat([local, central, u32(0x06054b50), end]);
}

describe('zip', () => {
  it('gives back what was written, aligned and in order', async () => {
    const source = new MemorySource(await good(), 'x.zip');
    const entries = [...openZip(source).values()];
    expect(entries.map(({ name }) => name)).toEqual(['a/data.pkl', 'a/data/0']);
    expect(entries.map((entry) => entry.offset % 64)).toEqual([0, 0]);
    expect(entries.map((entry) => Buffer.from(readEntry(source, entry, 100)).toString())).toEqual([
      A.toString(),
      B.toString(),
    ]);
  });

  it('writes the same bytes twice, and reads an archive without entries', async () => {
    expect(Buffer.compare(await good(), await good())).toBe(0);
    expect(openZip(new MemorySource(await writeZip({}), 'x.zip')).size).toBe(0);
  });

  it('refuses to write another number of bytes than announced', async () => {
    await expect(new ZipWriter(new MemorySink(), 64).add('a', 3, [A])).rejects.toThrow(RangeError);
  });

  it('writes and reads more entries than 16 bits can count, by zip64', async () => {
    const names = Array.from({ length: 65_600 }, (_, i) => [`d/${i}`, new Uint8Array()] as const);
    const bytes = await writeZip(Object.fromEntries(names));
    expect(openZip(new MemorySource(bytes, 'x.zip')).size).toBe(65_600);
    // The locator and the zip64 record must point where they stand, and agree with the short record.
    const record = bytes.indexOf(u32(0x06064b50), bytes.byteLength - 98);
    for (const at of [record + 4, record + 24, record + 32, record + 40, record + 48, record + 64]) {
      const lying = Buffer.from(bytes);
      lying[at] ^= 1;
      expect(code(lying), `byte ${at - record} of the record`).toMatch(/^CHECKPOINT_/);
    }
  });

  it('inflates a compressed entry and checks its size and CRC-32', () => {
    const content = Buffer.from('x'.repeat(1000));
    const read = (source: MemorySource) => readEntry(source, openZip(source).get('x.npy')!, 1e6);
    const crc = crc32(content);
    expect(code(deflated(content, { crc }), read)).toBe('none');
    expect(code(deflated(content, { crc: crc ^ 1 }), read)).toBe('CHECKPOINT_CORRUPT');
    expect(code(deflated(content, { crc, size: 999 }), read)).toBe('CHECKPOINT_CORRUPT');
    expect(code(deflated(content, { crc, size: 1001 }), read)).toBe('CHECKPOINT_CORRUPT');
  });

  it('compares the size of an entry with the bound of its reader', async () => {
    const bytes = await good();
    expect(code(bytes, (source) => readEntry(source, openZip(source).get('a/data.pkl')!, 3))).toBe('CHECKPOINT_UNSAFE');
  });

  it('refuses an archive cut short at any byte', async () => {
    const bytes = await good();
    for (let length = 0; length < bytes.byteLength; length++) {
      expect(code(bytes.subarray(0, length)), `${length} bytes`).toMatch(/^CHECKPOINT_(CORRUPT|UNSAFE)$/);
    }
  });

  it('finds a wrong CRC-32 by its own sum', async () => {
    const bytes = await good();
    bytes[bytes.indexOf(A)] ^= 1;
    expect(code(bytes)).toBe('none');
    expect(code(bytes, (source) => readEntry(source, openZip(source).get('a/data.pkl')!, 100))).toBe(
      'CHECKPOINT_CORRUPT',
    );
  });

  const put16 = (bytes: Buffer, value: number, ...places: readonly number[]) => {
    for (const at of places) bytes.writeUInt16LE(value, at);
  };
  const hostile: readonly [string, (bytes: Buffer, at: Positions) => unknown][] = [
    ['names that differ between the headers', (bytes, at) => bytes.write('b', at.local[0] + 30)],
    ['methods that differ between the headers', (bytes, at) => put16(bytes, 8, at.local[0] + 8)],
    ['flags that differ between the headers', (bytes, at) => put16(bytes, 0, at.local[0] + 6)],
    ['a local size that differs', (bytes, at) => bytes.writeUInt32LE(3, at.local[0] + 22)],
    ['a local CRC-32 that differs', (bytes, at) => bytes.writeUInt32LE(3, at.local[0] + 14)],
    ['a data descriptor that differs', (bytes, at) => bytes.writeUInt32LE(3, at.descriptor[0] + 4)],
    ['an encrypted entry', (bytes, at) => put16(bytes, 0x809, at.local[0] + 6, at.central[0] + 8)],
    ['an unknown method', (bytes, at) => put16(bytes, 99, at.local[0] + 8, at.central[0] + 10)],
    ['a stored entry of two sizes', (bytes, at) => bytes.writeUInt32LE(3, at.central[0] + 20)],
    ['overlapping entries', (bytes, at) => bytes.writeUInt32LE(0, at.central[1] + 42)],
    ['an entry beyond the directory', (bytes, at) => bytes.writeUInt32LE(bytes.byteLength, at.central[1] + 42)],
    ['a zip64 marker without its field', (bytes, at) => bytes.writeUInt32LE(0xffffffff, at.central[1] + 42)],
    ['more entries than there are', (bytes, at) => put16(bytes, 3, at.end + 8, at.end + 10)],
    ['fewer entries than there are', (bytes, at) => put16(bytes, 1, at.end + 8, at.end + 10)],
    ['another number of entries on this disk', (bytes, at) => put16(bytes, 1, at.end + 8)],
    ['a comment', (bytes, at) => put16(bytes, 1, at.end + 20)],
    ['a directory that starts elsewhere', (bytes, at) => bytes.writeUInt32LE(at.central[0] - 1, at.end + 16)],
    ['65,535 entries and no zip64 directory', (bytes, at) => put16(bytes, 0xffff, at.end + 8, at.end + 10)],
  ];
  it.each(hostile)('refuses %s', async (_, spoil) => {
    const bytes = await good();
    spoil(bytes, positions(bytes));
    expect(code(bytes)).toMatch(/^CHECKPOINT_(CORRUPT|UNSAFE)$/);
  });

  it('refuses bytes before and after the archive', async () => {
    const bytes = await good();
    expect(code(Buffer.concat([Buffer.from('%PDF-1.4\n'), bytes]))).toMatch(/^CHECKPOINT_/);
    expect(code(Buffer.concat([bytes, Buffer.from('x')]))).toMatch(/^CHECKPOINT_/);
  });

  it.each(['../x', '/abs', 'C:\\x', 'C:x', 'a\\..\\..\\b', 'a/../b', 'a//b', './a', 'a\0b', 'a\nb'])(
    'refuses the name %j',
    async (name) => {
      expect(code(await writeZip({ [name]: A }))).toBe('CHECKPOINT_UNSAFE');
    },
  );

  it('refuses names that are the same, but for case or not', async () => {
    expect(code(await writeZip({ 'a/data.pkl': A, 'A/DATA.pkl': B }))).toBe('CHECKPOINT_UNSAFE');
    const twice = await writeZip({ 'a/data.pkl': A, 'a/data.pk2': B });
    for (let at = twice.indexOf('pk2'); at >= 0; at = twice.indexOf('pk2')) twice.write('pkl', at);
    expect(code(twice)).toBe('CHECKPOINT_UNSAFE');
  });

  it('refuses a compressed entry that grows a hundredfold, but not a small one of zeros', () => {
    expect(code(deflated(new Uint8Array(200e6 / 8)))).toBe('CHECKPOINT_UNSAFE');
    expect(code(deflated(new Uint8Array(10_000)))).toBe('none');
  });

  it('refuses a directory of more entries than are allowed', async () => {
    const bytes = await writeZip({});
    const end = positions(bytes).end;
    for (const field of [8, 10]) bytes.writeUInt16LE(60_000, end + field);
    expect(code(bytes)).toBe('CHECKPOINT_UNSAFE');
  });
});
