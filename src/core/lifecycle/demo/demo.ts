import { mkdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { withAtomicOutput } from '../../bytes/output.js';
import { formatSums, listFiles, SUMS_FILE } from '../../bytes/sums.js';
import type { Run } from '../../run.js';
import { TOOL } from '../../version.js';
import { DemoJournal } from './journal.js';
import { type DemoPlanOptions, type DemoStep, demoFolders, planDemo } from './plan.js';

export interface DemoOptions extends DemoPlanOptions, Pick<Run, 'signal'> {
  /** Runs one command in this process and gives its report. @throws HpsError also where the command says no */
  readonly run: (step: Pick<DemoStep, 'id' | 'argv'>) => Promise<unknown>;
  readonly onStart?: (progress: DemoProgress) => void;
  readonly onDone?: (row: DemoRow) => void;
}

export interface DemoProgress {
  /** From 1. */
  readonly step: number;
  readonly steps: number;
  readonly title: string;
  /** As a person types it. */
  readonly command: string;
}

export interface DemoRow {
  readonly title: string;
  readonly command: string;
  /** Whether it was done now, or kept from an earlier run. */
  readonly state: 'done' | 'kept';
  readonly seconds: number;
  readonly finding: string;
}

export interface DemoReport {
  readonly folder: string;
  /** Whether the weights are random, and the numbers mean nothing. */
  readonly random: boolean;
  readonly rows: readonly DemoRow[];
  /** Files and folders with measured times or memory in them, by path in the folder: all others are the same after every run. */
  readonly measured: readonly string[];
  readonly seconds: number;
}

/**
 * The road from two checkpoints to a verified model card, each step by the command that a person would type. What an earlier run
 * has done, and nothing has changed since, is kept.
 *
 * @throws HpsError as the commands do; the OUTPUT_… codes
 */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const { folder, onStart, onDone, run } = options;
  const started = performance.now();
  for (const path of demoFolders(options)) mkdirSync(path, { recursive: true });
  const journal = DemoJournal.open(folder, TOOL);
  const plan = planDemo(options);
  const rows: DemoRow[] = [];
  for (const [i, step] of plan.entries()) {
    options.signal?.throwIfAborted();
    const { title, finding } = step;
    const command = commandLine(step);
    const begun = performance.now();
    const kept = await journal.recall(step, command);
    onStart?.({ step: i + 1, steps: plan.length, title, command });
    const found = kept ?? finding((await run(step)) as never);
    if (kept === undefined) await journal.note(step, command, found);
    const seconds = (performance.now() - begun) / 1000;
    rows.push({ title, command, state: kept === undefined ? 'done' : 'kept', seconds, finding: found });
    onDone?.(rows[i]);
  }
  await writeSums(folder, plan);
  return {
    folder,
    random: options.checkpoints === null,
    rows,
    measured: [...plan.flatMap(({ measured }) => measured.map((path) => within(folder, path))), SUMS_FILE].sort(),
    seconds: (performance.now() - started) / 1000,
  };
}

/** Hashes of everything the demo made, for `sha256sum --check`. The media of a synthesis are hashed in its synth.json. */
async function writeSums(folder: string, plan: readonly DemoStep[]): Promise<void> {
  const made = plan.flatMap(({ outputs }) => outputs.map((path) => within(folder, path)));
  const card = listFiles(join(folder, 'card')).map((path) => `card/${path}`);
  const text = await formatSums(folder, [...new Set([...made, ...card])].sort());
  await withAtomicOutput(join(folder, SUMS_FILE), { force: true }, (output) => output.writeFile(output.name, text));
}

const within = (folder: string, path: string): string => relative(folder, path).split(sep).join('/');

/** A command as a person types it into a shell. */
export const commandLine = ({ id, argv }: Pick<DemoStep, 'id' | 'argv'>): string =>
  ['hpsv3', ...id.split(' '), ...argv].map(shellWord).join(' ');

const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
