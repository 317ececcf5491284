import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { trainModel } from '../../../../src/core/lifecycle/train/train.js';
import type { Progress } from '../../../../src/core/run.js';
import { ENVIRONMENT_FILE, environmentDocument } from '../../../../src/core/training/run/environment-file.js';
import { readLog } from '../../../../src/core/training/run/run.js';
import { TOOL } from '../../../../src/core/version.js';
import { withoutPixels } from '../../../helpers/drawings.js';
import { exportFile } from '../../../helpers/pico.js';
import { tempFolder } from '../../../helpers/temp.js';
import { tinyRun } from '../../../helpers/training.js';

const bytes = (...path: string[]): Buffer => readFileSync(join(...path));

describe('trainModel', () => {
  it('learns what raters prefer, and writes a checkpoint that exports', async () => {
    const folder = tempFolder();
    const report = await trainModel(
      tinyRun(folder, { steps: 60, eval_every: 20, mixup: 0, dropout: 0, token_mask: 0 }),
    );
    expect(report).toMatchObject({ ended: 'steps', steps: 60, examples: { text: { absolutes: 0 } } });
    expect(report.best!.auc).toBeGreaterThan(0.9);
    const log = readLog(report.out === 'run' ? join(folder, 'run') : '');
    expect(log[0]).toMatchObject({ seed: 3, device: 'cpu' });
    expect(bytes(folder, 'run/curve.svg').toString()).toContain('<svg');
    expect(withoutPixels(join(folder, 'run'))).toEqual([]);
    // Before anything was learnt, and three evaluations after it.
    expect(log[1]).toMatchObject({ step: 0, auc: { text: expect.any(Number) } });
    expect(log.slice(1).map(({ step }) => step)).toEqual([0, 20, 40, 60]);
    expect(log[4].loss as number).toBeLessThan(log[2].loss as number);
    const exported = await exportFile(join(folder, 'model.onnx'), {
      checkpoint: join(folder, 'run/checkpoint.safetensors'),
      mode: 'pair',
      modality: 'text',
      gate: 'quick',
    });
    expect(exported.gate!.passed).toBe(true);
  });

  it.each([
    ['steps one by one', {}],
    ['several steps in a run', { steps_per_run: 5, micro_batch_size: 8 }],
    ['products in float16', { precision: 'float16' }],
  ])('gives the same bytes when it is killed between two saved states and resumed: %s', async (_, settings) => {
    const [whole, broken] = [tempFolder(), tempFolder()];
    await trainModel(tinyRun(whole, settings));
    const controller = new AbortController();
    const options = {
      ...tinyRun(broken, settings),
      signal: controller.signal,
      onProgress: ({ stage, done }: Progress) => {
        if (stage === 'Training' && done === 8) controller.abort(new Error('killed'));
      },
    };
    await expect(trainModel(options)).rejects.toThrow('killed');
    const resumed = await trainModel({ ...tinyRun(broken, settings), resume: true });
    expect(resumed.steps).toBe(12);
    for (const file of ['checkpoint.safetensors', 'state.safetensors', 'log.jsonl'])
      expect(bytes(broken, 'run', file).equals(bytes(whole, 'run', file)), file).toBe(true);
  });

  it('goes on from a model folder as from the file in it', async () => {
    const [folder, other] = [tempFolder(), tempFolder()];
    const short = { steps: 2, eval_every: 2, checkpoint_every: 2 };
    await trainModel(tinyRun(folder, short));
    const model = join(folder, 'model');
    mkdirSync(model);
    for (const [from, to] of [
      ['checkpoint.safetensors', 'model.safetensors'],
      ['config.json', 'config.json'],
      ['tokenizer.json', 'tokenizer.json'],
    ])
      writeFileSync(join(model, to), bytes(folder, 'run', from));
    const more = { out: join(other, 'a') };
    const ofFolder = await trainModel({ ...tinyRun(other, short), ...more, checkpoint: model });
    const ofFile = await trainModel({ ...tinyRun(other, short), checkpoint: join(model, 'model.safetensors') });
    expect(ofFolder.checkpoint).toEqual(ofFile.checkpoint);
    expect(bytes(other, 'a/state.safetensors').equals(bytes(other, 'run/state.safetensors'))).toBe(true);
  });

  it('records what each part of a run was computed on, and no path or name of the machine', async () => {
    const folder = tempFolder();
    const path = join(folder, 'run', ENVIRONMENT_FILE);
    const recorded = () => environmentDocument.schema.parse(JSON.parse(readFileSync(path, 'utf8'))).runs;
    await trainModel(tinyRun(folder, { steps: 3 }));
    const [first, ...rest] = recorded();
    expect(rest).toEqual([]);
    expect(first).toMatchObject({ fromStep: 0, tool: TOOL, engine: 'onnxruntime', device: 'cpu' });
    expect(first.node).toBe(process.versions.node);
    const resume = () => trainModel({ ...tinyRun(folder, { steps: 3 }), resume: true });
    await resume();
    expect(recorded()).toEqual([first]);
    const elsewhere = { ...first, cpu: { model: 'Another', cores: 96 } };
    writeFileSync(path, JSON.stringify({ schema: environmentDocument.id, runs: [elsewhere] }));
    await resume();
    expect(recorded()).toEqual([elsewhere, { ...first, fromStep: 3 }]);
    const text = readFileSync(path, 'utf8');
    for (const secret of [folder, hostname(), userInfo().homedir]) expect(text).not.toContain(secret);
  });

  it.each([
    ['the left', '[1]', '[1,0.5]', 'every vote of text to train on is for the left'],
    ['neither', '[0.5]', '[0.5]', 'every pair of text to train on is tied'],
  ])('stops before anything is trained where votes are for %s', async (_, first, second, message) => {
    const folder = tempFolder();
    const options = tinyRun(folder);
    const [labels] = options.data;
    const text = readFileSync(labels, 'utf8');
    writeFileSync(labels, text.replaceAll('[0,0,0.5]', first).replaceAll('[1,1,1]', second));
    await expect(trainModel(options)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining(message),
    });
    expect(existsSync(options.out)).toBe(false);
  });

  it('learns from pairs of what was chosen and what was rejected, which have no sides', async () => {
    const folder = tempFolder();
    const options = tinyRun(folder, { steps: 60, eval_every: 20, mixup: 0, dropout: 0, token_mask: 0 });
    const [labels] = options.data;
    const rows = readFileSync(labels, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const preferences = rows.map(({ id, left, right, labels, modality, prompt_id }) => {
      const [chosen, rejected] = labels[0] === 1 ? [left, right] : [right, left];
      return JSON.stringify({ id, type: 'pair', chosen, rejected, modality, prompt_id });
    });
    writeFileSync(labels, preferences.join('\n'));
    expect((await trainModel(options)).best!.auc).toBeGreaterThan(0.9);
  });

  it('refuses to resume under another configuration, and to write over another run', async () => {
    const folder = tempFolder();
    await trainModel(tinyRun(folder, { steps: 3 }));
    await expect(trainModel({ ...tinyRun(folder, { steps: 4 }), resume: true })).rejects.toMatchObject({
      code: 'USAGE',
    });
    await expect(trainModel(tinyRun(folder))).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
  });

  it('begins anew with --resume where a run was killed before its first saved state, and says so', async () => {
    const folder = tempFolder();
    const options = tinyRun(folder, { steps: 3 });
    mkdirSync(options.out);
    writeFileSync(join(options.out, 'config.json'), '{}');
    const warnings: string[] = [];
    const report = await trainModel({ ...options, resume: true, onWarning: (warning) => warnings.push(warning) });
    expect(report.steps).toBe(3);
    expect(warnings).toContainEqual(expect.stringMatching(/no saved state: the run begins anew/));
    rmSync(options.out, { recursive: true });
    await expect(trainModel({ ...options, resume: true })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('leaves no folder where it is stopped before training starts', async () => {
    const folder = tempFolder();
    const onProgress = () => {
      throw new Error('stopped');
    };
    await expect(trainModel({ ...tinyRun(folder), onProgress })).rejects.toThrow('stopped');
    expect(existsSync(join(folder, 'run'))).toBe(false);
  });

  it('takes, with --force, a folder in which a run was killed before its first step, and no other without a run', async () => {
    const folder = tempFolder();
    const options = { ...tinyRun(folder, { steps: 1 }), force: true };
    mkdirSync(options.out);
    writeFileSync(join(options.out, 'config.json'), '{}');
    await expect(trainModel({ ...options, force: false })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    await trainModel(options);
    expect(JSON.parse(bytes(options.out, 'config.json').toString())).toEqual(options.config.model);
    expect(bytes(options.out, 'tokenizer.json').length).toBeGreaterThan(0);
    const other = { ...options, out: join(folder, 'other') };
    mkdirSync(other.out);
    writeFileSync(join(other.out, 'notes.txt'), 'mine');
    await expect(trainModel(other)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(existsSync(join(other.out, 'config.json'))).toBe(false);
  });

  it('stops at a loss that is no number, keeps the best checkpoint and exits 3', async () => {
    const folder = tempFolder();
    const options = tinyRun(folder, { lr: 1e30, warmup_steps: 0, clip_norm: 0, eval_every: 1, schedule: 'constant' });
    await expect(trainModel(options)).rejects.toMatchObject({ code: 'TRAINING_DIVERGED', exitCode: 3 });
    const log = readLog(join(folder, 'run'));
    expect(log[log.length - 1]).toMatchObject({ event: 'not-finite' });
  });

  it.each([
    ['no label', '{"id":"1","type":"pair","left":"a","right":"b","modality":"text"}', 'DATA_INVALID'],
    [
      'a score out of range',
      '{"id":"1","type":"abs","item":"text","content":"a","score":7,"modality":"text"}',
      'DATA_INVALID',
    ],
    [
      'a class the model has not',
      '{"id":"1","type":"abs","item":"text","content":"a","score":0.5,"aux":{"quality":9},"modality":"text"}',
      'DATA_INVALID',
    ],
  ])('refuses rows with %s', async (_, row, code) => {
    const folder = tempFolder();
    const options = tinyRun(folder);
    writeFileSync(options.data[0], `${row}\n`);
    await expect(trainModel(options)).rejects.toMatchObject({ code, exitCode: 2 });
  });
});
