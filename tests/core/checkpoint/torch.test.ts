import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Checkpoint } from '../../../src/core/checkpoint/checkpoint.js';
import { openCheckpoint } from '../../../src/core/checkpoint/open.js';
import { writeTorchCheckpoint } from '../../../src/core/checkpoint/write-torch.js';
import { LIMITS } from '../../../src/core/limits.js';
import { readTensor, type Tensor, tensorFromBytes, verifyUnread } from '../../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../../src/core/tensor/values.js';
import { MemorySink } from '../../helpers/memory-sink.js';
import { dict, intTuple, op, pickle, storage, tensor, torchLegacyFile, torchZipFile } from '../../helpers/pickles.js';
import { hasShared, SHARED } from '../../helpers/shared.js';
import { tempFolder } from '../../helpers/temp.js';

const GOLDEN = fileURLToPath(new URL('../../golden/torch/', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

async function withCheckpoint<T>(path: string, use: (checkpoint: Checkpoint) => Promise<T> | T): Promise<T> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await use(checkpoint);
  } finally {
    checkpoint.close();
  }
}

function put(bytes: Uint8Array): string {
  const path = join(folder, 'x.pt');
  writeFileSync(path, bytes);
  return path;
}

const hex = async (of: Tensor): Promise<string> => Buffer.from(await readTensor(of)).toString('hex');

async function floats(path: string): Promise<Record<string, number[]>> {
  return withCheckpoint(path, async ({ tensors }) => {
    const values: Record<string, number[]> = {};
    for (const [name, of] of tensors) values[name] = [...asFloat32(await readTensor(of))];
    return values;
  });
}

function withByte(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = value;
  return changed;
}

const code = (path: string): Promise<string> => withCheckpoint(path, () => 'none').catch((error) => error.code);

describe('files of torch.save', () => {
  // Vectors: torch 1.13, tests/golden/torch/make.py; compared byte by byte.
  const expected: Record<string, { shape: number[]; bytes: string }> = JSON.parse(
    readFileSync(`${GOLDEN}views.json`, 'utf8'),
  );

  it.each(['views.pt', 'views-protocol4.pt', 'views-legacy.pth'])(
    '%s: reads every dtype, and strided, shared, expanded, scalar and empty tensors',
    async (file) => {
      await withCheckpoint(GOLDEN + file, async ({ tensors }) => {
        expect([...tensors.keys()]).toEqual(Object.keys(expected));
        for (const [name, of] of tensors) {
          expect(of.shape, name).toEqual(expected[name].shape);
          expect(await hex(of), name).toBe(expected[name].bytes);
        }
      });
    },
  );

  it('tells tied tensors from other views of one storage', async () => {
    await withCheckpoint(`${GOLDEN}views.pt`, ({ tensors }) => {
      const id = (name: string) => tensors.get(name)?.storageId;
      expect(id('tied')).toBe(id('base'));
      expect(id('transposed')).not.toBe(id('base'));
      expect(id('offset')).not.toBe(id('base'));
      expect(id('scalar')).not.toBe(id('base'));
    });
  });

  it('refuses every tensor of a record that has another CRC-32, and gives the others', async () => {
    const bytes = readFileSync(`${GOLDEN}views.pt`);
    const storages = await withCheckpoint(
      `${GOLDEN}views.pt`,
      ({ tensors }) =>
        new Map(
          [...tensors].map(([name, { storageId }]) => [name, storageId!.split('@')[0].split('/').slice(1).join('/')]),
        ),
    );
    const record = storages.get('base')!; // `base` is read from end to end, others are views of it
    const at = bytes.indexOf(record); // in its local header, behind the length of an extra field
    bytes[at + record.length + bytes.readUInt16LE(at - 2)] ^= 1;
    await withCheckpoint(put(bytes), async ({ tensors }) => {
      for (const [name, tensor] of tensors) {
        const reading = readTensor(tensor);
        if (storages.get(name) === record && tensor.shape.every((dim) => dim > 0))
          await expect(reading, name).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT', message: /CRC-32/ });
        else await expect(reading, name).resolves.toBeInstanceOf(Uint8Array);
      }
      const others = new Set([...tensors.keys()].filter((name) => storages.get(name) !== record));
      await expect(verifyUnread(tensors, others)).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
      await expect(verifyUnread(tensors, tensors)).resolves.toBeUndefined();
    });
  });

  it.each(['module.pt', 'module-legacy.pth', 'script.pt'])(
    '%s: a whole model is refused with the advice to save its state dict',
    async (file) => {
      const error = await withCheckpoint(GOLDEN + file, () => null).catch((cause) => cause);
      expect(error.code).toBe('CHECKPOINT_UNSAFE');
      expect(error.hint).toContain('state_dict()');
    },
  );

  it('reads a tensor, and a list of tensors', async () => {
    expect(await floats(`${GOLDEN}tensor.pt`)).toEqual({ tensor: [1, 1] });
    expect(await floats(`${GOLDEN}list.pt`)).toEqual({ 0: [1, 1], 1: [0, 0, 0] });
  });
});

describe('forms that torch 1.13 does not write', () => {
  const values = new Float32Array([1, 2, 3, 4, 5, 6]);
  const storages = { 0: new Uint8Array(values.buffer) };

  it('reads the arguments of _rebuild_tensor, which torch 0.3 wrote', async () => {
    const path = put(await torchZipFile(pickle(dict({ w: tensor({}, '_rebuild_tensor', []) })), storages));
    expect(await floats(path)).toEqual({ w: [1, 2, 3, 4, 5, 6] });
  });

  it('takes the dtype of an untyped storage from _rebuild_tensor_v3', async () => {
    const untyped = storage({ type: op.global('torch.storage', 'UntypedStorage'), numel: op.int(24) });
    const rest = [op.none, op.none, op.global('torch', 'float32'), op.none];
    const path = put(
      await torchZipFile(pickle(dict({ w: tensor({ storage: untyped }, '_rebuild_tensor_v3', rest) })), storages),
    );
    expect(await floats(path)).toEqual({ w: [1, 2, 3, 4, 5, 6] });
    const typeless = put(await torchZipFile(pickle(dict({ w: tensor({ storage: untyped }) })), storages));
    expect(await code(typeless)).toBe('CHECKPOINT_CORRUPT');
  });

  it('reads cuda storages and the top folder of any name', async () => {
    const cuda = storage({ type: op.global('torch.cuda', 'FloatStorage'), location: 'cuda:0' });
    const path = put(await torchZipFile(pickle(dict({ w: tensor({ storage: cuda }) })), storages));
    expect(await floats(path)).toEqual({ w: [1, 2, 3, 4, 5, 6] });
  });

  it('reads a parameter that carries Python attributes', async () => {
    const inner = Buffer.concat([op.mark, storage(), op.int(0), intTuple(6), intTuple(1), op.none, op.none, op.tuple]);
    const wrapped = Buffer.concat([
      op.global('torch._tensor', '_rebuild_from_type_v2'),
      op.mark,
      op.global('torch._utils', '_rebuild_tensor_v2'),
      op.global('torch.nn.parameter', 'Parameter'),
      inner,
      op.emptyDict,
      op.tuple,
      op.reduce,
    ]);
    expect(await floats(put(await torchZipFile(pickle(dict({ w: wrapped })), storages)))).toEqual({
      w: [1, 2, 3, 4, 5, 6],
    });
  });

  it('reads legacy storages that are views of one another', async () => {
    const view = Buffer.concat([op.mark, op.text('7'), op.int(2), op.int(3), op.tuple]);
    const whole = tensor({ storage: storage({ view: op.none }) });
    const part = tensor({ storage: storage({ view }), size: intTuple(2), stride: intTuple(1), offset: op.int(1) });
    const object = dict({ whole, part });
    expect(await floats(put(torchLegacyFile(object, [['0', values]])))).toEqual({
      whole: [1, 2, 3, 4, 5, 6],
      part: [4, 5],
    });
    const outside = tensor({ storage: storage({ view }), size: intTuple(3), stride: intTuple(1), offset: op.int(1) });
    expect(await code(put(torchLegacyFile(dict({ outside }), [['0', values]])))).toBe('CHECKPOINT_CORRUPT');
  });

  it.each([
    ['a storage that is cut off', (file: Buffer) => file.subarray(0, -1)],
    ['bytes after the last storage', (file: Buffer) => Buffer.concat([file, Buffer.from('x')])],
    ['another count of elements than the pickle says', (file: Buffer) => withByte(file, file.byteLength - 32, 5)],
  ])('refuses a legacy file with %s', async (_, spoil) => {
    const file = torchLegacyFile(dict({ w: tensor({ storage: storage({ view: op.none }) }) }), [['0', values]]);
    expect(await code(put(file))).toBe('none');
    expect(await code(put(spoil(file)))).toMatch(/^CHECKPOINT_(CORRUPT|UNSAFE)$/);
  });

  it('refuses big-endian files with what to do', async () => {
    const data = pickle(dict({ w: tensor() }));
    expect(await code(put(await torchZipFile(data, storages, { 'a/byteorder': 'little' })))).toBe('none');
    expect(await code(put(await torchZipFile(data, storages, { 'a/byteorder': 'big' })))).toBe(
      'CHECKPOINT_UNSUPPORTED',
    );
    expect(await code(put(torchLegacyFile(dict({ w: tensor() }), [['0', values]], false)))).toBe(
      'CHECKPOINT_UNSUPPORTED',
    );
  });

  it('refuses an archive with two pickles, and one with none', async () => {
    expect(await code(put(await torchZipFile(pickle(op.emptyDict), {}, { 'b/data.pkl': 'x' })))).toBe(
      'CHECKPOINT_UNSAFE',
    );
    const bytes = await torchZipFile(pickle(op.emptyDict), {});
    for (let at = bytes.indexOf('data.pkl'); at >= 0; at = bytes.indexOf('data.pkl')) bytes.write('data.pk_', at);
    expect(await code(put(bytes))).toBe('CHECKPOINT_UNRECOGNISED');
  });

  it('finds a damaged pickle by its CRC-32', async () => {
    const bytes = await torchZipFile(pickle(dict({ weight: tensor() })), storages);
    bytes.write('W', bytes.indexOf('weight'));
    expect(await code(put(bytes))).toBe('CHECKPOINT_CORRUPT');
  });
});

describe('strided tensors', () => {
  it('read as torch would make them contiguous, whatever the strides', async () => {
    const storageNumel = 64;
    const data = Float32Array.from({ length: storageNumel }, (_, i) => i);
    const layout = fc
      .array(fc.record({ size: fc.integer({ min: 0, max: 4 }), stride: fc.integer({ min: 0, max: 9 }) }), {
        maxLength: 4,
      })
      .filter(
        (dims) => dims.reduce((last, { size, stride }) => last + Math.max(0, size - 1) * stride, 0) < storageNumel - 3,
      );
    await fc.assert(
      fc.asyncProperty(layout, fc.integer({ min: 0, max: 3 }), async (dims, offset) => {
        const parts = {
          storage: storage({ numel: op.int(storageNumel) }),
          offset: op.int(offset),
          size: intTuple(...dims.map(({ size }) => size)),
          stride: intTuple(...dims.map(({ stride }) => stride)),
        };
        const path = put(await torchZipFile(pickle(dict({ w: tensor(parts) })), { 0: new Uint8Array(data.buffer) }));
        const offsets = dims.reduce(
          (from, { size, stride }) => from.flatMap((at) => Array.from({ length: size }, (_, i) => at + i * stride)),
          [offset],
        );
        expect((await floats(path))['w']).toEqual(offsets.map((at) => data[at]));
      }),
      { numRuns: 100, seed: 20 },
    );
  });

  it('come in pieces of whole elements within the limit, large ones too', async () => {
    const rows = 1200;
    const columns = 1000;
    const data = Float32Array.from({ length: rows * columns }, (_, i) => i);
    const parts = {
      storage: storage({ numel: op.int(rows * columns) }),
      size: intTuple(columns, rows),
      stride: intTuple(1, columns),
    };
    const path = put(await torchZipFile(pickle(dict({ w: tensor(parts) })), { 0: new Uint8Array(data.buffer) }));
    await withCheckpoint(path, async ({ tensors }) => {
      const sizes: number[] = [];
      for await (const chunk of tensors.get('w')!.chunks()) sizes.push(chunk.byteLength);
      expect(sizes).toEqual([LIMITS.chunkBytes, rows * columns * 4 - LIMITS.chunkBytes]);
      const read = asFloat32(await readTensor(tensors.get('w')!));
      const wrong = read.findIndex((value, i) => value !== (i % rows) * columns + Math.floor(i / rows));
      expect(wrong).toBe(-1);
    });
  });

  it('do not disturb one another when two are read at once', async () => {
    await withCheckpoint(`${GOLDEN}views.pt`, async ({ tensors }) => {
      const [a, b] = [
        tensors.get('base')!.chunks()[Symbol.asyncIterator](),
        tensors.get('offset')!.chunks()[Symbol.asyncIterator](),
      ];
      const first = (await a.next()).value as Uint8Array;
      await b.next();
      expect(asFloat32(first)[1]).toBe(1);
    });
  });
});

describe('writeTorchCheckpoint', () => {
  const write = async (tensors: Iterable<Tensor>): Promise<Buffer> => {
    const sink = new MemorySink();
    await writeTorchCheckpoint(sink, tensors);
    return sink.bytes();
  };
  const f32 = (name: string, values: readonly number[]): Tensor =>
    tensorFromBytes({ name, dtype: 'F32', shape: [values.length] }, new Uint8Array(new Float32Array(values).buffer));

  it('writes what it reads back: names, dtypes, shapes, bytes and ties', async () => {
    await withCheckpoint(`${GOLDEN}views.pt`, async ({ tensors }) => {
      const path = put(await write(tensors.values()));
      await withCheckpoint(path, async (copy) => {
        expect([...copy.tensors.keys()]).toEqual([...tensors.keys()]);
        for (const [name, of] of tensors) {
          const { dtype, shape } = copy.tensors.get(name)!;
          expect({ dtype, shape }).toEqual({ dtype: of.dtype, shape: of.shape });
          expect(await hex(copy.tensors.get(name)!)).toBe(await hex(of));
        }
        expect(copy.tensors.get('tied')?.storageId).toBe(copy.tensors.get('base')?.storageId);
      });
    });
  });

  it('writes the same bytes for the same tensors', async () => {
    expect(
      Buffer.compare(await write([f32('a', [1]), f32('b', [2])]), await write([f32('a', [1]), f32('b', [2])])),
    ).toBe(0);
  });

  it('keeps names of any script and awkward ones', async () => {
    const names = ['__proto__', 'schön.weight', '模型', 'a b/c'];
    await withCheckpoint(put(await write(names.map((name) => f32(name, [1])))), ({ tensors }) => {
      expect([...tensors.keys()]).toEqual(names);
    });
  });

  it('refuses two tensors of one name, and a dtype without a storage class', async () => {
    await expect(write([f32('a', [1]), f32('a', [2])])).rejects.toThrow(RangeError);
    await expect(write([tensorFromBytes({ name: 'a', dtype: 'U16', shape: [1] }, new Uint8Array(2))])).rejects.toThrow(
      RangeError,
    );
  });
});

describe.skipIf(!hasShared)('real checkpoints', () => {
  const nano = `${SHARED}fixtures/hpsv3-nano/`;

  it('hold the same tensors in every container', async () => {
    await withCheckpoint(`${nano}checkpoint.safetensors`, async ({ tensors }) => {
      for (const file of ['checkpoint.pt', 'checkpoint-legacy.pth', 'checkpoint-wrapped.ckpt']) {
        await withCheckpoint(nano + file, async (other) => {
          expect(new Set(other.tensors.keys()), file).toEqual(new Set(tensors.keys()));
          for (const [name, of] of tensors)
            expect((await hex(other.tensors.get(name)!)) === (await hex(of)), `${file} ${name}`).toBe(true);
        });
      }
    });
  });

  it('find the state dict and the configuration of a training checkpoint', async () => {
    await withCheckpoint(`${nano}checkpoint-wrapped.ckpt`, (checkpoint) => {
      expect(checkpoint).toMatchObject({
        key: 'model_state_dict',
        strippedPrefix: 'module.',
        configs: [{ origin: 'checkpoint-wrapped.ckpt:config' }, { origin: 'config.json' }],
      });
      expect(checkpoint.ignored.map(({ name }) => name)).toEqual(['optimizer', 'epoch', 'step', 'val_auc']);
    });
  });

  it.each([
    ['lpips-heads/v0.1/alex.pth', 'torch-legacy', 'lin0.model.1.weight', [1, 64, 1, 1], 5],
    ['lpips-heads/v0.1/squeeze.pth', 'torch-legacy', 'lin6.model.1.weight', [1, 512, 1, 1], 7],
    ['lpips-heads/v0.1/vgg.pth', 'torch-legacy', 'lin0.model.1.weight', [1, 64, 1, 1], 5],
    ['laion-linear/sa_0_4_vit_l_14_linear.pth', 'torch-zip', 'weight', [1, 768], 2],
    ['aesthetic-mlp/sac+logos+ava1-l14-linearMSE.pth', 'torch-zip', 'layers.0.weight', [1024, 768], 10],
  ])('%s', async (file, format, name, shape, count) => {
    await withCheckpoint(`${SHARED}real/${file}`, (checkpoint) => {
      expect(checkpoint.format).toBe(format);
      expect(checkpoint.tensors.size).toBe(count);
      expect(checkpoint.tensors.get(name)?.shape).toEqual(shape);
    });
  });
});
