import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../src/core/bytes/hash.js';
import type { ByteSink } from '../../../src/core/bytes/sink.js';
import { FileSource } from '../../../src/core/bytes/source.js';
import type { RawCheckpoint } from '../../../src/core/checkpoint/format.js';
import { safetensors } from '../../../src/core/checkpoint/safetensors.js';
import { writeSafetensors } from '../../../src/core/checkpoint/write-safetensors.js';
import { LIMITS } from '../../../src/core/limits.js';
import { DTYPES, type Dtype } from '../../../src/core/tensor/dtype.js';
import { numel } from '../../../src/core/tensor/shape.js';
import { readTensor, type Tensor, tensorFromBytes } from '../../../src/core/tensor/tensor.js';
import { toFloat32 } from '../../../src/core/tensor/values.js';
import { hasShared, SHARED } from '../../helpers/shared.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Opens a file for the length of a check, and closes it on failure as a caller has to. */
async function withFile<T>(path: string, use: (checkpoint: RawCheckpoint) => T | Promise<T>): Promise<T> {
  const source = FileSource.open(path);
  try {
    return await use(await safetensors.open(source));
  } finally {
    source.close();
  }
}

async function withBytes<T>(bytes: Uint8Array, use: (checkpoint: RawCheckpoint) => T | Promise<T>): Promise<T> {
  const path = join(folder, 'file.safetensors');
  writeFileSync(path, bytes);
  return withFile(path, use);
}

function tensorsOf(checkpoint: RawCheckpoint): Map<string, Tensor> {
  const { root } = checkpoint;
  if (root.kind !== 'map') throw new Error(`root is a ${root.kind}`);
  return new Map(
    [...root.entries].map(([name, node]) => {
      if (node.kind !== 'tensor') throw new Error(`${name} is a ${node.kind}`);
      return [name, node.tensor];
    }),
  );
}

/** A file with this header text and so many bytes of data. */
function file(header: string | object, dataBytes = 0, statedLength?: bigint): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, statedLength ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (dtype: string, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets });

describe('safetensors, reading', () => {
  const golden = fileURLToPath(new URL('../../golden/safetensors/every.safetensors', import.meta.url));

  it('reads every dtype as the reference implementation wrote it', async () => {
    await withFile(golden, async (checkpoint) => {
      const tensors = tensorsOf(checkpoint);
      expect(tensors.size).toBe(12);
      for (const [name, tensor] of tensors) {
        if (!name.startsWith('a.')) continue;
        expect(tensor).toMatchObject({ name, dtype: name.slice(2), shape: [2, 3] });
        const expected = tensor.dtype === 'BOOL' ? [0, 1, 0, 1, 0, 1] : [0, 1, 2, 3, 4, 5];
        expect([...toFloat32(await readTensor(tensor), tensor.dtype)]).toEqual(expected);
      }
      expect([...toFloat32(await readTensor(tensors.get('scalar')!), 'F32')]).toEqual([7]);
      expect(tensors.get('empty')).toMatchObject({ dtype: 'F32', shape: [0, 3] });
      expect((await readTensor(tensors.get('empty')!)).byteLength).toBe(0);
      expect(checkpoint.metadata).toEqual(
        new Map([
          ['format', 'pt'],
          ['config', '{"width": 64}'],
        ]),
      );
      expect(checkpoint.files).toEqual([golden]);
    });
  });

  it('lists tensors in the order of their data, a name of digits or __proto__ included', async () => {
    const header = `{"b":${JSON.stringify(entry('U8', [1], [2, 3]))},"1":${JSON.stringify(entry('U8', [1], [1, 2]))},
      "__proto__":${JSON.stringify(entry('U8', [1], [0, 1]))}}`;
    await withBytes(file(header, 3), (checkpoint) => {
      expect([...tensorsOf(checkpoint).keys()]).toEqual(['__proto__', '1', 'b']);
      expect(({} as Record<string, unknown>).dtype).toBeUndefined();
    });
  });

  it('accepts spaces after the header, and a file without tensors', async () => {
    await withBytes(file(`${JSON.stringify({ a: entry('U8', [1], [0, 1]) })}   `, 1), (checkpoint) => {
      expect(tensorsOf(checkpoint).size).toBe(1);
    });
    await withBytes(file('{}'), (checkpoint) => expect(tensorsOf(checkpoint).size).toBe(0));
  });

  it('recognises its files by content, damaged ones included, and no JSON document', () => {
    const head = (bytes: Uint8Array) => safetensors.sniff(bytes.subarray(0, LIMITS.sniffBytes));
    expect(head(readFileSync(golden))).toBe(true);
    expect(head(file('{}', 0, 2n ** 63n))).toBe(true);
    expect(head(file(` ${JSON.stringify({ a: entry('U8', [1], [0, 1]) })}`, 1))).toBe(true);
    expect(head(Buffer.from('{"meta":{"data_offsets":1}}'))).toBe(false);
    expect(head(new Uint8Array(8))).toBe(true);
    expect(head(new Uint8Array(8).fill(0x20))).toBe(false);
    expect(head(new Uint8Array())).toBe(false);
  });

  const u8 = (begin: number, end: number) => entry('U8', [end - begin], [begin, end]);
  const hostile: [name: string, bytes: () => Uint8Array, rule: RegExp, code?: string][] = [
    ['an empty file', () => new Uint8Array(), /too few/],
    ['a file of seven bytes', () => new Uint8Array(7), /too few/],
    // HOSTILE 34
    ['header length 0', () => file('{}', 0, 0n), /header of 0 bytes/],
    ['header length 1', () => file('{}', 0, 1n), /header of 1 bytes/],
    ['header length 2^63', () => file('{}', 0, 2n ** 63n), /9223372036854775808/],
    ['header length 2^64 - 1', () => file('{}', 0, 2n ** 64n - 1n), /18446744073709551615/],
    ['a header one byte longer than the file', () => file('{}', 0, 3n), /does not fit/],
    ['header length 100,000,001', () => file('{}', 100_000_000, 100_000_001n), /at most 100000000/],
    // 35
    ['a header that is no object', () => file('[1]'), /does not start/],
    ['a leading space', () => file(' {}'), /does not start/],
    ['a header that is not UTF-8', () => file('{"a":1}').fill(0xff, 10, 11), /UTF-8/],
    ['two documents', () => file('{}{}'), /follows/],
    // 36
    [
      'a duplicate tensor name',
      () => file(`{"a":${JSON.stringify(u8(0, 1))},"a":${JSON.stringify(u8(0, 1))}}`, 1),
      /duplicate key "a"/,
    ],
    [
      'a duplicate shape',
      () => file('{"a":{"dtype":"U8","shape":[1],"shape":[2],"data_offsets":[0,1]}}', 1),
      /duplicate key "shape"/,
    ],
    // 37
    ['overlapping tensors', () => file({ a: u8(0, 4), b: u8(2, 6) }, 6), /overlap/],
    ['a hole between tensors', () => file({ a: u8(0, 2), b: u8(3, 4) }, 4), /hole/],
    ['a hole at the start', () => file({ a: u8(1, 2) }, 2), /hole/],
    ['bytes after the last tensor', () => file({ a: u8(0, 2) }, 3), /take 2 bytes, the file has 3/],
    ['a file cut short', () => file({ a: u8(0, 4) }, 3), /take 4 bytes, the file has 3/],
    ['reversed offsets', () => file({ a: entry('U8', [1], [1, 0]) }, 1), /hold -1/],
    ['one offset', () => file({ a: entry('U8', [1], [1]) }, 1), /pair/],
    // 38
    ['a product beyond 2^53', () => file({ a: entry('F32', [2 ** 30, 2 ** 30], [0, 0]) }), /2\^53/],
    ['a product that wraps around to 0', () => file({ a: entry('F32', [2 ** 32, 2 ** 32], [0, 0]) }), /2\^53/],
    ['a negative dimension', () => file({ a: entry('U8', [-1], [0, 1]) }, 1), /plain digits/],
    [
      'a fractional dimension',
      () => file('{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', 1),
      /plain digits/,
    ],
    ['an exponent', () => file('{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}', 1), /plain digits/],
    ['a string for a dimension', () => file({ a: entry('U8', ['1'], [0, 1]) }, 1), /shape is not a list/],
    ['rank 100', () => file({ a: entry('U8', Array(100).fill(1), [0, 1]) }, 1), /100 dimensions/],
    ['a size that is not the range', () => file({ a: entry('F32', [2], [0, 4]) }, 4), /takes 8 bytes/],
    // 39
    ['an unknown dtype', () => file({ a: entry('F33', [1], [0, 4]) }, 4), /unknown dtype "F33"/],
    ['dtype __proto__', () => file({ a: entry('__proto__', [1], [0, 4]) }, 4), /unknown dtype/],
    ['a dtype that is a number', () => file({ a: entry(1 as never, [1], [0, 4]) }, 4), /dtype is not a string/],
    ['an odd count of F4', () => file({ a: entry('F4', [3], [0, 2]) }, 2), /do not end on a byte/],
    ['F4', () => file({ a: entry('F4', [4], [0, 2]) }, 2), /not supported/, 'CHECKPOINT_UNSUPPORTED'],
    // 40
    ['metadata that is no string', () => file({ __metadata__: { a: 1 } }), /key "a" is not a string/],
    ['metadata that is no object', () => file({ __metadata__: [] }), /not a JSON object/],
    ['an entry that is no object', () => file({ a: 1 }), /not a JSON object/],
    ['an unknown key of an entry', () => file({ a: { ...u8(0, 1), device: 'x' } }, 1), /unknown key "device"/],
    ['a missing dtype', () => file('{"a":{"shape":[1],"data_offsets":[0,1]}}', 1), /dtype/],
    ['nesting', () => file(`{"a":${'['.repeat(100_000)}`), /deeper/],
    ['a very long name', () => file({ ['n'.repeat(5000)]: u8(0, 1) }, 1), /5000 characters/],
  ];
  it.each(hostile)('refuses %s', async (_, bytes, rule, code = 'CHECKPOINT_CORRUPT') => {
    await expect(withBytes(bytes(), () => {})).rejects.toMatchObject({
      code,
      message: expect.stringMatching(rule),
      hint: expect.stringMatching(/./),
    });
  });

  it.each([LIMITS.tensors - 10, 1_500_000])(
    'refuses %i tensors at the same place, without going through them all',
    async (count) => {
      const members = Array.from(
        { length: count },
        (_, i) => `"w${i}":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}`,
      );
      const bytes = file(`{${members.join(',')}}`, 16);
      await expect(withBytes(bytes, () => {})).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
    },
  );
});

describe('safetensors, writing', () => {
  class Memory implements ByteSink {
    byteLength = 0;
    private readonly pieces: Uint8Array[] = [];
    async write(bytes: Uint8Array): Promise<void> {
      this.pieces.push(bytes.slice());
      this.byteLength += bytes.byteLength;
    }
    get bytes(): Uint8Array {
      return Buffer.concat(this.pieces);
    }
  }

  async function written(tensors: Iterable<Tensor>, metadata?: ReadonlyMap<string, string>): Promise<Uint8Array> {
    const sink = new Memory();
    await writeSafetensors(sink, tensors, metadata);
    return sink.bytes;
  }

  const tensor = fc
    .record({
      name: fc.string({ maxLength: 8, unit: 'grapheme' }).filter((name) => name !== '__metadata__'),
      dtype: fc.constantFrom(...(Object.keys(DTYPES) as Dtype[])),
      shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }),
      seed: fc.nat({ max: 255 }),
    })
    .map(({ name, dtype, shape, seed }) => {
      const bytes = Uint8Array.from({ length: numel(shape) * DTYPES[dtype].bytes }, (_, i) => (i + seed) & 0xff);
      return { ...tensorFromBytes({ name, dtype, shape }, bytes), bytes };
    });

  it('reads back what it wrote, aligned, and writes the same bytes twice', async () => {
    const lists = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 });
    const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(lists, metadata, async (tensors, pairs) => {
        const bytes = await written(tensors, new Map(Object.entries(pairs)));
        expect(sha256Hex(await written(tensors, new Map(Object.entries(pairs))))).toBe(sha256Hex(bytes));
        const headerLength = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
        expect(headerLength % 8).toBe(0);
        await withBytes(bytes, async (checkpoint) => {
          const read = tensorsOf(checkpoint);
          expect([...read.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
          for (const { name, dtype, shape, bytes: values } of tensors) {
            expect(read.get(name)).toMatchObject({ dtype, shape });
            expect(await readTensor(read.get(name)!)).toEqual(values);
          }
          expect(checkpoint.metadata).toEqual(new Map(Object.entries(pairs)));
        });
      }),
      { numRuns: 50 },
    );
  });

  it('keeps the order given within a width and puts wider dtypes first', async () => {
    const of = (name: string, dtype: Dtype) =>
      tensorFromBytes({ name, dtype, shape: [1] }, new Uint8Array(DTYPES[dtype].bytes));
    const bytes = await written([of('mask', 'BOOL'), of('z', 'F32'), of('a', 'I32'), of('steps', 'I64')]);
    await withBytes(bytes, (checkpoint) => {
      expect([...tensorsOf(checkpoint).keys()]).toEqual(['steps', 'z', 'a', 'mask']);
    });
  });

  it('refuses two tensors of one name and the reserved name', async () => {
    const of = (name: string) => tensorFromBytes({ name, dtype: 'U8', shape: [1] }, new Uint8Array(1));
    await expect(written([of('a'), of('a')])).rejects.toThrow(RangeError);
    await expect(written([of('__metadata__')])).rejects.toThrow(RangeError);
  });

  it('refuses a tensor that yields fewer bytes than its shape takes', async () => {
    const short: Tensor = { name: 'a', dtype: 'F32', shape: [2], chunks: async function* () {} };
    await expect(written([short])).rejects.toThrow('0 bytes came, 8 were due');
  });
});

describe.skipIf(!hasShared)('safetensors, real files', () => {
  it('reads silero-vad and the nano checkpoint', async () => {
    await withFile(`${SHARED}real/silero-vad/silero_vad_16k.safetensors`, (checkpoint) => {
      expect(tensorsOf(checkpoint).size).toBe(15);
    });
    await withFile(`${SHARED}fixtures/hpsv3-nano/checkpoint.safetensors`, async (checkpoint) => {
      expect(tensorsOf(checkpoint).size).toBe(296);
      expect(checkpoint.metadata?.get('format')).toBe('pt');
    });
  });
});
