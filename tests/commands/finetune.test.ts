import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import Finetune from '../../src/commands/finetune.js';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { initCheckpoint } from '../../src/core/lifecycle/init/init.js';
import { hpsv3 } from '../helpers/cli.js';
import { exportFile } from '../helpers/pico.js';
import { sharedFolder } from '../helpers/temp.js';
import { exampleArgs, killAtSomeStep, TEXT_MODEL, writeTextPairs } from '../helpers/training.js';

const folder = sharedFolder();
beforeAll(async () => {
  const checkpoint = join(folder, 'model.safetensors');
  await initCheckpoint({ config: { name: 'tiny', model: TEXT_MODEL }, seed: 5, out: checkpoint, force: false });
  await exportFile(join(folder, 'pair.onnx'), { checkpoint, mode: 'pair', modality: 'text' });
  writeTextPairs(join(folder, 'train.jsonl'), 64, 'blue', 'red');
  writeTextPairs(join(folder, 'old.jsonl'), 8, 'up', 'down');
});

const finetune = (...args: string[]) =>
  hpsv3(['finetune', '--model', 'pair.onnx', '--threads', '1', '--gate', 'off', '--json', ...args], { cwd: folder });

const bytes = (path: string): Buffer => readFileSync(join(folder, path));

/** Names, types and shapes of a checkpoint's tensors. */
async function structure(path: string): Promise<string[]> {
  const checkpoint = await openCheckpoint(join(folder, path));
  const lines = Array.from(checkpoint.tensors.values(), ({ name, dtype, shape }) => `${name} ${dtype} ${shape}`);
  checkpoint.close();
  return lines.sort();
}

describe('hpsv3 finetune', () => {
  it('runs as the first example of its help says', async () => {
    const { code, stdout, stderr } = await hpsv3(exampleArgs('finetune', Finetune.examples[0]), { cwd: folder });
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('tuned.onnx');
    expect(existsSync(join(folder, 'tuned.onnx.report.json'))).toBe(true);
  });

  it('runs as the second says: one JSON document, and a checkpoint with the tensors of the one it started from', async () => {
    const args = exampleArgs('finetune', Finetune.examples[1]);
    const { code, stdout } = await hpsv3([...args, '--force', '--json', '--forget', '1', '--epochs', '1'], {
      cwd: folder,
    });
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ out: 'tuned.onnx', modality: 'text', checkpoint: { name: 'tuned.pt' } });
    expect(report.forgotten.pairs).toBe(8);
    expect(report).toEqual(JSON.parse(readFileSync(join(folder, 'tuned.onnx.report.json'), 'utf8')));
    expect(stdout).not.toContain(folder);
    expect(await structure('tuned.pt')).toEqual(await structure('model.safetensors'));
  });

  it.each([
    ['a selection that leaves everything frozen', ['--train', 'visual.*'], 'USAGE'],
    ['both a model and a checkpoint', ['--checkpoint', 'model.safetensors'], 'USAGE'],
    ['a state that is not there', ['--resume'], 'USAGE'],
    ['a file of labels that is not there', ['--labels', 'nowhere.jsonl'], 'FILE_NOT_FOUND'],
  ])('refuses %s, and writes nothing', async (_, args, error) => {
    const { code, stdout } = await finetune('--labels', 'train.jsonl', '--out', 'refused.onnx', ...args);
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, error]);
    expect(existsSync(join(folder, 'refused.onnx'))).toBe(false);
  });

  it('gives the bytes of an unbroken run when it is killed at any step and resumed', async () => {
    const length = ['--batch-size', '24', '--steps', '20', '--patience', '20']; // a state every two steps
    const common = ['--labels', 'train.jsonl', ...length, '--checkpoint-out'];
    const whole = await finetune(...common, 'whole.safetensors', '--out', 'whole.onnx', '--run', 'whole');
    expect(whole.code, whole.stderr).toBe(0);
    const args = [...common, 'broken.safetensors', '--out', 'broken.onnx', '--run', 'broken'];
    const start = ['finetune', '--model', 'pair.onnx', '--threads', '1', '--gate', 'off', ...args];
    const step = await killAtSomeStep(start, folder, 'broken', { from: 4, to: 12 });
    expect(existsSync(join(folder, 'broken.onnx'))).toBe(false);
    const resumed = await finetune(...args, '--resume');
    expect(resumed.code, resumed.stderr).toBe(0);
    for (const [whole, broken] of [
      ['whole.onnx', 'broken.onnx'],
      ['whole.safetensors', 'broken.safetensors'],
      ['whole/log.jsonl', 'broken/log.jsonl'],
    ])
      expect(bytes(broken).equals(bytes(whole)), `${broken}, killed after step ${step}`).toBe(true);
  });

  it('exits 3 and writes nothing where the loss is no number before anything was gained', async () => {
    const { code, stdout } = await finetune('--labels', 'train.jsonl', '--out', 'nan.onnx', '--lr', '1e35');
    expect([code, JSON.parse(stdout).error?.code]).toEqual([3, 'TRAINING_DIVERGED']);
    expect(existsSync(join(folder, 'nan.onnx'))).toBe(false);
  });
});
