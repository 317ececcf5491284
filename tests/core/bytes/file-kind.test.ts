import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ZipWriter } from '../../../src/core/bytes/zip-writer.js';
import { openCheckpoint } from '../../../src/core/checkpoint/open.js';
import type { HpsError } from '../../../src/core/errors.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { MemorySink } from '../../helpers/memory-sink.js';
import { tempFolder } from '../../helpers/temp.js';

const golden = (name: string): Buffer => readFileSync(fileURLToPath(new URL(`../../golden/${name}`, import.meta.url)));

async function zip(...names: readonly string[]): Promise<Buffer> {
  const sink = new MemorySink();
  const writer = new ZipWriter(sink, 1);
  for (const name of names) await writer.add(name, 1, [Buffer.from('x')]);
  await writer.finish();
  return sink.bytes();
}

/** A SavedModel as TensorFlow writes it: the schema's version, then a MetaGraphDef that opens with its MetaInfoDef. */
function savedModel(): Buffer {
  const field = (id: number, body: Buffer) => Buffer.concat([Buffer.from([(id << 3) | 2, body.byteLength]), body]);
  const info = field(1, Buffer.concat([field(4, Buffer.from('serve')), field(5, Buffer.from('2.15.0'))]));
  return Buffer.concat([Buffer.from([8, 1]), field(2, Buffer.concat([info, field(2, Buffer.from('graph'))]))]);
}

async function failure(use: () => unknown): Promise<HpsError> {
  try {
    await use();
  } catch (error) {
    return error as HpsError;
  }
  throw new Error('it was opened');
}

const put = (content: string | Uint8Array, name = 'given'): string => {
  const path = join(tempFolder(), name);
  writeFileSync(path, content);
  return path;
};

const POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n';
const CSV = 'id,type,left,right,label1\n1,pair,a.jpg,b.jpg,1\n';
const JSONL = '{"id":"1","logit":1.3}\n{"id":"2","logit":0.1}\n';

/** Files that are neither, and what both readers call them. */
const STRANGERS: readonly (readonly [string, () => Promise<Buffer> | Buffer | string])[] = [
  ['git-lfs pointer', () => POINTER],
  ['table in text (CSV)', () => CSV],
  ['lines of JSON', () => JSONL],
  ['JSON document', () => '{"architectures": []}'],
  ['text file', () => 'model:\n  hidden_dim: 8\n'],
  ['TensorFlow SavedModel', savedModel],
  ['Keras model (.keras)', () => zip('metadata.json', 'config.json', 'model.weights.h5')],
  ['zip archive', () => zip('notes.txt')],
  ['GGUF', () => Buffer.concat([Buffer.from('GGUF\x03\0\0\0', 'latin1'), Buffer.alloc(32)])],
  ['TensorFlow Lite', () => Buffer.concat([Buffer.from([28, 0, 0, 0]), Buffer.from('TFL3'), Buffer.alloc(32)])],
  ['TorchScript', () => zip('m/data.pkl', 'm/code/__torch__.py', 'm/constants.pkl')],
  ['HDF5', () => Buffer.from('\x89HDF\r\n\x1a\n0000', 'latin1')],
  ['Parquet', () => Buffer.from('PAR1\x15\x04\0\0', 'latin1')],
  ['Flax', () => Buffer.from('\x81\xa6params\x81\xa5Dense', 'latin1')],
  ['web page', () => '<!DOCTYPE html><html></html>'],
  ['media file', () => Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')],
];

describe('a file that is another kind than asked for', () => {
  it.each(STRANGERS)('is named as a model and as a checkpoint: %s', async (what, content) => {
    const path = put(await content());
    const model = await failure(() => openOnnx(path));
    expect(model).toMatchObject({ code: 'MODEL_UNRECOGNISED', message: expect.stringContaining(what) });
    expect(model.message).not.toMatch(/damaged|corrupt/);
    const checkpoint = await failure(() => openCheckpoint(path));
    expect(checkpoint.message).toContain(what);
    expect(checkpoint.code).toBe(what === 'TorchScript' ? 'CHECKPOINT_UNSAFE' : 'CHECKPOINT_UNRECOGNISED');
  });

  it.each([
    ['safetensors/every.safetensors', 'safetensors'],
    ['torch/views.pt', 'PyTorch'],
    ['torch/views-legacy.pth', 'pickle'],
    ['npz/every.npz', 'NumPy archive'],
  ])('as a model, the checkpoint %s is named, and how to export it', async (file, what) => {
    const error = await failure(() => openOnnx(put(golden(file))));
    expect(error).toMatchObject({ code: 'MODEL_UNRECOGNISED', message: expect.stringContaining(what) });
    expect(error.hint).toContain('hpsv3 export');
  });

  it.each([
    ['saved_model.pb', 'SavedModel'],
    ['ckpt-1.data-00000-of-00001', 'TensorFlow checkpoint'],
    ['__0_0.distcp', 'distributed PyTorch'],
    ['zero_to_fp32.py', 'DeepSpeed'],
    ['readme.txt', 'a folder'],
  ])('a folder with %s too', async (name, what) => {
    const folder = tempFolder();
    mkdirSync(join(folder, 'm'));
    writeFileSync(join(folder, 'm', name), '');
    expect(await failure(() => openOnnx(join(folder, 'm')))).toMatchObject({
      code: 'MODEL_UNRECOGNISED',
      message: expect.stringContaining(what),
    });
    expect(await failure(() => openCheckpoint(join(folder, 'm')))).toMatchObject({
      code: 'CHECKPOINT_UNRECOGNISED',
      message: expect.stringContaining(what),
    });
  });

  it('a damaged model stays a damaged model', async () => {
    const bytes = golden('runtime/mlp.onnx');
    for (const damaged of [bytes.subarray(0, 100), Buffer.alloc(0), Buffer.alloc(64, 0xff)])
      expect((await failure(() => openOnnx(put(damaged)))).code).toBe('ONNX_CORRUPT');
  });
});
