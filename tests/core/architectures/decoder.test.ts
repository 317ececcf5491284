import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { openSession } from '../../../src/core/runtime/ort.js';
import { floatsOf, type TensorValue, valueFromBytes } from '../../../src/core/runtime/value.js';
import { readTensor } from '../../../src/core/tensor/tensor.js';
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
  ])('%s with %o gives other scores: the tests above can fail', async (name, change) => {
    await expect(verify(name, undefined, reconfigured(golden(name), change))).rejects.toMatchObject({
      code: 'GATE_FAILED',
    });
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
