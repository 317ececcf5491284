import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { placeOf } from '../../../src/core/architectures/encoders/deberta.js';
import { manifestOf } from '../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { exportFile } from '../../helpers/pico.js';
import { reconfigured } from '../../helpers/reconfigured.js';
import { tempFolder } from '../../helpers/temp.js';

// Vectors: transformers 4.57.6 on torch 2.15 (tests/golden/encoders/make.py).
const golden = (name: string, file = ''): string =>
  fileURLToPath(new URL(`../../golden/encoders/${name}/${file}`, import.meta.url));

const verify = (name: string, checkpoint = golden(name)) =>
  exportFile(join(tempFolder(), 'model.onnx'), {
    checkpoint,
    golden: golden(name, 'golden.safetensors'),
    atol: 1e-5,
    gate: 'quick',
  });

describe('an encoder with a classifier', () => {
  it.each([
    ['bert', 'bert'],
    ['roberta', 'roberta'],
    ['distilbert', 'distilbert'],
    ['electra', 'electra'],
    ['deberta-v3', 'deberta-v2'],
    ['deberta-v2', 'deberta-v2'],
  ])('%s gives the scores of transformers', async (name, architecture) => {
    const report = await verify(name);
    expect(report.architecture).toBe(architecture);
    expect(report.parity.golden).toMatchObject({ outputs: { utility_logit: { maxAbsDiff: expect.any(Number) } } });
  });

  it.each([
    ['bert', { hidden_act: 'gelu' }],
    ['bert', { layer_norm_eps: 1e-3 }],
    ['roberta', { layer_norm_eps: 1e-3 }],
    ['roberta', { pad_token_id: 0 }],
    ['distilbert', { activation: 'relu' }],
    ['electra', { hidden_act: 'gelu_new' }],
    ['deberta-v3', { pos_att_type: ['c2p'] }],
    ['deberta-v3', { num_attention_heads: 4 }],
    ['deberta-v2', { conv_act: 'tanh' }],
    ['deberta-v2', { pooler_hidden_act: 'gelu' }],
  ])('%s configured otherwise, %o, gives others: the test above can fail', async (name, change) => {
    await expect(verify(name, reconfigured(golden(name), change))).rejects.toMatchObject({ code: 'GATE_FAILED' });
  });

  it.each([
    ['bert', { hidden_size: 16 }, /hidden size is 12 by .* but 16 by config.json \(hidden_size\)/],
    ['bert', { model_type: 'electra' }, /tensors are those of BERT.*"electra" by config.json/],
    ['bert', { num_attention_heads: 5 }, /heads 5 does not divide the hidden size 12/],
    ['bert', { position_embedding_type: 'relative_key' }, /relative_key are not read/],
    ['bert-three-labels', {}, /3 labels \(low, middling, high\)/],
    ['deberta-v3', { position_buckets: 8 }, /relative embeddings have 8 rows .*, not 16/],
  ])('%s refuses %o, both sides named', async (name, change, message) => {
    await expect(verify(name, reconfigured(golden(name), change))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('says in its manifest what a row is made of', async () => {
    const out = join(tempFolder(), 'model.onnx');
    await exportFile(out, { checkpoint: golden('roberta'), mode: 'pair' });
    const opened = openOnnx(out);
    const manifest = manifestOf(opened.model, 'model')!;
    opened.close();
    expect(manifest.inputs.map(({ name }) => name)).toEqual([
      'left_input_ids',
      'left_attention_mask',
      'right_input_ids',
      'right_attention_mask',
    ]);
    // 22 positions, of which the padding id and those before it are none of a token's.
    expect(manifest.inputs[0].preprocess).toMatchObject({ kind: 'text', maxTokens: 20, pad: 1, pair: true });
    expect(manifest.outputs.at(-1)?.name).toBe('pair_logit');
  });
});

describe('placeOf', () => {
  it('tells near distances apart and far ones by their logarithm', () => {
    // Vector: make_log_bucket_position of transformers with 8 buckets and 64 positions, moved by the span.
    const options = { c2p: true, p2c: true, span: 8, buckets: 8, farthest: 64, shared: true, normed: true };
    expect([-63, -30, -8, -4, -1, 0, 1, 4, 5, 12, 40, 63].map((distance) => placeOf(distance, options))).toEqual([
      1, 1, 3, 4, 7, 8, 9, 12, 13, 14, 15, 15,
    ]);
  });
});
