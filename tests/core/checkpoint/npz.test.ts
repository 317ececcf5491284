import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/core/bytes/source.js';
import type { CheckpointFormat, RawCheckpoint } from '../../../src/core/checkpoint/format.js';
import { npy, readNpyHeader } from '../../../src/core/checkpoint/npy.js';
import { npz } from '../../../src/core/checkpoint/npz.js';
import { parsePythonLiteral } from '../../../src/core/checkpoint/python-literal.js';
import { LIMITS } from '../../../src/core/limits.js';
import { readTensor, type Tensor } from '../../../src/core/tensor/tensor.js';
import { asFloat32, toFloat32 } from '../../../src/core/tensor/values.js';

const GOLDEN = fileURLToPath(new URL('../../golden/npz/', import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'npz-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function withFile<T>(
  format: CheckpointFormat,
  path: string,
  use: (raw: RawCheckpoint) => T | Promise<T>,
): Promise<T> {
  const source = FileSource.open(path);
  try {
    return await use(await format.open(source));
  } finally {
    source.close();
  }
}

function tensorsOf({ root }: RawCheckpoint): Map<string, Tensor> {
  if (root.kind !== 'map') throw new Error(`root is a ${root.kind}`);
  const tensors = new Map<string, Tensor>();
  for (const [name, node] of root.entries) if (node.kind === 'tensor') tensors.set(name, node.tensor);
  return tensors;
}

/** Real parts as float32, in row-major order. */
async function realValues(tensor: Tensor): Promise<number[]> {
  const bytes = await readTensor(tensor);
  if (tensor.dtype === 'C64') return [...asFloat32(bytes)].filter((_, i) => i % 2 === 0);
  if (tensor.dtype === 'C128') return [...toFloat32(bytes, 'F64')].filter((_, i) => i % 2 === 0);
  return [...toFloat32(bytes, tensor.dtype)];
}

/** An .npy file with this header text and so many bytes of data. */
function npyFile(
  header: string,
  dataBytes: number,
  version: [number, number] = [1, 0],
  statedLength = header.length,
): Uint8Array {
  const prefix = new Uint8Array(version[0] === 1 ? 10 : 12);
  prefix.set(Buffer.from('\x93NUMPY', 'latin1'));
  prefix.set(version, 6);
  const view = new DataView(prefix.buffer);
  if (version[0] === 1) view.setUint16(8, statedLength, true);
  else view.setUint32(8, statedLength, true);
  return Buffer.concat([prefix, Buffer.from(header, 'latin1'), new Uint8Array(dataBytes)]);
}

const describeArray = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;

describe('npz', () => {
  it.each(['every.npz', 'compressed.npz'])('reads every dtype, layout and byte order of %s', async (file) => {
    await withFile(npz, GOLDEN + file, async (raw) => {
      const tensors = tensorsOf(raw);
      expect(tensors.size).toBe(14 * 4 + 2);
      for (const [name, tensor] of tensors) {
        if (!name.startsWith('le.') && !name.startsWith('be.')) continue;
        expect(tensor.shape).toEqual([2, 3, 4]);
        const expected = Array.from({ length: 24 }, (_, i) => (tensor.dtype === 'BOOL' ? i % 2 : i));
        expect(await realValues(tensor), name).toEqual(expected);
      }
      expect(await realValues(tensors.get('scalar')!)).toEqual([7]);
      expect(tensors.get('empty')!.shape).toEqual([0, 3]);
      expect(await realValues(tensors.get('empty')!)).toEqual([]);
      expect(raw.ignored.map(({ name }) => name)).toEqual(['text', 'record']);
    });
  });

  it('checks a stored array against its checksum when it is read', async () => {
    const bytes = readFileSync(`${GOLDEN}every.npz`);
    const at = bytes.indexOf('le.C.f8.npy');
    bytes[at + 'le.C.f8.npy'.length + bytes.readUInt16LE(at - 2) + 200] ^= 1; // behind the array's own header
    const path = join(folder, 'damaged.npz');
    writeFileSync(path, bytes);
    await withFile(npz, path, async (raw) => {
      const damaged = readTensor(tensorsOf(raw).get('le.C.f8')!);
      await expect(damaged).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT', message: /le\.C\.f8.*CRC-32/ });
      await expect(readTensor(tensorsOf(raw).get('le.C.f4')!)).resolves.toHaveLength(96);
    });
  });

  it('checks a compressed array against its checksum when it is read', async () => {
    const bytes = readFileSync(`${GOLDEN}compressed.npz`);
    const name = 'le.C.f8.npy';
    const at = bytes.indexOf(name);
    const dataAt = at + name.length + bytes.readUInt16LE(at - 2); // behind the local header's extra field
    bytes[dataAt + 100] ^= 0x40; // behind the array's own header
    const path = join(folder, 'flipped.npz');
    writeFileSync(path, bytes);
    const reading = withFile(npz, path, (raw) => readTensor(tensorsOf(raw).get('le.C.f8')!));
    await expect(reading).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
  });

  it('refuses pickled objects', async () => {
    await expect(withFile(npz, `${GOLDEN}object.npz`, () => {})).rejects.toMatchObject({
      code: 'CHECKPOINT_UNSAFE',
      message: expect.stringContaining('a.npy'),
    });
  });

  it('is recognised by its first entry', () => {
    expect(npz.sniff(readFileSync(`${GOLDEN}every.npz`).subarray(0, LIMITS.sniffBytes))).toBe(true);
    expect(npz.sniff(Buffer.from('PK\x03\x04'))).toBe(false);
    expect(npz.sniff(new Uint8Array())).toBe(false);
  });
});

describe('npy', () => {
  it('is a checkpoint of one tensor, named as the file', async () => {
    await withFile(npy, `${GOLDEN}fortran.npy`, async (raw) => {
      const tensors = tensorsOf(raw);
      expect([...tensors.keys()]).toEqual(['fortran']);
      expect(await realValues(tensors.get('fortran')!)).toEqual([0, 1, 2, 3, 4, 5]);
    });
  });

  const read = (bytes: Uint8Array) =>
    readNpyHeader(bytes.subarray(0, LIMITS.npyHeaderBytes), bytes.byteLength, 'a.npy');

  it('reads versions 1 to 3, and headers as other writers space them', () => {
    const header = describeArray("'<f4'", '(2, 3)');
    for (const major of [1, 2, 3])
      expect(read(npyFile(header, 24, [major, 0]))).toMatchObject({ dtype: 'F32', shape: [2, 3] });
    const cnpy = `{'shape':(6L,),"fortran_order":True,'descr':">i2"}`;
    expect(read(npyFile(cnpy, 12))).toMatchObject({ dtype: 'I16', shape: [6], fortranOrder: true, bigEndian: true });
  });

  const good = describeArray("'<f4'", '(2,)');
  // HOSTILE 42
  const hostile: [name: string, bytes: Uint8Array, rule: RegExp, code?: string][] = [
    ['an expression', npyFile(describeArray("'<f4'", '(__import__("os").system("id"),)'), 8), /not a dictionary/],
    ['a function call for a header', npyFile('exec("x")', 0), /not a dictionary/],
    ['objects', npyFile(describeArray("'|O'", '(2,)'), 8), /pickled/, 'CHECKPOINT_UNSAFE'],
    [
      'objects in a record',
      npyFile(describeArray("[('a', [('b', '|O8')])]", '(2,)'), 8),
      /pickled/,
      'CHECKPOINT_UNSAFE',
    ],
    ['a header beyond the file', npyFile(good, 8, [1, 0], 60_000), /header up to byte/],
    ['a header of 4 GB', npyFile(good, 8, [2, 0], 0xffffffff), /header up to byte/],
    ['version 4', npyFile(good, 8, [4, 0]), /version 4.0/],
    ['too little data', npyFile(good, 7), /takes 8 bytes, 7 follow/],
    ['too much data', npyFile(good, 9), /takes 8 bytes, 9 follow/],
    ['a product beyond 2^53', npyFile(describeArray("'<f4'", '(4294967296, 4294967296)'), 0), /shape/],
    ['a negative dimension', npyFile(describeArray("'<f4'", '(-1,)'), 8), /not a dictionary/],
    ['a dimension of 20 digits', npyFile(describeArray("'<f4'", '(18446744073709551616,)'), 8), /not a dictionary/],
    ['rank 100', npyFile(describeArray("'<f4'", `(${'1, '.repeat(100)})`), 4), /shape/],
    [
      'a key twice',
      npyFile("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", 8),
      /not a dictionary/,
    ],
    ['a missing key', npyFile("{'descr': '<f4', 'shape': (1,)}", 4), /not a dictionary/],
    [
      'an unknown key',
      npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4),
      /not a dictionary/,
    ],
    ['deep nesting', npyFile('['.repeat(9000), 0), /not a dictionary/],
    ['text', npyFile(describeArray("'<U4'", '(1,)'), 16), /NumPy type <U4/, 'CHECKPOINT_UNSUPPORTED'],
    ['another file', Buffer.from('not an array at all'), /does not start/],
  ];
  it.each(hostile)('refuses %s', async (_, bytes, rule, code = 'CHECKPOINT_CORRUPT') => {
    const path = join(folder, 'hostile.npy');
    writeFileSync(path, bytes);
    await expect(withFile(npy, path, () => {})).rejects.toMatchObject({ code, message: expect.stringMatching(rule) });
  });
});

describe('parsePythonLiteral', () => {
  it('reads what NumPy writes and nothing that would need evaluation', () => {
    expect(parsePythonLiteral("[('a', '<f4', (2, 3)), True]")).toEqual([['a', '<f4', [2, 3]], true]);
    expect(parsePythonLiteral('()')).toEqual([]);
    for (const text of [
      '',
      '(',
      '(1 2)',
      '(,)',
      '[1)',
      "{'a'}",
      '{1: 2}',
      'None',
      "'a' 'b'",
      "'\\x41'",
      '1.5',
      '-1',
      'a.b',
    ]) {
      expect(parsePythonLiteral(text), text).toBeNull();
    }
  });
});
