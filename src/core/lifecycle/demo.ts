import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '../bytes/json.js';
import { MODALITIES, type Modality } from '../onnx/manifest.js';
import { exportModel } from './export.js';
import { initCheckpoint } from './init.js';
import { inspectFile } from './inspect.js';
import { verifyModels } from './verify.js';

export interface DemoOptions {
  /** The model section to start from, and the path of its file as a person would type it. */
  readonly config: { readonly name: string; readonly model: JsonObject };
  /** Folder for everything that is made; made itself where it is missing. */
  readonly folder: string;
  /** How the folder is spelled in the commands that are shown. */
  readonly folderLabel: string;
  readonly seed: number;
  /** Called before each step with the command that does the same. */
  readonly onStep?: (command: string) => void;
}

export interface DemoRow {
  readonly modality: Modality;
  readonly file: string;
  readonly bytes: number;
  readonly nodes: number;
  readonly parameters: number;
  /** Nodes left by --optimize. */
  readonly optimizedNodes: number;
  /** Pairs decided by both files, and those whose winner differs. */
  readonly pairs: number;
  readonly flips: number;
  readonly maxScoreDiff: number;
  readonly seconds: number;
}

export interface DemoReport {
  readonly folder: string;
  readonly checkpoint: string;
  readonly parameters: number;
  readonly rows: readonly DemoRow[];
  readonly passed: boolean;
}

/**
 * The road from a checkpoint to verified files, on a random checkpoint: init, inspect, then for every modality an export, an
 * optimized export, and the gate between the two. Its numbers say that the tools work and nothing about preferences.
 * @throws HpsError as the steps do
 */
export async function runDemo({ config, folder, folderLabel, seed, onStep }: DemoOptions): Promise<DemoReport> {
  mkdirSync(folder, { recursive: true });
  const name = 'hpsv3-nano.safetensors';
  const checkpoint = join(folder, name);
  const shown = (file: string): string => `${folderLabel}/${file}`;

  onStep?.(`hpsv3 init --config ${config.name} --seed ${seed} --out ${shown(name)}`);
  const made = await initCheckpoint({ config, seed, out: checkpoint, force: true });
  onStep?.(`hpsv3 inspect ${shown(name)}`);
  await inspectFile({ path: checkpoint, statistics: false });

  const rows: DemoRow[] = [];
  for (const modality of MODALITIES) rows.push(await demoModality(modality));
  return {
    folder: folderLabel,
    checkpoint: name,
    parameters: made.parameters,
    rows,
    passed: rows.every(({ flips }) => flips === 0),
  };

  async function demoModality(modality: Modality): Promise<DemoRow> {
    const started = performance.now();
    const [plain, optimized] = [`${modality}.onnx`, `${modality}-optimized.onnx`];
    const exported = async (file: string, optimize: boolean) => {
      onStep?.(
        `hpsv3 export --checkpoint ${shown(name)} --modality ${modality} --mode pair --out ${shown(file)}${optimize ? ' --optimize' : ''}`,
      );
      return exportModel({
        checkpoint,
        out: join(folder, file),
        opset: 14,
        modality,
        mode: 'pair',
        dtype: 'fp32',
        gate: optimize ? 'off' : 'full',
        seed,
        optimize,
        externalData: false,
        allowNonfinite: false,
        force: true,
        dryRun: false,
      });
    };
    const first = await exported(plain, false);
    const second = await exported(optimized, true);
    onStep?.(`hpsv3 verify ${shown(plain)} ${shown(optimized)}`);
    const verdict = await verifyModels({
      model: join(folder, plain),
      other: join(folder, optimized),
      level: 'full',
      seed,
    });
    return {
      modality,
      file: plain,
      bytes: first.bytes ?? 0,
      nodes: first.nodes,
      parameters: first.parameters,
      optimizedNodes: second.nodes,
      pairs: verdict.pairs ?? 0,
      flips: verdict.flips ?? 0,
      maxScoreDiff: verdict.maxScoreDiff ?? 0,
      seconds: (performance.now() - started) / 1000,
    };
  }
}
