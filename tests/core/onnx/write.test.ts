import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../src/core/bytes/output.js';
import type { OnnxModel, TensorProto } from '../../../src/core/onnx/model.js';
import { openOnnx, readModelBytes } from '../../../src/core/onnx/read.js';
import { tensorOf } from '../../../src/core/onnx/tensor-data.js';
import { weightOfTensor } from '../../../src/core/onnx/weight.js';
import { modelBytes, type WriteOnnxOptions, writeOnnx } from '../../../src/core/onnx/write.js';
import { readTensor, tensorFromBytes } from '../../../src/core/tensor/tensor.js';
import { model, node, temporaryFolder } from './tiny.js';

const weights = (name: string, numel: number): TensorProto => {
  const bytes = new Uint8Array(Float32Array.from({ length: numel }, (_, i) => i).buffer);
  const tensor = tensorFromBytes({ name, dtype: 'F32', shape: [numel] }, bytes);
  return { name, dims: [numel], dataType: 1, rawData: weightOfTensor(tensor) };
};

const example = (): OnnxModel =>
  model([node('Add', ['x', 'a'], ['y'])], {
    initializer: [
      weights('a', 2_000_000),
      weights('b', 300),
      { name: 'c', dims: [400], dataType: 1, floatData: Float32Array.from({ length: 400 }, (_, i) => -i) },
      { name: 'd', dims: [1], dataType: 7, int64Data: BigInt64Array.of(-1n) },
    ],
  });

const save = (path: string, options: WriteOnnxOptions = {}, force = false) =>
  withAtomicOutput(path, { force }, (output) => writeOnnx(example(), output, options));

async function valuesOf(path: string): Promise<string[]> {
  const file = openOnnx(path);
  const tensors = file.model.graph.initializer.map(tensorOf);
  const values = [];
  for (const tensor of tensors) values.push(Buffer.from(await readTensor(tensor)).toString('base64'));
  file.close();
  return values;
}

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('writing a model', () => {
  it('streams its weights into one file, and says its hash', async () => {
    const path = join(temporaryFolder(), 'm.onnx');
    const { model: file, data } = await save(path);
    expect(data).toBeUndefined();
    expect(file).toEqual({ name: 'm.onnx', byteLength: readFileSync(path).byteLength, sha256: sha256(path) });
    expect(Buffer.from(await modelBytes(example())).equals(readFileSync(path))).toBe(true);
  });

  it('gives the same bytes each time', async () => {
    const folder = temporaryFolder();
    for (const externalData of [false, true]) {
      const first = await save(join(folder, 'm.onnx'), { externalData }, true);
      expect(await save(join(folder, 'm.onnx'), { externalData }, true)).toEqual(first);
    }
  });

  it('puts weights beside the model when asked to, at whole pages, and reads them back', async () => {
    const folder = temporaryFolder();
    await save(join(folder, 'one.onnx'));
    const { data } = await save(join(folder, 'two.onnx'), { externalData: true });
    expect(data).toMatchObject({ name: 'two.onnx.data', sha256: sha256(join(folder, 'two.onnx.data')) });
    expect(readdirSync(folder).sort()).toEqual(['one.onnx', 'two.onnx', 'two.onnx.data']);
    expect(await valuesOf(join(folder, 'two.onnx'))).toEqual(await valuesOf(join(folder, 'one.onnx')));
    expect(() => readModelBytes(readFileSync(join(folder, 'two.onnx')))).toThrow('lies in another file');
  });

  it('does so by itself when one file would be too large for protobuf', async () => {
    const path = join(temporaryFolder(), 'm.onnx');
    const { model: file, data } = await save(path, { singleFileBytes: 1_000_000 });
    expect(file.byteLength).toBeLessThan(1000);
    const page = 4096;
    expect(data?.byteLength).toBe(Math.ceil((2_000_000 * 4) / page) * page + page + 400 * 4);
    expect(await valuesOf(path)).toHaveLength(4);
  });

  it('writes no data file for a model without large weights', async () => {
    const folder = temporaryFolder();
    const small = model([node('Relu', ['x'], ['y'])]);
    const written = await withAtomicOutput(join(folder, 'm.onnx'), {}, (output) =>
      writeOnnx(small, output, { externalData: true }),
    );
    expect(written.data).toBeUndefined();
    expect(readdirSync(folder)).toEqual(['m.onnx']);
  });

  it('refuses a model that is too large even without its weights', async () => {
    await expect(save(join(temporaryFolder(), 'm.onnx'), { singleFileBytes: 100 })).rejects.toMatchObject({
      code: 'ONNX_UNSUPPORTED',
    });
  });

  it('names its data file itself: a place in a model that was read is never written to', async () => {
    const folder = temporaryFolder();
    const hostile = example();
    Object.assign(hostile.graph.initializer[0], { externalData: [{ key: 'location', value: '../../outside' }] });
    await withAtomicOutput(join(folder, 'm.onnx'), {}, (output) => writeOnnx(hostile, output, { externalData: true }));
    expect(readdirSync(folder).sort()).toEqual(['m.onnx', 'm.onnx.data']);
  });

  it('does not follow a link in place of its data file', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'other'), 'untouched');
    symlinkSync('other', join(folder, 'm.onnx.data'));
    await expect(save(join(folder, 'm.onnx'), { externalData: true }, true)).rejects.toMatchObject({
      code: 'OUTPUT_INVALID',
    });
    expect(readFileSync(join(folder, 'other'), 'utf8')).toBe('untouched');
  });

  it('reports its progress up to the total, and stops when aborted', async () => {
    const folder = temporaryFolder();
    const seen: [number, number][] = [];
    await save(join(folder, 'm.onnx'), { externalData: true, onProgress: (done, total) => seen.push([done, total]) });
    expect(seen.at(-1)?.[0]).toBe(seen.at(-1)?.[1]);
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    await expect(save(join(folder, 'n.onnx'), { onProgress, signal: controller.signal })).rejects.toThrow('aborted');
    expect(readdirSync(folder).sort()).toEqual(['m.onnx', 'm.onnx.data']);
  });
});
