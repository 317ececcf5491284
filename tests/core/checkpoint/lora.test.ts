import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../src/core/bytes/output.js';
import { withAdapter } from '../../../src/core/checkpoint/lora.js';
import { openCheckpoint } from '../../../src/core/checkpoint/open.js';
import { writeSafetensors } from '../../../src/core/checkpoint/write-safetensors.js';
import { readTensor } from '../../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../../src/core/tensor/values.js';
import { floatTensor } from '../../helpers/graphs.js';
import { exportFile } from '../../helpers/pico.js';
import { reconfigured as copyWith } from '../../helpers/reconfigured.js';
import { tempFolder } from '../../helpers/temp.js';

const path = (name: string): string => fileURLToPath(new URL(`../../golden/${name}`, import.meta.url));
const BASE = path('decoders/qwen2');

const reconfigured = (name: string, change: object): string =>
  copyWith(path(`lora/${name}`), change, 'adapter_config.json');

const writeTensors = (
  file: string,
  tensors: Readonly<Record<string, readonly [readonly number[], readonly number[]]>>,
) =>
  withAtomicOutput(file, {}, async (output) => {
    const sink = await output.create();
    await writeSafetensors(
      sink,
      Object.entries(tensors).map(([name, [shape, values]]) => floatTensor(name, shape, values)),
    );
    return sink.finish();
  });

const verify = (name: string, adapter = path(`lora/${name}`)) =>
  exportFile(join(tempFolder(), 'model.onnx'), {
    checkpoint: BASE,
    adapter,
    golden: path(`lora/${name}/golden.safetensors`),
    atol: 1e-5,
    gate: 'quick',
  });

describe('withAdapter', () => {
  // Vectors: peft 0.21.2 (tests/golden/lora/make.py).
  it.each(['plain', 'patterns'])('%s gives the scores of PEFT', async (name) => {
    const { parity, lineage } = await verify(name);
    expect(parity.golden).toMatchObject({ outputs: { utility_logit: { maxAbsDiff: expect.any(Number) } } });
    expect(lineage[0].inputs.map((input) => input.name)).toEqual(
      expect.arrayContaining(['model.safetensors', 'adapter_model.safetensors', 'adapter_config.json']),
    );
  });

  it.each([
    ['plain', { lora_alpha: 10 }],
    ['patterns', { use_rslora: false }],
    ['patterns', { alpha_pattern: {} }],
  ])('%s with %o gives others', async (name, change) => {
    await expect(verify(name, reconfigured(name, change))).rejects.toMatchObject({ code: 'GATE_FAILED' });
  });

  it.each([
    ['dora', {}, 'CHECKPOINT_UNSUPPORTED', /use_dora is a DoRA adapter/],
    ['plain', { peft_type: 'IA3' }, 'CHECKPOINT_UNSUPPORTED', /peft_type is an adapter of another kind/],
    ['plain', { bias: 'all' }, 'CHECKPOINT_UNSUPPORTED', /bias trains biases/],
    ['plain', { init_lora_weights: 'pissa' }, 'CHECKPOINT_UNSUPPORTED', /changed the weights of its base/],
    ['plain', { r: 4 }, 'CONFIG_INVALID', /has rank 3 by its tensors, but 4 by r and rank_pattern/],
    ['plain', { lora_alpha: null }, 'CONFIG_INVALID', /lora_alpha must be a positive number/],
    ['plain', { alpha_pattern: { '(a+)+$': 3, '((': 1 } }, 'CONFIG_INVALID', /cannot be matched/],
  ])('%s with %o is %s', async (name, change, code, message) => {
    await expect(verify(name, reconfigured(name, change))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('refuses an adapter of another base, and one without its configuration', async () => {
    const other = { checkpoint: path('encoders/bert'), adapter: path('lora/plain') };
    await expect(exportFile(join(tempFolder(), 'm.onnx'), other)).rejects.toMatchObject({ code: 'TENSORS_MISMATCH' });
    const folder = reconfigured('plain', {});
    rmSync(join(folder, 'adapter_config.json'));
    await expect(verify('plain', folder)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('no adapter_config.json beside it'),
    });
  });

  it('adds the product transposed to a weight that is stored [inputs, outputs]', async () => {
    const folder = tempFolder();
    const base = join(folder, 'base.safetensors');
    await writeTensors(base, {
      'h.0.c_fc.weight': [
        [3, 2],
        [1, 2, 3, 4, 5, 6],
      ],
    });
    await writeTensors(join(folder, 'adapter_model.safetensors'), {
      'base_model.model.h.0.c_fc.lora_A.weight': [
        [1, 3],
        [1, 10, 100],
      ],
      'base_model.model.h.0.c_fc.lora_B.weight': [
        [2, 1],
        [1, 2],
      ],
    });
    writeFileSync(
      join(folder, 'adapter_config.json'),
      JSON.stringify({ peft_type: 'LORA', r: 1, lora_alpha: 2, fan_in_fan_out: true }),
    );
    const checkpoint = await withAdapter(await openCheckpoint(base), join(folder, 'adapter_model.safetensors'));
    const values = asFloat32(await readTensor(checkpoint.tensors.get('h.0.c_fc.weight')!));
    checkpoint.close();
    // W + 2 (B A)^T
    expect([...values]).toEqual([1 + 2, 2 + 4, 3 + 20, 4 + 40, 5 + 200, 6 + 400]);
  });
});
