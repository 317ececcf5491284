import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../src/core/bytes/output.js';
import { writeSafetensors } from '../../../src/core/checkpoint/write-safetensors.js';
import { DATA_TYPE } from '../../../src/core/onnx/model.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { openSession } from '../../../src/core/runtime/ort.js';
import { floatsOf, type TensorValue, valueFromBytes } from '../../../src/core/runtime/value.js';
import { numel } from '../../../src/core/tensor/shape.js';
import { readTensor, tensorFromBytes } from '../../../src/core/tensor/tensor.js';
import { renameTensor } from '../../../src/core/tensor/transform.js';
import { readTensors } from '../../helpers/models.js';
import { exportFile } from '../../helpers/pico.js';
import { reconfigured } from '../../helpers/reconfigured.js';
import { sharedFolder, tempFolder } from '../../helpers/temp.js';

// Vectors: transformers 4.57.6 on torch 2.15, in float32 over the weights as stored (tests/golden/decoders/make.py).
const golden = (name: string, file = ''): string =>
  fileURLToPath(new URL(`../../golden/decoders/${name}/${file}`, import.meta.url));

const verify = (name: string, out = join(tempFolder(), 'model.onnx'), checkpoint = golden(name)) =>
  exportFile(out, { checkpoint, golden: golden(name, 'golden.safetensors'), atol: 1e-5, gate: 'quick' });

const folder = sharedFolder();

describe.each([
  ['llama', 'llama'],
  ['llama-biases', 'llama'],
  ['llama-value-head', 'llama'],
  ['qwen2', 'qwen2'],
  ['qwen2-window', 'qwen2'],
  ['qwen2-two-layers', 'qwen2'],
  ['qwen3', 'qwen3'],
  ['mistral', 'mistral'],
  ['gemma2', 'gemma2'],
  ['llama-gating', 'llama'],
])('%s', (name, architecture) => {
  const out = join(folder, `${name}.onnx`);
  let ids: TensorValue;
  let mask: TensorValue;
  let scores: Float32Array;
  beforeAll(async () => {
    const tensors = await readTensors(golden(name, 'golden.safetensors'));
    const value = async (key: string): Promise<TensorValue> => {
      const tensor = tensors.get(key)!;
      return valueFromBytes(tensor.dtype as 'I64' | 'F32', tensor.shape, await readTensor(tensor));
    };
    [ids, mask] = [await value('item/in/input_ids'), await value('item/in/attention_mask')];
    scores = floatsOf(await value('item/out/utility_logit'));
  });

  it('gives the scores of transformers', async () => {
    const report = await verify(name, out);
    expect(report.architecture).toBe(architecture);
    expect(report.parity.golden).toMatchObject({ outputs: { utility_logit: { maxAbsDiff: expect.any(Number) } } });
  });

  it('gives them with the padding on the left as well', async () => {
    const [rows, width] = ids.shape;
    const moved = (value: TensorValue, filler: bigint): TensorValue => {
      const data = new BigInt64Array(rows * width).fill(filler);
      for (let row = 0; row < rows; row++) {
        const line = (array: TensorValue['data']) => (array as BigInt64Array).subarray(row * width, (row + 1) * width);
        const length = line(mask.data).reduce((sum, one) => sum + Number(one), 0);
        data.set(line(value.data).subarray(0, length), row * width + width - length);
      }
      return { ...value, data };
    };
    const session = await openSession(out, { threads: 1 });
    const found = await session.run(
      new Map([
        ['input_ids', moved(ids, 3n)],
        ['attention_mask', moved(mask, 0n)],
      ]),
    );
    await session.release();
    expect(floatsOf(found.get('utility_logit')!)).toBeAllClose(scores, { atol: 1e-5 });
  });
});

describe('a decoder configured otherwise', () => {
  it.each([
    ['llama', { rope_theta: 10000 }],
    ['llama', { rope_scaling: null }],
    ['llama', { rms_norm_eps: 1e-4 }],
    ['llama', { pad_token_id: 0 }],
    ['llama-biases', { rope_scaling: { type: 'linear', factor: 2 } }],
    ['qwen2-window', { max_window_layers: 2 }],
    ['qwen2-window', { sliding_window: 5 }],
    ['qwen2', { num_key_value_heads: 2, hidden_act: 'gelu' }],
    ['mistral', { sliding_window: null }],
    ['mistral', { sliding_window: 6 }],
    ['gemma2', { attn_logit_softcapping: null }],
    ['gemma2', { query_pre_attn_scalar: 6 }],
    ['gemma2', { sliding_window: 64 }],
    ['gemma2', { hidden_activation: 'gelu' }],
    ['llama-gating', { gating_temperature: 3 }],
  ])('%s with %o gives other scores: the tests above can fail', async (name, change) => {
    await expect(verify(name, undefined, reconfigured(golden(name), change))).rejects.toMatchObject({
      code: 'GATE_FAILED',
    });
  });

  it('published without a padding id, is read at the end of each row, however it is filled up', async () => {
    const checkpoint = reconfigured(golden('llama-biases'), { pad_token_id: undefined });
    const out = join(tempFolder(), 'no-pad.onnx');
    await exportFile(out, { checkpoint, gate: 'off' });
    const session = await openSession(out, { threads: 1 });
    const row = (values: readonly number[]): TensorValue => ({
      dtype: 'I64',
      shape: [1, values.length],
      data: BigInt64Array.from(values, BigInt),
    });
    const score = async (ids: readonly number[], mask: readonly number[]): Promise<number> => {
      const feeds = { input_ids: row(ids), attention_mask: row(mask) };
      return floatsOf((await session.run(new Map(Object.entries(feeds)))).get('utility_logit')!)[0];
    };
    const alone = await score([5, 7, 9], [1, 1, 1]);
    expect(await score([5, 7, 9, 0, 0], [1, 1, 1, 0, 0])).toBeCloseTo(alone, 5);
    expect(await score([5, 7, 9, 0, 0], [1, 1, 1, 1, 1])).not.toBeCloseTo(alone, 2);
    await session.release();
  });

  it.each([
    ['llama', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, /rotary positions of the kind "yarn" are not read/],
    ['llama', { model_type: 'phi3' }, /the tensors are those of Llama .* "phi3" by config.json/],
    ['llama', { num_key_value_heads: 3 }, /3 key heads do not divide 4 heads/],
    ['qwen3', { head_dim: 8 }, /width of a head is 6 by .*q_norm.* but 8 by config.json/],
  ])('%s with %o is refused', async (name, change, message) => {
    await expect(verify(name, undefined, reconfigured(golden(name), change))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('without its configuration asks for what the tensors cannot tell', async () => {
    const folder = tempFolder();
    copyFileSync(golden('llama', 'model.safetensors'), join(folder, 'model.safetensors'));
    await expect(verify('llama', undefined, folder)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('the number of heads'),
    });
  });
});

describe('a value head in a file of its own', () => {
  const split = async (changed: (name: string) => string = (name) => name): Promise<string> => {
    const tensors = [...(await readTensors(golden('llama-value-head', 'model.safetensors'))).values()];
    const folder = tempFolder();
    copyFileSync(golden('llama-value-head', 'config.json'), join(folder, 'config.json'));
    const isHead = ({ name }: { name: string }) => name.startsWith('v_head.');
    const heads = tensors.filter(isHead).map((tensor) => renameTensor(tensor, changed(tensor.name)));
    // Without its word head all tensors of the model begin with `model.`.
    const rest = tensors.filter((tensor) => !isHead(tensor) && tensor.name.startsWith('model.'));
    await withAtomicOutput(join(folder, 'model.safetensors'), {}, async (output) => {
      const sink = await output.create();
      await writeSafetensors(sink, rest);
      await sink.finish();
    });
    await withAtomicOutput(join(folder, 'value_head.safetensors'), {}, async (output) => {
      const sink = await output.create();
      await writeSafetensors(sink, heads);
      await sink.finish();
    });
    return folder;
  };

  it('counts as one of the model', async () => {
    const report = await verify('llama-value-head', undefined, await split());
    expect(report.parity.golden).toMatchObject({ outputs: { utility_logit: { maxAbsDiff: expect.any(Number) } } });
  });

  it('is refused where it holds something else', async () => {
    const folder = await split((name) => name.replace('v_head', 'other'));
    await expect(verify('llama-value-head', undefined, folder)).rejects.toMatchObject({
      code: 'TENSORS_MISMATCH',
      message: /^value_head\.safetensors: other\.summary\.\w+ is no tensor of a score head$/,
    });
  });
});

describe('float16', () => {
  it('is what matrices are stored in; what is computed and the head stay float32', async () => {
    const out = join(tempFolder(), 'half.onnx');
    await exportFile(out, {
      checkpoint: golden('qwen3'),
      golden: golden('qwen3', 'golden.safetensors'),
      dtype: 'fp16',
    });
    const opened = openOnnx(out);
    const { initializer, node } = opened.model.graph;
    opened.close();
    const typeOf = (name: string) => initializer.find((tensor) => tensor.name === name)?.dataType;
    expect(typeOf('model.layers.0.mlp.up_proj.weight')).toBe(DATA_TYPE.FLOAT16);
    expect(typeOf('model.embed_tokens.weight')).toBe(DATA_TYPE.FLOAT16);
    expect(typeOf('model.norm.weight')).toBe(DATA_TYPE.FLOAT);
    expect(typeOf('score.weight')).toBe(DATA_TYPE.FLOAT);
    const casts = node.filter(({ opType }) => opType === 'Cast');
    expect(casts.every(({ attribute }) => Number(attribute[0].i) !== DATA_TYPE.FLOAT16)).toBe(true);
  });

  it('refuses a weight beyond its range by name', async () => {
    const tensors = [...(await readTensors(golden('qwen3', 'model.safetensors'))).values()];
    const folder = tempFolder();
    copyFileSync(golden('qwen3', 'config.json'), join(folder, 'config.json'));
    const name = 'model.layers.1.mlp.down_proj.weight';
    const huge = tensors.map((tensor) =>
      tensor.name === name
        ? tensorFromBytes(tensor, new Uint8Array(new Uint16Array(numel(tensor.shape)).fill(0x47c3).buffer)) // 99,840
        : tensor,
    );
    await withAtomicOutput(join(folder, 'model.safetensors'), {}, async (output) => {
      const sink = await output.create();
      await writeSafetensors(sink, huge);
      await sink.finish();
    });
    await expect(
      exportFile(join(tempFolder(), 'x.onnx'), { checkpoint: folder, dtype: 'fp16', gate: 'off' }),
    ).rejects.toMatchObject({ code: 'NONFINITE_WEIGHTS', message: `${name} holds NaN or an infinity as float16` });
  });
});
