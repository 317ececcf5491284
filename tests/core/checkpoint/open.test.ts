import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../../src/core/checkpoint/open.js';
import { CHECKPOINT_FORMATS } from '../../../src/core/checkpoint/registry.js';
import type { HpsError } from '../../../src/core/errors.js';
import { tempFolder } from '../../helpers/temp.js';

const GOLDEN = fileURLToPath(new URL('../../golden/', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

const put = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

async function failure(path: string): Promise<HpsError> {
  try {
    (await openCheckpoint(path)).close();
  } catch (error) {
    return error as HpsError;
  }
  throw new Error('the file was opened');
}

describe('openCheckpoint', () => {
  it.each([
    ['torch/views.pt', 'torch-zip'],
    ['torch/views-legacy.pth', 'torch-legacy'],
    ['safetensors/every.safetensors', 'safetensors'],
    ['npz/every.npz', 'npz'],
    ['npz/compressed.npz', 'npz'],
  ])('opens %s as %s, whatever its name', async (file, format) => {
    const path = join(folder, 'weights');
    cpSync(GOLDEN + file, path);
    const checkpoint = await openCheckpoint(path);
    expect(checkpoint.format).toBe(format);
    expect(checkpoint.tensors.size).toBeGreaterThan(0);
    expect(checkpoint.files).toEqual([path]);
    checkpoint.close();
  });

  it('reads a model folder, and a .bin by its index', async () => {
    cpSync(`${GOLDEN}torch/views.pt`, join(folder, 'pytorch_model-00001-of-00001.bin'));
    const plain = await openCheckpoint(join(folder, 'pytorch_model-00001-of-00001.bin'));
    const names = [...plain.tensors.keys()];
    plain.close();
    const weightMap = Object.fromEntries(names.map((name) => [name, 'pytorch_model-00001-of-00001.bin']));
    put('pytorch_model.bin.index.json', JSON.stringify({ weight_map: weightMap }));
    put('config.json', '{"depth": 3}');
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint).toMatchObject({
      format: 'shard-index',
      config: { depth: 3 },
      configs: [{ origin: 'config.json' }],
    });
    expect([...checkpoint.tensors.keys()]).toEqual(names);
    expect(checkpoint.files).toHaveLength(2);
    checkpoint.close();
  });

  it('reads a training checkpoint: its state dict, its configuration, and what it leaves out', async () => {
    const checkpoint = await openCheckpoint(`${GOLDEN}torch/training.ckpt`);
    expect([...checkpoint.tensors.keys()]).toEqual(['weight', 'bias']);
    expect(checkpoint).toMatchObject({
      key: 'model',
      strippedPrefix: 'module._orig_mod.',
      configs: [{ origin: 'training.ckpt:args' }],
    });
    expect(Object.entries(checkpoint.config!)).toEqual([
      ['lr', 0.1],
      ['layers', [1, 2]],
      ['name', 'nano'],
      ['__proto__', 'a key'],
    ]);
    expect(checkpoint.ignored).toContainEqual({ name: 'best', reason: 'outside model: NaN' });
    expect(checkpoint.ignored).toContainEqual({ name: 'seed', reason: `outside model: ${2n ** 70n}` });
    checkpoint.close();
    const ema = await openCheckpoint(`${GOLDEN}torch/training.ckpt`, { key: 'ema' });
    expect(ema.key).toBe('ema');
    ema.close();
  });

  it('joins the configuration in the checkpoint with the one beside it, each with its origin', async () => {
    cpSync(`${GOLDEN}torch/training.ckpt`, join(folder, 'x.ckpt'));
    put('config.json', '{"depth": 3, "name": "beside"}');
    const checkpoint = await openCheckpoint(join(folder, 'x.ckpt'));
    expect(checkpoint.configs.map(({ origin }) => origin)).toEqual(['x.ckpt:args', 'config.json']);
    expect(checkpoint.config).toMatchObject({ depth: 3, name: 'nano', lr: 0.1 });
    checkpoint.close();
  });

  it.each(['{"a": 1,}', '[1]', '{"a": 1, "a": 2}', `"${'x'.repeat(1 << 20)}"`])(
    'refuses the config.json %.20s',
    async (text) => {
      cpSync(`${GOLDEN}torch/views.pt`, join(folder, 'x.pt'));
      put('config.json', text);
      expect((await failure(join(folder, 'x.pt'))).code).toBe('CONFIG_INVALID');
    },
  );

  it.each([0, 8])('takes eight bytes of a length (%i) for a safetensors file that is cut', async (length) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt8(length);
    expect((await failure(put('x', bytes))).code).toBe('CHECKPOINT_CORRUPT');
  });

  it('says that there is no such file, or only a folder without a model', async () => {
    expect((await failure(join(folder, 'none.pt'))).code).toBe('FILE_NOT_FOUND');
    mkdirSync(join(folder, 'empty'));
    expect((await failure(join(folder, 'empty'))).code).toBe('CHECKPOINT_UNRECOGNISED');
  });

  const tar = Buffer.alloc(1024);
  tar.write('pickle', 0);
  tar.write('ustar', 257);
  it.each([
    ['an empty file', ''],
    ['git-lfs pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n'],
    ['web page', '\n<!DOCTYPE html><html></html>'],
    ['HDF5', Buffer.from('\x89HDF\r\n\x1a\n0000', 'latin1')],
    ['ONNX', Buffer.from([8, 7, 0x12, 4])],
    ['tar archive', tar],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0])],
    ['GGUF', 'GGUF\x03'],
    ['single NumPy array', Buffer.from('\x93NUMPY\x01\x00', 'latin1')],
    ['JSON document', '{"architectures": []}'],
    ['a text file', 'nothing in particular'],
    ['not a known checkpoint format', Buffer.from([0, 1, 2, 3])],
  ])('says what it looks like: %s', async (what, content) => {
    const error = await failure(put('x.pt', content));
    expect(error.code).toBe('CHECKPOINT_UNRECOGNISED');
    expect(error.message).toContain(what);
    for (const { label } of CHECKPOINT_FORMATS) expect(error.hint).toContain(label);
  });

  it.skipIf(process.platform !== 'linux')('leaves no file open, whether it succeeds or fails', async () => {
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    for (const file of ['views.pt', 'views-legacy.pth', 'training.ckpt'])
      (await openCheckpoint(`${GOLDEN}torch/${file}`)).close();
    for (const file of ['module.pt', 'module-legacy.pth', 'make.py']) await failure(`${GOLDEN}torch/${file}`);
    expect(open()).toBe(before);
  });

  it('lists every format once', () => {
    expect(new Set(CHECKPOINT_FORMATS.map(({ id }) => id)).size).toBe(CHECKPOINT_FORMATS.length);
  });
});
