import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { videoReward } from '../../../../src/core/architectures/qwen2-vl/video-reward.js';
import { openCheckpoint } from '../../../../src/core/checkpoint/open.js';
import { exportModel } from '../../../../src/core/lifecycle/export/export.js';
import { runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { readTensor } from '../../../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../../../src/core/tensor/values.js';
import { buildFixture } from '../../../helpers/conformance.js';
import { readTensors } from '../../../helpers/models.js';
import { tempFolder } from '../../../helpers/temp.js';
import { hasFfmpeg } from '../../scoring/long-video.js';

const FIXTURE = fileURLToPath(new URL('../../../golden/families/video-reward', import.meta.url));
const PUBLISHED = join(FIXTURE, 'published');
const PROMPT = join(FIXTURE, 'prompt_template.txt');
const golden = new Map(await readTensors(join(FIXTURE, 'golden.safetensors')));
const exporter = await videoReward.load();
const build = (options: Record<string, string>) => buildFixture(exporter, FIXTURE, { overrides: { options } });

const template = readFileSync(PROMPT, 'utf8');

/** The published layout, its settings changed. */
function published(change: (settings: Record<string, Record<string, unknown>>) => void): string {
  const folder = tempFolder();
  const step = join(folder, 'checkpoint-7');
  mkdirSync(step);
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'added_tokens.json'])
    copyFileSync(join(FIXTURE, name), join(step, name));
  copyFileSync(join(PUBLISHED, 'checkpoint-7/model.pth'), join(step, 'model.pth'));
  const settings = JSON.parse(readFileSync(join(PUBLISHED, 'model_config.json'), 'utf8'));
  change(settings);
  writeFileSync(join(folder, 'model_config.json'), JSON.stringify(settings));
  return join(step, 'model.pth');
}

describe('VideoReward', () => {
  it.each([
    ['no place for the prompt', template.replace('{text_prompt}', ''), 'has no {text_prompt}'],
    ['a reward token that is missing', template.replace('<|MQ_reward|>', ''), 'must have <|MQ_reward|> once'],
    ['another order', `<|TA_reward|>${template.replace('<|TA_reward|>', '')}`, 'in this order'],
  ])('refuses %s', async (_, promptTemplate, message) => {
    await expect(build({ promptTemplate })).rejects.toThrow(message);
  });

  it.each([
    ['frames around points', (s: Settings) => (s.data_config.sample_type = 'multi_pts'), 'sample_type is "multi_pts"'],
    ['scores at the last token', (s: Settings) => (s.model_config.use_special_tokens = false), 'use_special_tokens'],
    ['no rate', (s: Settings) => delete s.data_config.fps, 'the frames of a second'],
    ['no rank', (s: Settings) => delete s.peft_lora_config.lora_r, 'r must be a positive number'],
    ['another rank', (s: Settings) => (s.peft_lora_config.lora_r = 5), 'has rank 2 by its tensors'],
  ])('refuses settings with %s', async (_, change, message) => {
    const checkpoint = published(change as never);
    const out = join(tempFolder(), 'out.onnx');
    await expect(exportModel({ checkpoint, out, promptTemplate: PROMPT, gate: 'off' })).rejects.toThrow(message);
  });

  it('is read as it is published: adapters beside their base, settings beside the folder of the step', async () => {
    const out = join(tempFolder(), 'out.onnx');
    const checkpoint = published(() => {});
    const plain = await openCheckpoint(checkpoint);
    expect(plain.tensors.has('base_model.model.rm_head.weight')).toBe(true);
    plain.close();
    const golden = join(FIXTURE, 'golden.safetensors');
    const report = await exportModel({ checkpoint, out, promptTemplate: PROMPT, golden, gate: 'quick' });
    expect(report).toMatchObject({ architecture: 'video-reward', gate: { passed: true, reference: 'golden' } });
  });

  it.skipIf(!hasFfmpeg)('scores clips as the package prepares them (skipped without ffmpeg)', async () => {
    const folder = tempFolder();
    const model = join(folder, 'model.onnx');
    await exportModel({ checkpoint: FIXTURE, out: model, promptTemplate: PROMPT, gate: 'off' });
    const raw: { video: string; text: string }[] = JSON.parse(readFileSync(join(FIXTURE, 'raw.json'), 'utf8'));
    const input = join(folder, 'rows.jsonl');
    const rows = raw.map((row, i) => JSON.stringify({ id: String(i), type: 'video_text', ...row }));
    writeFileSync(input, `${rows.join('\n')}\n`);
    const out = join(folder, 'scores.jsonl');
    await runBatch({ models: [model], input, out, mediaRoot: FIXTURE });
    const scored = readFileSync(out, 'utf8').trim().split('\n');
    const expected = asFloat32(await readTensor(golden.get('raw/out/utility_logit')!));
    expect(scored.map((line) => JSON.parse(line).logit)).toBeAllClose(expected, { atol: 1e-4, rtol: 0 });
  });
});

type Settings = Record<string, Record<string, unknown>>;
