import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import Train from '../../src/commands/train.js';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { readTensor } from '../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../src/core/tensor/values.js';
import { HPSV3, hpsv3 } from '../helpers/cli.js';
import { until } from '../helpers/processes.js';
import { tempFolder } from '../helpers/temp.js';
import { exampleArgs, killAtSomeStep, TEXT_MODEL, tinyRun, writeTextPairs } from '../helpers/training.js';

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

/** Writes a configuration of a few seconds, its training section changed. */
function writeConfig(path: string, changes: Record<string, unknown> = {}): void {
  const { training } = tinyRun(folder, changes).config;
  writeFileSync(join(folder, path), JSON.stringify({ model: TEXT_MODEL, training }));
}

const train = (...args: string[]) =>
  hpsv3(['train', '--config', 'tiny.yaml', '--data', 'labels.jsonl', '--threads', '1', '--quiet', ...args], {
    cwd: folder,
  });

const bytes = (...path: string[]): Buffer => readFileSync(join(folder, ...path));

describe('hpsv3 train', () => {
  it('runs as the examples of its help say, and resumes a run that is done to the same checkpoint', async () => {
    mkdirSync(join(folder, 'configs'));
    for (const config of ['configs/hpsv3_nano.yaml', 'mini.yaml']) writeConfig(config, { steps: 3 });
    for (const [i, name] of ['synth', 'synth-1', 'synth-2', 'synth-3'].entries()) {
      mkdirSync(join(folder, name));
      writeTextPairs(join(folder, name, 'labels.jsonl'), 24, `yes${i}`);
    }
    const [first, second] = Train.examples.map((example) => exampleArgs('train', example));
    const trained = await hpsv3(first, { cwd: folder });
    expect(trained.stderr).not.toContain('Error');
    expect(trained.code).toBe(0);
    expect(trained.stdout).toContain('run/checkpoint.safetensors');
    const fresh = second.filter((arg) => arg !== '--resume');
    writeFileSync(join(folder, 'run/step-0000099.safetensors'), 'of the run that is replaced');
    const replaced = await hpsv3([...fresh, '--force', '--json'], { cwd: folder });
    expect(readdirSync(join(folder, 'run'))).not.toContain('step-0000099.safetensors');
    const report = JSON.parse(replaced.stdout);
    expect(report).toMatchObject({ out: 'run', steps: 3, ended: 'steps', examples: { text: { pairs: 48 } } });
    expect(replaced.stdout).not.toContain(folder);
    const resumed = JSON.parse((await hpsv3([...second, '--json'], { cwd: folder })).stdout);
    expect(resumed.checkpoint).toEqual(report.checkpoint);
  });

  it('gives the bytes of an unbroken run when it is killed at any step and resumed', async () => {
    writeConfig('tiny.yaml', { steps: 24, eval_every: 1, checkpoint_every: 2 });
    expect((await train('--out', 'whole')).code).toBe(0);
    const args = ['train', '--config', 'tiny.yaml', '--data', 'labels.jsonl', '--threads', '1', '--out', 'broken'];
    const step = await killAtSomeStep(args, folder, 'broken', { from: 3, to: 12 });
    const resumed = await train('--out', 'broken', '--resume');
    expect(resumed.code, resumed.stderr).toBe(0);
    for (const file of ['checkpoint.safetensors', 'state.safetensors', 'log.jsonl', 'config.json', 'tokenizer.json'])
      expect(bytes('broken', file).equals(bytes('whole', file)), `${file}, killed after step ${step}`).toBe(true);
    expect(readdirSync(join(folder, 'broken')).filter((name) => name.startsWith('.tmp'))).toEqual([]);
  });

  it('is refused at once in the folder of a run that goes on, and not in that of one that was killed', async () => {
    writeConfig('tiny.yaml', { steps: 100_000 });
    const args = ['train', '--config', 'tiny.yaml', '--data', 'labels.jsonl', '--threads', '1', '--out', 'run'];
    const first = spawn(process.execPath, [HPSV3, ...args], { cwd: folder });
    await until(() => existsSync(join(folder, 'run')) && readdirSync(join(folder, 'run')).length > 0, 30_000);
    const second = await train('--out', 'run', '--force', '--json');
    expect([second.code, JSON.parse(second.stdout).error]).toMatchObject([
      2,
      { code: 'OUTPUT_BUSY', details: { folder: 'run', pid: first.pid } },
    ]);
    const ended = once(first, 'exit');
    first.kill('SIGKILL');
    await ended;
    writeConfig('tiny.yaml', { steps: 2 });
    const third = await train('--out', 'run', '--force');
    expect(third.code, third.stderr).toBe(0);
  });

  it('stops with exit code 3 at a loss that is no number, and keeps the best checkpoint', async () => {
    writeConfig('tiny.yaml', { lr: 1e30, warmup_steps: 1, clip_norm: 0, eval_every: 1, schedule: 'constant' });
    const { code, stdout } = await train('--out', 'run', '--json');
    expect(code).toBe(3);
    const { error } = JSON.parse(stdout);
    expect(error.code).toBe('TRAINING_DIVERGED');
    expect(existsSync(join(folder, 'run/checkpoint.safetensors'))).toBe(error.details.best !== null);
    if (error.details.best === null) return;
    const checkpoint = await openCheckpoint(join(folder, 'run/checkpoint.safetensors'));
    for (const tensor of checkpoint.tensors.values()) {
      if (tensor.dtype !== 'F32') continue;
      const values = asFloat32(await readTensor(tensor));
      expect(values.every(Number.isFinite), tensor.name).toBe(true);
    }
    checkpoint.close();
  });

  it('refuses bad input in one line, before it makes a folder', async () => {
    writeConfig('tiny.yaml');
    const refused = async (code: string, exit: number, ...args: string[]) => {
      const result = await train('--json', ...args);
      expect([JSON.parse(result.stdout).error.code, result.code]).toEqual([code, exit]);
    };
    await refused('FILE_NOT_FOUND', 2, '--out', 'none', '--resume');
    writeFileSync(join(folder, 'labels.jsonl'), '{"id":"1","type":"abs","item":"text","content":"a","score":7}\n');
    await refused('DATA_INVALID', 2, '--out', 'kind');
    writeFileSync(join(folder, 'tiny.yaml'), JSON.stringify({ training: { steps: 1 } }));
    await refused('CONFIG_INVALID', 2, '--out', 'config');
    expect(['none', 'kind', 'config'].filter((name) => existsSync(join(folder, name)))).toEqual([]);
  });

  it('does not go on from a state that was cut short', async () => {
    writeConfig('tiny.yaml', { steps: 3 });
    expect((await train('--out', 'run')).code).toBe(0);
    const state = join(folder, 'run/state.safetensors');
    truncateSync(state, bytes('run/state.safetensors').length - 1);
    const { code, stdout } = await train('--out', 'run', '--resume', '--json');
    expect([code, JSON.parse(stdout).error.code]).toEqual([5, 'CHECKPOINT_CORRUPT']);
  });
});
