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
  /** Words of it and what follows them in a run with another result: the old files. */
  readonly otherwise: readonly string[];
  /** A run that goes on from where it was killed. */
  readonly resumes?: boolean;
}

const words = (line: string): string[] => line.split(' ');
const SHORT = '--threads 1 --gate off --batch-size 24 --steps 12 --patience 12';
const JUDGED = '--scores in/scores.jsonl --labels in/train.jsonl --resamples 100';

/** Every command that writes files. */
export const WRITING_COMMANDS: readonly WritingCommand[] = [
  ['init', 'init --config in/model.yaml --out out/x.safetensors', '--seed 2'],
  ['export', 'export --checkpoint in/model.safetensors --modality text --gate quick --out out/x.onnx', '--opset 15'],
  ['quantize', 'quantize in/pair.onnx --gate off --scheme weight-only --out out/x.onnx', '--scheme fp16'],
  ['calibrate', `calibrate ${JUDGED} --out out/x.json`, '--method platt'],
  ['evaluate', `evaluate ${JUDGED} --out out/x.json`, '--seed 2'],
  [
    'ensemble',
    'ensemble --scores a=in/scores.jsonl --scores b=in/other.jsonl --weights a=0.5,b=0.5 --out out/x.json',
    '--weights a=0.4,b=0.6',
  ],
  [
    'ensemble of models',
    'ensemble --member in/pair.onnx:1 --member in/pair.onnx:2 --gate off --out out/x.onnx',
    '--member in/pair.onnx:3',
  ],
  ['modelcard', 'modelcard --evaluation in/evaluation.json --out out/card', '--evaluation in/more/evaluation.json'],
  ['report', 'report in --out out/page', 'report in/more'],
  ['profile', 'profile in/pair.onnx --seconds 0.05 --batch 1 --threads 1 --out out/x.json', '--batch 1,2'],
  ['synth', 'synth --modality text --pairs 24 --pairs-per-source 2 --out out/drawn', '--seed 2'],
  ['score', 'score --model in/pair.onnx --left yes --right no --output out/x.json', '--left maybe'],
  ['explain', 'explain --model in/pair.onnx --left yes --right no --nodes 4 --out out/why', '--left maybe'],
  ['data convert', 'data convert in/train.jsonl --out out/x.csv', '--to jsonl'],
  ['data split', 'data split in/train.jsonl --out out', '--seed 2'],
  ['data consensus', 'data consensus in/train.jsonl --out out/x.jsonl', '--min-agreement 1'],
  ['embed', 'embed --model in/pair.onnx --input in/train.jsonl --output out/x.npy', '--input in/many.jsonl'],
].map(([name, args, otherwise]) => ({ name, args: words(args), otherwise: words(otherwise) }));

/** Those that go on from where they were killed. */
export const RESUMING_COMMANDS: readonly WritingCommand[] = [
  ['batch', 'batch --model in/pair.onnx --input in/many.jsonl --output out/x.jsonl'],
  ['train', 'train --config in/train.yaml --data in/train.jsonl --threads 1 --out out/run'],
  ['finetune', `finetune --model in/pair.onnx --labels in/train.jsonl ${SHORT} --run out/run --out out/x.onnx`],
].map(([name, args]) => ({ name, args: words(args), otherwise: [], resumes: true }));

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
  writeFileSync(join(inputs, 'other.jsonl'), `${[...logits].reverse().join('\n')}\n`);
  mkdirSync(join(inputs, 'more'));
  for (const [seed, name] of ['evaluation', 'more/evaluation'].entries()) {
    const args = words(`evaluate ${JUDGED} --seed ${seed} --out in/${name}.json`);
    expect((await collect(run(folder, args))).code).toBe(0);
  }
}

const run = (folder: string, args: readonly string[]) =>
  spawn(process.execPath, [HPSV3, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });

/**
 * Files below `out` by their content, but for what is being written: of reports beside a model, whose figures differ from run to run,
 * whose hash they carry, and of scores and profiles, which say how long they took.
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
  if (path.endsWith('x.json')) {
    const { schema, sweep, logit } = JSON.parse(bytes.toString('utf8'));
    if (schema === 'hpsv3/profile@1') return `a profile of ${sweep.length}`;
    if (schema === 'hpsv3/score@1') return `a score of ${logit}`;
  }
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
