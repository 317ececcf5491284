import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { JsonObject } from '../../src/core/bytes/json.js';
import type { TrainOptions } from '../../src/core/lifecycle/train/train.js';
import { trainingConfigSchema } from '../../src/core/training/run/config.js';
import { hasState } from '../../src/core/training/run/state.js';
import { collect, HPSV3 } from './cli.js';
import { PICO } from './pico.js';

/** The pico model with a vocabulary that holds bytes, for texts alone. */
export const TEXT_MODEL: JsonObject = {
  ...(JSON.parse(readFileSync(PICO.config, 'utf8')) as JsonObject),
  vocab_size: 320,
  text_positions: 32,
  modalities: ['text'],
};

const WORDS = ['lamp', 'door', 'road', 'bird', 'cold', 'rain'];

/** Pairs of texts, two to a prompt, in which raters prefer the one with `good` over the one with `bad`. */
export function writeTextPairs(path: string, count: number, good = 'yes', bad = 'no'): string {
  const lines = Array.from({ length: count }, (_, i) => {
    const word = WORDS[i % WORDS.length];
    const [left, right] = [`${word} ${good}`, `${word} ${bad}`];
    const flipped = i % 3 === 0;
    return JSON.stringify({
      id: `${good}-${i}`,
      type: 'pair',
      left: flipped ? right : left,
      right: flipped ? left : right,
      labels: flipped ? [0, 0, 0.5] : [1, 1, 1],
      modality: 'text',
      prompt_id: `${good}-${i >> 1}`,
    });
  });
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

/** A run of a few seconds. */
export function tinyRun(folder: string, settings: Record<string, unknown> = {}): TrainOptions {
  const training = trainingConfigSchema.parse({
    lr: 3e-3,
    batch_size: 8,
    micro_batch_size: 4,
    steps: 12,
    warmup_steps: 2,
    eval_every: 4,
    checkpoint_every: 3,
    ema_decay: 0.9,
    mixup: 0.2,
    dropout: 0.1,
    token_mask: 0.1,
    stochastic_depth: 0.1,
    val_fraction: 0.3,
    modality_mix: { text: 1 },
    ...settings,
  });
  return {
    config: { name: 'tiny.yaml', model: TEXT_MODEL, training },
    data: [writeTextPairs(join(folder, 'labels.jsonl'), 40)],
    validation: [],
    out: join(folder, 'run'),
    seed: 3,
    device: 'cpu',
    threads: 1,
    resume: false,
    force: false,
  };
}

/** The arguments in an example of a command's help, from the command on. */
export function exampleArgs(command: string, example: string): string[] {
  const [, ...args] = example.replaceAll(/<%= ([a-z.]+) %>/g, '$1').split(' ');
  return [command, ...args.slice(1)];
}

/**
 * Starts a command whose run is in a folder, and kills it (kill -9) after a step, drawn anew each time since every step must do.
 * @param from - a step at which a state has been saved
 */
export async function killAtSomeStep(
  args: readonly string[],
  cwd: string,
  run: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<number> {
  const step = from + Math.floor(Math.random() * (to - from + 1));
  const child = spawn(process.execPath, [HPSV3, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = collect(child);
  const log = join(cwd, run, 'log.jsonl');
  const steps = (): number[] =>
    existsSync(log) ? Array.from(readFileSync(log, 'utf8').matchAll(/^{"step":(\d+),/gm), ([, n]) => Number(n)) : [];
  const isDone = (): boolean => steps().some((done) => done >= step);
  while (!isDone() && child.exitCode === null) await sleep(2);
  child.kill('SIGKILL');
  const { signal, stderr } = await ended;
  expect(signal, stderr).toBe('SIGKILL');
  expect(hasState(join(cwd, run)), `killed after step ${step}`).toBe(true);
  return step;
}
