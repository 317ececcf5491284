import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { sha256Hex } from '../../src/core/bytes/hash.js';
import { StagedOutput } from '../../src/core/bytes/output.js';
import type { Random } from '../../src/core/bytes/random.js';
import { initCheckpoint } from '../../src/core/lifecycle/init/init.js';
import { collect, HPSV3 } from './cli.js';
import { exportFile } from './pico.js';
import { modelProcessesOf, until } from './processes.js';
import { TEXT_MODEL, writeTextPairs } from './training.js';

/** A command that writes, run in a folder of its own beside the inputs. */
export interface WritingCommand {
  readonly name: string;
  /** Its arguments; inputs lie in `in`, what it writes in `out`. */
  readonly args: readonly string[];
  /** Flags and values that make another result of it: the old files. */
  readonly otherwise: readonly string[];
  /** A run that goes on from where it was killed. */
  readonly resumes?: boolean;
}

/** Every command that writes files. */
export const WRITING_COMMANDS: readonly WritingCommand[] = [
  {
    name: 'init',
    args: ['init', '--config', 'in/model.yaml', '--out', 'out/x.safetensors'],
    otherwise: ['--seed', '2'],
  },
  {
    name: 'export',
    args: [
      'export',
      '--checkpoint',
      'in/model.safetensors',
      '--modality',
      'text',
      '--gate',
      'quick',
      '--out',
      'out/x.onnx',
    ],
    otherwise: ['--opset', '15'],
  },
  {
    name: 'quantize',
    args: ['quantize', 'in/pair.onnx', '--gate', 'off', '--scheme', 'weight-only', '--out', 'out/x.onnx'],
    otherwise: ['--scheme', 'fp16'],
  },
  {
    name: 'calibrate',
    args: [
      'calibrate',
      '--scores',
      'in/scores.jsonl',
      '--labels',
      'in/train.jsonl',
      '--resamples',
      '100',
      '--out',
      'out/x.json',
    ],
    otherwise: ['--method', 'platt'],
  },
  {
    name: 'evaluate',
    args: [
      'evaluate',
      '--scores',
      'in/scores.jsonl',
      '--labels',
      'in/train.jsonl',
      '--resamples',
      '100',
      '--out',
      'out/x.json',
    ],
    otherwise: ['--seed', '2'],
  },
  {
    name: 'data convert',
    args: ['data', 'convert', 'in/train.jsonl', '--out', 'out/x.csv'],
    otherwise: ['--to', 'jsonl'],
  },
  {
    name: 'data split',
    args: ['data', 'split', 'in/train.jsonl', '--out', 'out'],
    otherwise: ['--seed', '2'],
  },
  {
    name: 'batch',
    args: ['batch', '--model', 'in/pair.onnx', '--input', 'in/many.jsonl', '--output', 'out/x.jsonl'],
    otherwise: [],
    resumes: true,
  },
  {
    name: 'embed',
    args: ['embed', '--model', 'in/pair.onnx', '--input', 'in/train.jsonl', '--output', 'out/x.npy'],
    otherwise: ['--input', 'in/many.jsonl'],
  },
  {
    name: 'train',
    args: ['train', '--config', 'in/train.yaml', '--data', 'in/train.jsonl', '--threads', '1', '--out', 'out/run'],
    otherwise: [],
    resumes: true,
  },
  {
    name: 'finetune',
    args: [
      ...['finetune', '--model', 'in/pair.onnx', '--labels', 'in/train.jsonl', '--threads', '1', '--gate', 'off'],
      ...['--batch-size', '24', '--steps', '12', '--patience', '12', '--run', 'out/run', '--out', 'out/x.onnx'],
    ],
    otherwise: [],
    resumes: true,
  },
];

/** Makes the inputs of all commands in `in`. */
export async function makeInputs(folder: string): Promise<void> {
  const inputs = join(folder, 'in');
  mkdirSync(inputs);
  const checkpoint = join(inputs, 'model.safetensors');
  await initCheckpoint({ config: { name: 'tiny', model: TEXT_MODEL }, seed: 5, out: checkpoint, force: false });
  await exportFile(join(inputs, 'pair.onnx'), { checkpoint, mode: 'pair', modality: 'text' });
  writeTextPairs(join(inputs, 'train.jsonl'), 120);
  writeTextPairs(join(inputs, 'many.jsonl'), 2000);
  writeFileSync(join(inputs, 'model.yaml'), JSON.stringify({ model: TEXT_MODEL }));
  const training = { batch_size: 8, steps: 16, eval_every: 4, checkpoint_every: 2, warmup_steps: 2, val_fraction: 0.3 };
  writeFileSync(
    join(inputs, 'train.yaml'),
    JSON.stringify({ model: TEXT_MODEL, training: { ...training, modality_mix: { text: 1 } } }),
  );
  const logits = Array.from({ length: 120 }, (_, i) =>
    JSON.stringify({ id: `yes-${i}`, logit: Math.sin(i) + (i % 3 === 0 ? -1 : 1) }),
  );
  writeFileSync(join(inputs, 'scores.jsonl'), `${logits.join('\n')}\n`);
}

const run = (folder: string, args: readonly string[]) =>
  spawn(process.execPath, [HPSV3, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });

/**
 * Files below `out` by their content, but for what is being written: of reports beside a model, whose figures differ from run to run,
 * whose hash they carry.
 */
function filesOf(folder: string): Map<string, string> {
  const out = join(folder, 'out');
  const files = new Map<string, string>();
  const visit = (path: string): void => {
    for (const name of readdirSync(path).filter((entry) => !entry.startsWith('.tmp-'))) {
      const inside = join(path, name);
      if (statSync(inside).isDirectory()) visit(inside);
      else if (name !== 'environment.json') files.set(relative(out, inside), contentOf(inside));
    }
  };
  visit(out);
  return files;
}

function contentOf(path: string): string {
  const bytes = readFileSync(path);
  if (!path.endsWith('.report.json')) return sha256Hex(bytes);
  const model = sha256Hex(readFileSync(path.slice(0, -'.report.json'.length)));
  return JSON.parse(bytes.toString('utf8')).sha256 === model ? 'a report of it' : 'a report of another';
}

/** Arguments in which some flags have other values. */
function changed(args: readonly string[], otherwise: readonly string[]): string[] {
  const result = [...args];
  for (let i = 0; i < otherwise.length; i += 2) {
    const at = result.indexOf(otherwise[i]);
    if (at < 0) result.push(otherwise[i], otherwise[i + 1]);
    else result[at + 1] = otherwise[i + 1];
  }
  return result;
}

const sweep = async (folder: string): Promise<void> => {
  // The next output in a folder puts back what a process that was killed had set aside.
  await (await StagedOutput.open(join(folder, 'out/next'))).discard();
};

/** Kills a command at random points; what is there afterwards is the old or the new, and a run that goes on ends in the same bytes. */
export async function killLoop(folder: string, command: WritingCommand, kills: number, random: Random): Promise<void> {
  const { name, args, otherwise, resumes } = command;
  const out = join(folder, 'out');
  const clear = (): void => {
    rmSync(out, { recursive: true, force: true });
    mkdirSync(out);
  };
  clear();
  const started = performance.now();
  const first = await collect(run(folder, changed(args, otherwise)));
  expect(first.code, `${name}: ${first.stderr}`).toBe(0);
  const durationMs = performance.now() - started;
  const old = filesOf(folder);
  const kept = join(folder, 'old');
  rmSync(kept, { recursive: true, force: true });
  cpSync(out, kept, { recursive: true });
  if (!resumes) {
    const second = await collect(run(folder, [...args, '--force']));
    expect(second.code, `${name}: ${second.stderr}`).toBe(0);
  }
  const wanted = filesOf(folder);
  for (let kill = 0; kill < kills; kill++) {
    clear();
    if (!resumes) cpSync(kept, out, { recursive: true });
    const child = run(folder, resumes ? args : [...args, '--force']);
    const ended = collect(child);
    await Promise.race([ended, sleep(random.uniform(0.2, 1.05) * durationMs)]);
    child.kill('SIGKILL');
    await ended;
    await until(() => modelProcessesOf(child.pid!).length === 0);
    if (resumes) {
      // What was killed before it made its folder has nothing to go on from.
      const goesOn = existsSync(join(out, 'run')) || name === 'batch';
      const resumed = await collect(
        run(folder, [
          ...args,
          ...(goesOn ? ['--resume'] : []),
          ...(existsSync(join(out, 'x.onnx')) ? ['--force'] : []),
        ]),
      );
      if (resumed.code === 2 && resumed.stdout + resumed.stderr !== '' && filesEqual(filesOf(folder), wanted)) continue; // it had ended
      expect(resumed.code, `${name}, kill ${kill}: ${resumed.stderr}`).toBe(0);
      expect(Object.fromEntries(filesOf(folder)), `${name}, kill ${kill}`).toEqual(Object.fromEntries(wanted));
    } else {
      await sweep(folder);
      const found = filesOf(folder);
      const isNew = filesEqual(found, wanted);
      expect(Object.fromEntries(found), `${name}, kill ${kill}`).toEqual(Object.fromEntries(isNew ? wanted : old));
    }
  }
}

const filesEqual = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...a].every(([name, content]) => b.get(name) === content);
