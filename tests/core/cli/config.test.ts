import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/core/cli/config.js';
import { HpsError } from '../../../src/core/errors.js';
import { LIMITS } from '../../../src/core/limits.js';
import { completeTraining } from '../../../src/core/training/run/config.js';
import { PROJECT } from '../../helpers/cli.js';
import { hasShared, SHARED } from '../../helpers/shared.js';

const parse = (text: string, knownFlags?: string[]) =>
  parseConfig(new TextEncoder().encode(text), 'config.yaml', { knownFlags });
const read = (path: string) => parseConfig(readFileSync(path), path);

function refusal(text: string | Uint8Array, knownFlags?: string[]): HpsError {
  try {
    parseConfig(typeof text === 'string' ? new TextEncoder().encode(text) : text, 'config.yaml', { knownFlags });
  } catch (error) {
    if (error instanceof HpsError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('parseConfig', () => {
  it('takes a file without sections as the model section', () => {
    expect(parse('{"hidden_dim": 64, "modalities": ["image"]}').model).toEqual({
      hidden_dim: 64,
      modalities: ['image'],
    });
  });

  it('reads the sections', () => {
    const config = parse('model: {hidden_dim: 1}\ndata: {b: [x]}\nflags: {opset: 14, dry_run: true}', [
      'opset',
      'dry-run',
    ]);
    expect(config).toMatchObject({
      model: { hidden_dim: 1 },
      data: { b: ['x'] },
      flags: { opset: 14, 'dry-run': true },
    });
    expect(config.training).toBeUndefined();
  });

  it('leaves the training section as it is written', () => {
    expect(parse('training: {lr: 3e-5, steps: 7}').training).toEqual({ lr: 3e-5, steps: 7 });
  });

  it('fills the training section with the values of the seed model', () => {
    expect(completeTraining(parse('training: {lr: 3e-5}').training)).toMatchObject({
      optimizer: 'adamw',
      lr: 3e-5,
      weight_decay: 0.01,
      batch_size: 1024,
      warmup_steps: 5000,
      steps: 200_000,
    });
  });

  it('keeps words that older YAML took for booleans, and reads a leading zero as decimal', () => {
    expect(parse('{a: no, b: on, c: yes, d: 012, e: 1e-4}').model).toEqual({
      a: 'no',
      b: 'on',
      c: 'yes',
      d: 12,
      e: 1e-4,
    });
  });

  it('suggests the section, key or flag that was meant', () => {
    expect(refusal('model: {}\ntrainning: {}').hint).toBe('Did you mean training?');
    expect(refusal('model: {hiden_dim: 1}')).toMatchObject({
      message: 'config.yaml: unknown key model.hiden_dim',
      hint: 'Did you mean hidden_dim?',
    });
    expect(refusal('training: {batchsize: 1}').hint).toBe('Did you mean batch_size?');
    expect(refusal('flags: {opsett: 14}', ['opset', 'seed']).hint).toBe('Did you mean opset?');
  });

  // Whoever can change a file must not make a command run code, drop a guard or open a connection.
  it.each([
    ['family', './my-family.js'],
    ['allow-host', '[example.org]'],
    ['allow_bucket', 'media'],
    ['allow-nonfinite', 'true'],
    ['allow-nonfinite', 'false'],
    ['checkpoint', 'hf://owner/name'],
    ['adapter', 'https://example.org/adapter'],
    ['model', '[a.onnx, "S3://bucket/b.onnx"]'],
    ['member', 'name=http://example.org/a.onnx'],
  ])('refuses what counts only on the command line: %s: %s', (flag, value) => {
    const found = refusal(`flags: {${flag}: ${JSON.stringify(value).includes('[') ? value : JSON.stringify(value)}}`);
    expect(found.code).toBe('CONFIG_INVALID');
    expect(found.message).toContain(`flags.${flag}: --${flag.replace('_', '-')} counts only on the command line`);
  });

  it('takes a text that only mentions an address', () => {
    expect(parse('flags: {context: "see https://example.org"}').flags).toEqual({
      context: 'see https://example.org',
    });
  });

  it('says where the error is', () => {
    expect(refusal('model:\n  a: [1, 2\n').message).toMatch(/ at line 3, column 1$/);
    expect(refusal('model: {}\n---\nb: 2').message).toBe('config.yaml: a second document begins at line 2, column 1');
  });

  const lines = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const bomb = `a: &a [x, x]\n${'bcdefghi'.replace(/./g, (key) => {
    const before = String.fromCharCode(key.charCodeAt(0) - 1);
    return `${key}: &${key} [*${before}, *${before}]\n`;
  })}`;

  it.each([
    ['an alias bomb', bomb],
    ['duplicate keys', 'model: {a: 1, a: 2}'],
    ['duplicate keys in JSON', '{"a": 1, "a": 2}'],
    ['nesting of a hundred thousand levels', '['.repeat(100_000)],
    ['nesting just over the limit', `${'{a: '.repeat(LIMITS.jsonDepth + 1)}1${'}'.repeat(LIMITS.jsonDepth + 1)}`],
    ['block nesting without end', Array.from({ length: 1000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
    ['an unknown tag', 'model: !!js/function "function () {}"'],
    ['a custom tag', 'model: {a: !python/object:os.system x}'],
    ['a merge key among the sections', 'base: &b {a: 1}\nmodel: {<<: *b}'],
    ['several documents', 'a: 1\n---\nb: 2'],
    ['an infinite number', 'a: .inf'],
    ['a number that is none', 'a: .nan'],
    ['an empty file', ''],
    ['a list', '[1, 2]'],
    ['a plain word', 'hello'],
    ['a section that is no mapping', 'model: 3\nflags: {}'],
    ['a learning rate of zero', 'training: {lr: 0}'],
    ['a batch of words', 'training: {batch_size: many}'],
    ['an unknown optimizer', 'training: {optimizer: sgd}'],
    ['5 MB', `a: ${'x'.repeat(5_000_000)}`],
    ['bytes that are not UTF-8', Uint8Array.of(0x61, 0x3a, 0x20, 0xff)],
    ['an unclosed bracket', 'model: {a: 1'],
    ['twenty thousand unknown keys', `model:\n${lines(20_000, (i) => ` k${i}: 1`)}`],
    ['more keys than any file has', lines(80_000, (i) => `k${i}: 1`)],
    ['more keys than any file has, in braces', `{${lines(80_000, (i) => `k${i}: 1,`)}}`],
    ['duplicate keys, of two types', 'model: {1: a, "1": b}'],
    ['a duplicate key after twenty thousand others', `${lines(20_000, (i) => `k${i}: 1`)}\nk7: 1`],
    ['an error on every line', '}: ]\n'.repeat(100_000)],
    ['another error on every line', 'a: b: c\n'.repeat(100_000)],
    ['an error in every list of braces', '{"a" "b": 1}\n'.repeat(50_000)],
    ['a key of many anchors', '&a '.repeat(100_000)],
    ['deep lists of lists', '- '.repeat(100_000)],
    ['deep keys of keys', '? '.repeat(100_000)],
  ])('refuses %s', (_, text) => {
    const error = refusal(text);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toMatch(/^config\.yaml: /);
  });

  it('gives a key named __proto__ no meaning', () => {
    parse('flags: {__proto__: {polluted: 1}}');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

const TRAINING = {
  optimizer: 'adamw',
  lr: 1e-4,
  weight_decay: 0.01,
  batch_size: 1024,
  warmup_steps: 5000,
  steps: 200_000,
};

describe('the configurations that come with hpsv3', () => {
  it('has the base model', () => {
    const { model, training } = read(`${PROJECT}configs/hpsv3_base.yaml`);
    expect(completeTraining(training)).toMatchObject(TRAINING);
    expect(model).toEqual({
      name: 'hpsv3-base',
      hidden_dim: 1024,
      image_size: 224,
      resnet_layers: [3, 4, 6, 3],
      resnet_planes: 64,
      visual_blocks: 2,
      visual_heads: 16,
      vocab_size: 30522,
      text_layers: 12,
      text_hidden: 768,
      text_heads: 12,
      text_intermediate: 3072,
      text_positions: 512,
      n_fft: 400,
      hop: 160,
      n_mels: 80,
      audio_channels: [128, 256, 512],
      audio_blocks: 2,
      audio_heads: 16,
      video_frames: 16,
      video_size: 112,
      video_channels: [64, 128, 256],
      video_blocks: 2,
      video_heads: 16,
      fusion_latents: 16,
      fusion_layers: 4,
      fusion_heads: 16,
      quality_classes: 5,
      dropout: 0.1,
      modalities: ['image', 'text', 'audio', 'video'],
    });
  });

  it('has the nano model', () => {
    const { model, training } = read(`${PROJECT}configs/hpsv3_nano.yaml`);
    expect(completeTraining(training)).toMatchObject(TRAINING);
    expect(model).toEqual({
      name: 'hpsv3-nano',
      hidden_dim: 64,
      image_size: 64,
      resnet_layers: [1, 1, 1, 1],
      resnet_planes: 8,
      visual_blocks: 1,
      visual_heads: 4,
      vocab_size: 512,
      text_layers: 2,
      text_hidden: 48,
      text_heads: 4,
      text_intermediate: 96,
      text_positions: 64,
      n_fft: 400,
      hop: 160,
      n_mels: 16,
      audio_channels: [16, 24, 32],
      audio_blocks: 1,
      audio_heads: 4,
      video_frames: 4,
      video_size: 32,
      video_channels: [8, 12, 16],
      video_blocks: 1,
      video_heads: 4,
      fusion_latents: 4,
      fusion_layers: 2,
      fusion_heads: 4,
      quality_classes: 5,
      dropout: 0.1,
      modalities: ['image', 'text', 'audio', 'video'],
    });
  });

  it.skipIf(!hasShared)("has the nano model exactly as the checkpoint's own config.json", () => {
    const { model } = read(`${PROJECT}configs/hpsv3_nano.yaml`);
    expect(model).toEqual(read(`${SHARED}fixtures/hpsv3-nano/config.json`).model);
  });
});
