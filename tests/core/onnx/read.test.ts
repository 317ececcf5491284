import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../../src/core/bytes/source.js';
import { HpsError } from '../../../src/core/errors.js';
import { decodeModel } from '../../../src/core/onnx/decode.js';
import { findAttribute, intsOf, opsetOf } from '../../../src/core/onnx/model.js';
import { openOnnx, readModelBytes } from '../../../src/core/onnx/read.js';
import { dtypeOf, tensorOf } from '../../../src/core/onnx/tensor-data.js';
import { modelBytes } from '../../../src/core/onnx/write.js';
import { readTensor } from '../../../src/core/tensor/tensor.js';
import { bytes, GOLDEN, initializer, modelFile, number, temporaryFolder, varint } from './tiny.js';

const golden = (name: string) => readFileSync(join(GOLDEN, name));

describe('reading what the reference implementation wrote', () => {
  it.each(['everything.onnx', 'tensors.onnx'])('gives %s back byte for byte', async (name) => {
    expect(Buffer.from(await modelBytes(readModelBytes(golden(name)))).equals(golden(name))).toBe(true);
  });

  it('names the fields of later IR versions', () => {
    const { graph, functions, configuration, docString } = readModelBytes(golden('everything.onnx'));
    expect(graph.node[0].metadataProps?.[0].key).toBe('pkg.torch.onnx.name_scopes');
    expect(graph.node[0].deviceConfigurations?.[0].shardingSpec?.[0].device).toEqual([-1, 0]);
    expect(graph.node[1].overload).toBe('v2');
    expect(functions?.[0].attributeProto?.[0].name).toBe('beta');
    expect(configuration?.[0].device).toEqual(['cuda:0', 'cuda:1']);
    expect(docString).toBe('\ufeffä 🙂');
    expect(opsetOf(readModelBytes(golden('everything.onnx')))).toBe(23);
  });

  it('keeps integers beyond 2^53, and infinities', () => {
    const [, , attributes] = readModelBytes(golden('everything.onnx')).graph.node;
    expect(findAttribute(attributes, 'i')?.i).toBe(2n ** 63n - 1n);
    expect(findAttribute(attributes, 'j')?.i).toBe(-(2n ** 63n));
    expect(intsOf(attributes, 'ints')).toEqual([0, -1, 2 ** 40]);
    expect(findAttribute(attributes, 'floats')?.floats).toEqual(Float32Array.of(1.5, Number.POSITIVE_INFINITY));
  });

  it('reads every element type, typed and raw, as the same bytes', async () => {
    const expected: Record<string, string> = JSON.parse(golden('tensors.json').toString());
    const { initializer } = readModelBytes(golden('tensors.onnx')).graph;
    expect(initializer).toHaveLength(2 * Object.keys(expected).length);
    for (const proto of initializer) {
      const tensor = tensorOf(proto);
      expect(tensor.dtype).toBe(dtypeOf(proto.dataType));
      expect(Buffer.from(await readTensor(tensor)).toString('hex'), tensor.name).toBe(
        expected[tensor.name.replace('.raw', '')],
      );
    }
  });

  it('refuses to give the values of types that no checkpoint has', () => {
    const int4 = readModelBytes(golden('everything.onnx')).graph.initializer[0];
    expect(() => tensorOf(int4)).toThrow(expect.objectContaining({ code: 'ONNX_UNSUPPORTED' }));
  });

  it('leaves large weights in the file', () => {
    const folder = temporaryFolder();
    const large = modelFile(
      initializer(number(1, 1 << 20), number(2, 2), bytes(8, 'w'), bytes(9, new Uint8Array(1 << 20))),
    );
    writeFileSync(join(folder, 'm.onnx'), large);
    const file = openOnnx(join(folder, 'm.onnx'));
    expect(file.model.graph.initializer[0].rawData).not.toBeInstanceOf(Uint8Array);
    file.close();
  });
});

describe('fields that are not in the schema', () => {
  it('come back after the known ones, with the numbers of enums we do not know', async () => {
    const later = [...number(900, 2n ** 63n), ...bytes(901, 'new'), ...varint(902 * 8 + 5), 1, 2, 3, 4];
    const tensor = initializer(number(1, 3), number(2, 77), bytes(8, 'w'), bytes(9, 'abc'), later);
    const file = modelFile([...tensor, ...later], later);
    expect(Uint8Array.from(await modelBytes(readModelBytes(file)))).toEqual(file);
  });

  it('may be a million, with known ones between', async () => {
    const unknown = number(900, 1);
    const many = Array.from({ length: 500_000 }, () => unknown).flat();
    const info = bytes(13, bytes(1, 'v'));
    const file = modelFile([...info, ...info], many);
    const scattered = Buffer.concat([modelFile([...unknown, ...info, ...unknown, ...info]), Uint8Array.from(many)]);
    const ordered = Buffer.from(await modelBytes(readModelBytes(scattered)));
    expect(ordered.includes(Buffer.from([...info, ...info, ...unknown, ...unknown]))).toBe(true);
    expect(ordered.subarray(-many.length).equals(Uint8Array.from(many))).toBe(true);
    expect(Uint8Array.from(await modelBytes(readModelBytes(file)))).toEqual(file);
  });
});

describe('writing then reading', () => {
  it('is identity for numbers of any size', async () => {
    const safe = fc.maxSafeInteger();
    const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    await fc.assert(
      fc.asyncProperty(
        safe,
        fc.integer(),
        fc.array(int64),
        fc.array(uint64),
        fc.string({ unit: 'grapheme' }),
        async (...drawn) => {
          const [modelVersion, type, ints, uints, name] = drawn;
          const base = readModelBytes(modelFile([]));
          const written = {
            ...base,
            modelVersion,
            graph: {
              ...base.graph,
              name,
              node: [
                {
                  opType: 'A',
                  input: [name],
                  output: [''],
                  attribute: [{ name, type, ...(ints.length > 0 && { ints: BigInt64Array.from(ints), i: ints[0] }) }],
                },
              ],
              initializer: [
                {
                  dims: [uints.length],
                  dataType: 13,
                  ...(uints.length > 0 && { uint64Data: BigUint64Array.from(uints) }),
                },
              ],
            },
          };
          expect(readModelBytes(await modelBytes(written))).toEqual(written);
        },
      ),
    );
  });
});

const tensorOfFields = (...fields: number[][]) => modelFile(initializer(bytes(8, 'w'), ...fields));
const f32 = (length: number) => bytes(9, new Uint8Array(length));

function nested(depth: number): Uint8Array {
  let graph: number[] = [];
  for (let i = 0; i < depth; i++)
    graph = bytes(1, [...bytes(4, 'If'), ...bytes(5, [...bytes(1, 'b'), ...bytes(6, graph)])]);
  return modelFile(graph);
}

function nestedType(depth: number): Uint8Array {
  let type: number[] = [];
  for (let i = 0; i < depth; i++) type = bytes(4, bytes(1, type));
  return modelFile(bytes(11, [...bytes(1, 'x'), ...bytes(2, type)]));
}

const HOSTILE: readonly (readonly [string, Uint8Array])[] = [
  ['an empty file', new Uint8Array(0)],
  ['text', Buffer.from('this is no protobuf at all')],
  ['a model without a graph', Uint8Array.from(number(1, 8))],
  ['a length of 4 GB in a small file', Uint8Array.from([...number(1, 8), 0x3a, ...varint(2 ** 32)])],
  ['a length of 2^63', Uint8Array.from([...number(1, 8), 0x3a, ...varint(2n ** 63n)])],
  ['a message longer than the one around it', modelFile([0x0a, 5, 0])],
  ['a varint of 11 bytes', Uint8Array.from([8, ...new Array(10).fill(0x80), 1])],
  ['a varint that is cut off', Uint8Array.from([8, 0x80])],
  ['field number 0', modelFile([0, 0])],
  ['wire type 6', modelFile([...varint(900 * 8 + 6)])],
  ['wire type 7', modelFile([...varint(900 * 8 + 7)])],
  ['a group that is never closed', modelFile([...varint(900 * 8 + 3), 1, 2, 3])],
  ['the end of a group', modelFile([...varint(900 * 8 + 4)])],
  ['a known field of the wrong wire type', modelFile(number(1, 5))],
  ['two graphs', modelFile([], bytes(7, []))],
  [
    'a dimension that is a number and a symbol',
    modelFile(
      bytes(11, [...bytes(1, 'x'), ...bytes(2, bytes(1, bytes(2, bytes(1, [...number(1, 4), ...bytes(2, 'n')]))))]),
    ),
  ],
  ['a name that is not UTF-8', modelFile(bytes(2, [0xff]))],
  ['a node without an operator', modelFile(bytes(1, bytes(1, 'x')))],
  ['5 million nodes', manyOf(bytes(1, bytes(4, '')))],
  ['200 subgraphs in each other', nested(200)],
  ['3000 subgraphs in each other', nested(3000)],
  ['3000 types in each other', nestedType(3000)],
  ['dims whose product overflows', tensorOfFields(number(1, 2 ** 40), number(1, 2 ** 40), number(2, 1))],
  ['a dim of 2^62', tensorOfFields(number(1, 2n ** 62n), number(2, 1))],
  ['a negative dim', tensorOfFields(number(1, -1), number(2, 1))],
  ['raw data shorter than the dims', tensorOfFields(number(1, 2), number(2, 1), f32(7))],
  ['raw data longer than the dims', tensorOfFields(number(1, 2), number(2, 1), f32(9))],
  ['no data at all', tensorOfFields(number(1, 2), number(2, 1))],
  ['raw and typed data at once', tensorOfFields(number(1, 1), number(2, 1), f32(4), bytes(4, [0, 0, 0, 0]))],
  ['floats in the field of integers', tensorOfFields(number(1, 1), number(2, 1), bytes(5, [0]))],
  ['half a float', tensorOfFields(number(1, 1), number(2, 1), bytes(4, [0, 0]))],
  ['raw strings', tensorOfFields(number(1, 1), number(2, 8), f32(4))],
  [
    'a tensor of a million dimensions',
    tensorOfFields(bytes(1, new Uint8Array(1_000_000).fill(1)), number(2, 1), f32(4)),
  ],
  [
    'a value of 65 dimensions',
    modelFile(
      bytes(13, [...bytes(1, 'v'), ...bytes(2, bytes(1, bytes(2, new Array(65).fill(bytes(1, number(1, 1))).flat())))]),
    ),
  ],
  ['more tensors than any model has', manyOf(bytes(5, [...bytes(8, 'w'), ...number(1, 0), ...number(2, 1)]), 250_001)],
];

/** A graph of many equal small fields. */
function manyOf(field: number[], count = 5_000_000): Uint8Array {
  const graph = Buffer.alloc(field.length * count, Uint8Array.from(field));
  return Buffer.concat([Uint8Array.from([...number(1, 8), 0x3a, ...varint(graph.length)]), graph]);
}

describe('hostile models', () => {
  it('bounds what a message quotes of them', () => {
    const file = modelFile(initializer(number(1, 1), number(2, 1), bytes(8, 'w'.repeat(3_000_000))));
    expect(() => readModelBytes(file)).toThrow(/^.{1,2100}$/);
  });

  it.each(HOSTILE)('refuses %s as corrupt', (_, file) => {
    expect(() => readModelBytes(file)).toThrow(expect.objectContaining({ code: 'ONNX_CORRUPT' }));
  });

  it.each(HOSTILE)('says so of %s in few words', (_, file) => {
    try {
      readModelBytes(file);
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(500);
    }
  });

  it('reads 60 subgraphs in each other', () => {
    expect(() => readModelBytes(nested(60))).not.toThrow();
  });

  it('stops at many tiny values before they fill the memory', () => {
    const file = manyOf(bytes(16, bytes(1, '')));
    const before = process.memoryUsage.rss();
    expect(() => readModelBytes(file)).toThrow(expect.objectContaining({ code: 'ONNX_CORRUPT' }));
    expect(process.memoryUsage.rss() - before).toBeLessThan(512 * 2 ** 20);
  });

  it('either reads a damaged file or says that it is damaged', () => {
    const original = golden('everything.onnx');
    const change = fc.tuple(fc.nat(original.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(original.length), (changes, end) => {
        const damaged = Uint8Array.from(original).subarray(0, end % 2 ? end : original.length);
        for (const [at, byte] of changes) if (at < damaged.length) damaged[at] = byte;
        try {
          decodeModel(new MemorySource(damaged, 'damaged.onnx'));
        } catch (error) {
          expect(error).toBeInstanceOf(HpsError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
