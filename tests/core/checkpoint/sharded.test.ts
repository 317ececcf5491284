import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConcatSource } from '../../../src/core/bytes/concat.js';
import { FileSource, MemorySource } from '../../../src/core/bytes/source.js';
import type { CheckpointFormat, RawCheckpoint } from '../../../src/core/checkpoint/format.js';
import { resolveModelFolder } from '../../../src/core/checkpoint/hf-folder.js';
import { safetensors } from '../../../src/core/checkpoint/safetensors.js';
import { makeShardIndexFormat } from '../../../src/core/checkpoint/shard-index.js';
import { tfjs } from '../../../src/core/checkpoint/tfjs.js';
import { LIMITS } from '../../../src/core/limits.js';
import { byteLength, readTensor, type Tensor } from '../../../src/core/tensor/tensor.js';
import { asFloat32, toFloat32 } from '../../../src/core/tensor/values.js';
import { hasShared, SHARED } from '../../helpers/shared.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sharded-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const put = (name: string, content: Uint8Array | object): void =>
  writeFileSync(join(folder, name), content instanceof Uint8Array ? content : JSON.stringify(content));

const openFiles = (): number => readdirSync('/proc/self/fd').length;

/** Opens a checkpoint for the length of a check, and sees to it that no file stays open. */
async function withCheckpoint<T>(
  format: CheckpointFormat,
  path: string,
  use: (raw: RawCheckpoint) => T | Promise<T>,
): Promise<T> {
  const before = process.platform === 'linux' ? openFiles() : 0;
  const source = FileSource.open(path);
  let raw: RawCheckpoint;
  try {
    raw = await format.open(source);
  } catch (error) {
    source.close();
    if (process.platform === 'linux') expect(openFiles()).toBe(before);
    throw error;
  }
  try {
    return await use(raw);
  } finally {
    raw.close();
    if (process.platform === 'linux') expect(openFiles()).toBe(before);
  }
}

function tensorsOf({ root }: RawCheckpoint): Map<string, Tensor> {
  if (root.kind !== 'map') throw new Error(`root is a ${root.kind}`);
  const tensors = new Map<string, Tensor>();
  for (const [name, node] of root.entries) if (node.kind === 'tensor') tensors.set(name, node.tensor);
  return tensors;
}

const valuesOf = async (tensor: Tensor): Promise<number[]> => [...toFloat32(await readTensor(tensor), tensor.dtype)];

describe('ConcatSource', () => {
  const joined = new ConcatSource(
    [[0, 1, 2], [], [3], [4, 5, 6, 7]].map((bytes, i) => new MemorySource(Uint8Array.from(bytes), `part ${i}`)),
    'joined',
  );

  it('reads every range as if it were one source, through slices too', async () => {
    for (let from = 0; from <= 8; from++) {
      for (let to = from; to <= 8; to++) {
        const expected = Uint8Array.from({ length: to - from }, (_, i) => from + i);
        expect(joined.readSync(from, to - from)).toEqual(expected);
        const target = new Uint8Array(to - from);
        await joined.slice(from, to - from).readInto(0, target);
        expect(target).toEqual(expected);
      }
    }
  });

  it('refuses a range outside', () => {
    expect(() => joined.readSync(7, 2)).toThrow(RangeError);
    expect(() => joined.slice(-1, 2)).toThrow(RangeError);
  });
});

describe('shard index', () => {
  const format = makeShardIndexFormat(async (path) => {
    const source = FileSource.open(path);
    try {
      return await safetensors.open(source);
    } catch (error) {
      source.close();
      throw error;
    }
  });

  /** A safetensors file of one-byte tensors with these values. */
  function shard(tensors: Record<string, number>): Uint8Array {
    const entries = Object.keys(tensors).map((name, i) => [
      name,
      { dtype: 'U8', shape: [1], data_offsets: [i, i + 1] },
    ]);
    const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    const length = new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer);
    return Buffer.concat([length, header, Uint8Array.from(Object.values(tensors))]);
  }

  const open = <T>(weight_map: unknown, use: (raw: RawCheckpoint) => T | Promise<T>): Promise<T> => {
    put('model.safetensors.index.json', { metadata: { total_size: 3 }, weight_map });
    return withCheckpoint(format, join(folder, 'model.safetensors.index.json'), use);
  };

  it('joins the tensors of its shards and lists every file', async () => {
    put('a.safetensors', shard({ x: 1, y: 2 }));
    put('b.safetensors', shard({ z: 3 }));
    await open({ x: 'a.safetensors', z: 'b.safetensors', y: 'a.safetensors' }, async (raw) => {
      const tensors = tensorsOf(raw);
      expect([...tensors.keys()]).toEqual(['x', 'y', 'z']);
      expect(await valuesOf(tensors.get('z')!)).toEqual([3]);
      expect(raw.files.map((path) => path.slice(folder.length + 1))).toEqual([
        'model.safetensors.index.json',
        'a.safetensors',
        'b.safetensors',
      ]);
      expect(raw.ignored).toEqual([]);
    });
  });

  it('lists a tensor the index does not name as ignored', async () => {
    put('a.safetensors', shard({ x: 1, extra: 2 }));
    await open({ x: 'a.safetensors' }, (raw) => {
      expect([...tensorsOf(raw).keys()]).toEqual(['x']);
      expect(raw.ignored).toEqual([{ name: 'extra', reason: expect.stringContaining('a.safetensors') }]);
    });
  });

  it('is recognised by its weight_map', () => {
    expect(format.sniff(Buffer.from('{"metadata": {}, "weight_map": {}}'))).toBe(true);
    expect(format.sniff(Buffer.from('{"weights": {}}'))).toBe(false);
  });

  // HOSTILE 43
  const hostile: [name: string, weightMap: unknown, code: string, rule: RegExp][] = [
    [
      'a shard that is missing',
      { x: 'a.safetensors', z: 'c.safetensors' },
      'CHECKPOINT_CORRUPT',
      /shard c.safetensors is missing/,
    ],
    ['a path that climbs', { x: '../../x' }, 'CHECKPOINT_UNSAFE', /plain name/],
    ['an absolute path', { x: '/etc/passwd' }, 'CHECKPOINT_UNSAFE', /plain name/],
    ['a path of another platform', { x: 'C:\\x' }, 'CHECKPOINT_UNSAFE', /plain name/],
    ['a NUL', { x: 'a.safetensors\0' }, 'CHECKPOINT_UNSAFE', /plain name/],
    ['the folder itself', { x: '..' }, 'CHECKPOINT_UNSAFE', /plain name/],
    [
      'a name in two shards',
      { x: 'a.safetensors', y: 'a.safetensors', z: 'twice.safetensors' },
      'CHECKPOINT_CORRUPT',
      /two shards/,
    ],
    ['a name that its shard lacks', { x: 'a.safetensors', w: 'a.safetensors' }, 'CHECKPOINT_CORRUPT', /"w" is not in/],
    ['a shard that is damaged', { x: 'bad.safetensors' }, 'CHECKPOINT_CORRUPT', /bad.safetensors/],
    ['a file name that is a number', { x: 1 }, 'CHECKPOINT_CORRUPT', /no file name/],
    ['a weight_map that is a list', [], 'CHECKPOINT_CORRUPT', /not a JSON object/],
  ];
  it.each(hostile)('refuses %s', async (_, weightMap, code, rule) => {
    put('a.safetensors', shard({ x: 1, y: 2 }));
    put('twice.safetensors', shard({ z: 3, x: 4 }));
    put('bad.safetensors', new Uint8Array(20));
    await expect(open(weightMap, () => {})).rejects.toMatchObject({ code, message: expect.stringMatching(rule) });
  });
});

describe('resolveModelFolder', () => {
  it('prefers safetensors, then its index, then the torch files, then model.json', () => {
    const order = [
      'model.json',
      'pytorch_model.bin.index.json',
      'pytorch_model.bin',
      'model.safetensors.index.json',
      'model.safetensors',
    ];
    for (const name of order) {
      put(name, {});
      expect(resolveModelFolder(folder)).toBe(join(folder, name));
    }
  });

  it('takes a single file of weights of any name, what lies beside training and golden vectors left out', () => {
    put('optimizer.pt', {});
    put('golden.safetensors', {});
    put('ImageReward.pt', {});
    expect(resolveModelFolder(folder)).toBe(join(folder, 'ImageReward.pt'));
    put('second.safetensors', {});
    expect(() => resolveModelFolder(folder)).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_UNRECOGNISED',
        details: expect.objectContaining({ candidates: ['ImageReward.pt', 'second.safetensors'] }),
      }),
    );
  });

  it('returns a path that is no folder as it is', () => {
    put('x.pt', {});
    expect(resolveModelFolder(join(folder, 'x.pt'))).toBe(join(folder, 'x.pt'));
    expect(resolveModelFolder(join(folder, 'none'))).toBe(join(folder, 'none'));
  });

  it('names what it looked for in a folder without weights', () => {
    mkdirSync(join(folder, 'model.safetensors')); // a folder does not count
    expect(() => resolveModelFolder(folder)).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_UNRECOGNISED',
        message: expect.stringMatching(/model\.safetensors, model\.safetensors\.index\.json, .*pytorch_model\.bin/),
      }),
    );
  });
});

describe('tfjs', () => {
  const open = <T>(weightsManifest: unknown, use: (raw: RawCheckpoint) => T | Promise<T>): Promise<T> => {
    put('model.json', { modelTopology: {}, weightsManifest });
    return withCheckpoint(tfjs, join(folder, 'model.json'), use);
  };
  const bytesOf = (...arrays: ArrayBufferView[]): Uint8Array =>
    Buffer.concat(arrays.map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)));
  const weight = (name: string, shape: unknown, dtype: unknown, quantization?: unknown) => ({
    name,
    shape,
    dtype,
    quantization,
  });

  it('reads plain weights across shards and groups', async () => {
    const bytes = bytesOf(Float32Array.of(1.5, -2, 3), Int32Array.of(-7), Uint8Array.of(1, 0));
    put('g1-1', bytes.subarray(0, 5)); // an element lies across the boundary
    put('g1-2', bytes.subarray(5));
    put('g2-1', bytesOf(Float32Array.of(9)));
    const first = [weight('w', [3], 'float32'), weight('n', [], 'int32'), weight('mask', [2], 'bool')];
    const manifest = [
      { paths: ['g1-1', 'g1-2'], weights: first },
      { paths: ['g2-1'], weights: [weight('v', [1, 1], 'float32')] },
    ];
    await open(manifest, async (raw) => {
      const tensors = tensorsOf(raw);
      expect(await valuesOf(tensors.get('w')!)).toEqual([1.5, -2, 3]);
      expect(await valuesOf(tensors.get('n')!)).toEqual([-7]);
      expect(await valuesOf(tensors.get('mask')!)).toEqual([1, 0]);
      expect(tensors.get('v')).toMatchObject({ dtype: 'F32', shape: [1, 1] });
      expect(raw.files).toHaveLength(4);
    });
  });

  it('dequantizes uint8, uint16 and float16 as tfjs does, and rounds integers', async () => {
    put(
      's',
      bytesOf(Uint8Array.of(0, 255), Uint16Array.of(0, 65535), Uint16Array.of(0x3c00, 0xc000), Uint8Array.of(0, 1, 3)),
    );
    const weights = [
      weight('u8', [2], 'float32', { dtype: 'uint8', scale: 0.1, min: -3 }),
      weight('u16', [2], 'float32', { dtype: 'uint16', scale: 0.001, min: 5 }),
      weight('half', [2], 'float32', { dtype: 'float16' }),
      weight('i', [3], 'int32', { dtype: 'uint8', scale: 1.5, min: -2 }),
    ];
    await open([{ paths: ['s'], weights }], async (raw) => {
      const tensors = tensorsOf(raw);
      expect(await valuesOf(tensors.get('u8')!)).toEqual([-3, Math.fround(255 * 0.1 - 3)]);
      expect(await valuesOf(tensors.get('u16')!)).toEqual([5, Math.fround(65535 * 0.001 + 5)]);
      expect(await valuesOf(tensors.get('half')!)).toEqual([1, -2]);
      // Math.round(-0.5) is -0, an integer 0; Math.round(2.5) is 3.
      expect(tensors.get('i')!.dtype).toBe('I32');
      expect(await valuesOf(tensors.get('i')!)).toEqual([-2, 0, 3]);
    });
  });

  it('keeps the pieces of a large quantized weight within the limit', async () => {
    const length = LIMITS.chunkBytes / 4 + 1000;
    put('s', new Uint8Array(length).fill(2));
    const large = weight('w', [length], 'float32', { dtype: 'uint8', scale: 2, min: 1 });
    await open([{ paths: ['s'], weights: [large] }], async (raw) => {
      const sizes: number[] = [];
      for await (const chunk of tensorsOf(raw).get('w')!.chunks()) {
        sizes.push(chunk.byteLength);
        expect(asFloat32(chunk).every((value) => value === 5)).toBe(true);
      }
      expect(sizes).toEqual([LIMITS.chunkBytes, 4000]);
    });
  });

  it('steps over string weights and says so', async () => {
    put('s', bytesOf(Uint8Array.of(2, 0, 0, 0, 0x68, 0x69, 0, 0, 0, 0), Float32Array.of(4)));
    const weights = [weight('vocabulary', [2], 'string'), weight('w', [1], 'float32')];
    await open([{ paths: ['s'], weights }], async (raw) => {
      expect(await valuesOf(tensorsOf(raw).get('w')!)).toEqual([4]);
      expect(raw.ignored).toEqual([{ name: 'vocabulary', reason: 'string weights' }]);
    });
  });

  const f32 = (name: string, shape: unknown) => weight(name, shape, 'float32');
  const hostile: [name: string, manifest: unknown, code: string, rule: RegExp][] = [
    ['a manifest that is no list', {}, 'CHECKPOINT_CORRUPT', /not a list/],
    ['a group without paths', [{ weights: [] }], 'CHECKPOINT_CORRUPT', /no list of paths/],
    ['a path that climbs', [{ paths: ['../s'], weights: [] }], 'CHECKPOINT_UNSAFE', /plain name/],
    ['an address', [{ paths: ['http://x/s'], weights: [] }], 'CHECKPOINT_UNSAFE', /plain name/],
    ['a missing shard', [{ paths: ['s', 't'], weights: [f32('w', [2])] }], 'CHECKPOINT_CORRUPT', /shard t is missing/],
    ['a shard named twice', [{ paths: ['s', 's'], weights: [f32('w', [4])] }], 'CHECKPOINT_CORRUPT', /shard twice/],
    [
      'weights beyond the shards',
      [{ paths: ['s'], weights: [f32('w', [3])] }],
      'CHECKPOINT_CORRUPT',
      /takes 12 bytes, 8 are left/,
    ],
    [
      'bytes without a weight',
      [{ paths: ['s'], weights: [f32('w', [1])] }],
      'CHECKPOINT_CORRUPT',
      /take 4 bytes, s holds 8/,
    ],
    [
      'two weights of one name',
      [{ paths: ['s'], weights: [f32('w', [1]), f32('w', [1])] }],
      'CHECKPOINT_CORRUPT',
      /two weights/,
    ],
    ['a dimension of -1', [{ paths: ['s'], weights: [f32('w', [-1])] }], 'CHECKPOINT_CORRUPT', /shape/],
    [
      'a product beyond 2^53',
      [{ paths: ['s'], weights: [f32('w', [2 ** 40, 2 ** 40])] }],
      'CHECKPOINT_CORRUPT',
      /shape/,
    ],
    [
      'an unknown dtype',
      [{ paths: ['s'], weights: [weight('w', [2], '__proto__')] }],
      'CHECKPOINT_CORRUPT',
      /unknown dtype/,
    ],
    [
      'a quantization without scale',
      [{ paths: ['s'], weights: [weight('w', [8], 'float32', { dtype: 'uint8', min: 0 })] }],
      'CHECKPOINT_CORRUPT',
      /no scale/,
    ],
    [
      'a quantized boolean',
      [{ paths: ['s'], weights: [weight('w', [8], 'bool', { dtype: 'uint8', min: 0, scale: 1 })] }],
      'CHECKPOINT_CORRUPT',
      /cannot be quantized/,
    ],
    [
      'strings that end outside',
      [{ paths: ['s'], weights: [weight('w', [1], 'string')] }],
      'CHECKPOINT_CORRUPT',
      /end outside/,
    ],
    [
      'a billion strings',
      [{ paths: ['s'], weights: [weight('w', [1e9], 'string')] }],
      'CHECKPOINT_CORRUPT',
      /1000000000 strings/,
    ],
  ];
  it.each(hostile)('refuses %s', async (_, manifest, code, rule) => {
    put('s', new Uint8Array(8).fill(0xff));
    await expect(open(manifest, () => {})).rejects.toMatchObject({ code, message: expect.stringMatching(rule) });
  });

  it('is recognised by its topology, which may hide the manifest', () => {
    expect(tfjs.sniff(Buffer.from('{"format":"graph-model","modelTopology":{'))).toBe(true);
    expect(tfjs.sniff(Buffer.from('{"weight_map":{}}'))).toBe(false);
  });

  describe.skipIf(!hasShared)('real models', () => {
    it('reads every weight of MobileNetV2, as decoded by hand', async () => {
      const path = `${SHARED}real/mobilenet_v2-tfjs`;
      const model = JSON.parse(readFileSync(`${path}/model.json`, 'utf8'));
      const stored = readFileSync(`${path}/group1-shard1of1`);
      await withCheckpoint(tfjs, `${path}/model.json`, async (raw) => {
        const tensors = tensorsOf(raw);
        let at = 0;
        for (const { name, shape, quantization } of model.weightsManifest[0].weights) {
          const tensor = tensors.get(name)!;
          expect(tensor.shape).toEqual(shape);
          const values = asFloat32(await readTensor(tensor));
          const wrong = values.findIndex(
            (value, i) => value !== Math.fround(stored[at + i] * quantization.scale + quantization.min),
          );
          expect(wrong, name).toBe(-1);
          at += values.length;
        }
        expect(tensors.size).toBe(266);
        expect(at).toBe(2_619_461);
      });
    });

    it('reads every weight of the sentence encoder over its seven shards', async () => {
      await withCheckpoint(tfjs, `${SHARED}real/use-lite-tfjs/model.json`, async (raw) => {
        const tensors = [...tensorsOf(raw).values()];
        expect(tensors).toHaveLength(61);
        expect(tensors.reduce((total, tensor) => total + byteLength(tensor), 0)).toBe(6 * 4_194_304 + 2_737_832);
        for (const tensor of tensors) expect((await valuesOf(tensor)).every(Number.isFinite)).toBe(true);
      });
    });
  });
});
