import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collect, HPSV3, hpsv3Process, PROJECT } from '../helpers/cli.js';
import { sharedFolder } from '../helpers/temp.js';

/** Training of the nano model in processes that srun, mpirun, torchrun and nobody in particular start. */
const runs = (program: string, args: readonly string[]): boolean => {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const isThere = (name: string): boolean => runs('sh', ['-c', `command -v ${name}`]);
const TORCHRUN = process.env['HPSV3_TORCHRUN'] ?? 'torchrun';
const hasSlurm = ['srun', 'slurmctld', 'slurmd', 'munged'].every(isThere);

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const training = (out: string, more: readonly string[] = []): string[] => [
  ...['train', '--config', at('config.yaml'), '--labels', at('text'), '--labels', at('image')],
  ...['--out', at(out), '--threads', '1', '--seed', '5', '--quiet', ...more],
];

function start(args: readonly string[], rank: number, size: number, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [HPSV3, ...args], {
    env: { ...process.env, RANK: String(rank), WORLD_SIZE: String(size), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, ended: collect(child) };
}

const together = (args: readonly string[], size: number) =>
  Promise.all(Array.from({ length: size }, (_, rank) => start(args, rank, size).ended));

let expected: string[] = [];
const outcome = (out: string): string[] =>
  ['checkpoint.safetensors', 'state.safetensors', 'log.jsonl'].map((file) => hash(at(join(out, file))));

beforeAll(async () => {
  const [model] = readFileSync(join(PROJECT, 'configs/hpsv3_nano.yaml'), 'utf8').split('training:');
  const settings = {
    batch_size: 16,
    micro_batch_size: 4,
    warmup_steps: 2,
    steps: 24,
    eval_every: 6,
    checkpoint_every: 6,
    val_fraction: 0.2,
  };
  const mix = 'modality_mix: { text: 0.5, image: 0.5 }';
  const lines = Object.entries(settings).map(([key, value]) => `${key}: ${value}`);
  writeFileSync(at('config.yaml'), `${model}training:\n${[...lines, mix].map((line) => `  ${line}\n`).join('')}`);
  for (const modality of ['text', 'image'])
    await hpsv3Process(['synth', '--modality', modality, '--pairs', '100', '--out', at(modality), '--seed', '1', '-q']);
  expect(await hpsv3Process(training('one'))).toMatchObject({ code: 0 });
  expected = outcome('one');
});

describe('train in many processes', () => {
  it.each([2, 4])('gives the bytes of one: %i', async (size) => {
    const results = await together(training(`w${size}`), size);
    expect(results.map(({ code }) => code)).toEqual(Array(size).fill(0));
    expect(results.slice(1).map(({ stdout, stderr }) => stdout + stderr)).toEqual(Array(size - 1).fill(''));
    expect(outcome(`w${size}`)).toEqual(expected);
  });

  it.each([0, 1, 3])(
    'ends within ten seconds where rank %i is killed, and goes on to the same bytes',
    async (killed) => {
      const out = `killed-${killed}`;
      const ranks = Array.from({ length: 4 }, (_, rank) => start(training(out), rank, 4));
      while (!existsSync(at(join(out, 'state.safetensors')))) await sleep(50);
      ranks[killed].child.kill('SIGKILL');
      const since = performance.now();
      const results = await Promise.all(ranks.map(({ ended }) => ended));
      expect(performance.now() - since).toBeLessThan(10_000);
      expect(results.filter((_, rank) => rank !== killed).map(({ code }) => code)).toEqual([3, 3, 3]);
      const again = await together(training(out, ['--resume']), 2);
      expect(again.map(({ code }) => code)).toEqual([0, 0]);
      expect(outcome(out)).toEqual(expected);
    },
  );

  it('tunes a head to the same file', async () => {
    const model = at('model.onnx');
    await hpsv3Process([
      'export',
      '--checkpoint',
      at('one/checkpoint.safetensors'),
      '--out',
      model,
      '--modality',
      'text',
      '--mode',
      'pair',
      '--gate',
      'off',
      '-q',
    ]);
    writeFileSync(at('tune.yaml'), 'training:\n  batch_size: 16\n  micro_batch_size: 4\n');
    const args = (out: string) => [
      'finetune',
      '--model',
      model,
      '--labels',
      at('text'),
      '--train',
      'head',
      '--config',
      at('tune.yaml'),
      '--steps',
      '8',
      '--threads',
      '1',
      '--out',
      at(out),
      '-q',
    ];
    expect(await hpsv3Process(args('t1.onnx'))).toMatchObject({ code: 0 });
    for (const size of [2, 4]) {
      expect((await together(args(`t${size}.onnx`), size)).map(({ code }) => code)).toEqual(Array(size).fill(0));
      expect(hash(at(`t${size}.onnx`))).toBe(hash(at('t1.onnx')));
    }
  });
});

const launched = (program: string, args: readonly string[], out: string, env: Record<string, string> = {}) =>
  collect(
    spawn(program, [...args, process.execPath, HPSV3, ...training(out)], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );

describe.skipIf(!isThere(TORCHRUN))('torchrun', () => {
  it('starts them', async () => {
    expect(
      await launched(TORCHRUN, ['--no-python', '--nproc-per-node', '2', '--master-port', '29633'], 'torchrun'),
    ).toMatchObject({ code: 0 });
    expect(outcome('torchrun')).toEqual(expected);
  });
});

describe.skipIf(!isThere('mpirun'))('mpirun', () => {
  it('starts them', async () => {
    expect(await launched('mpirun', ['--allow-run-as-root', '--oversubscribe', '-n', '4'], 'mpirun')).toMatchObject({
      code: 0,
    });
    expect(outcome('mpirun')).toEqual(expected);
  });
});

describe.skipIf(!hasSlurm)('srun', () => {
  const slurm = at('slurm');
  beforeAll(() => {
    mkdirSync(slurm);
    execFileSync('sh', [join(PROJECT, 'tests/engines/slurm.sh'), slurm], { stdio: 'ignore' });
  });
  afterAll(() => {
    for (const pid of readFileSync(join(slurm, 'pids'), 'utf8').trim().split('\n')) process.kill(Number(pid));
  });

  it('starts them', async () => {
    const env = { SLURM_CONF: join(slurm, 'slurm.conf') };
    expect(await launched('srun', ['-n', '2', '--overcommit'], 'srun', env)).toMatchObject({ code: 0 });
    expect(outcome('srun')).toEqual(expected);
  });
});
