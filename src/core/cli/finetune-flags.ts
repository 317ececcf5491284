import type { TrainingEngine } from '../training/engines/engine.js';
import { type TrainingConfig, trainingConfigSchema } from '../training/run/config.js';
import type { ConfigFile } from './config.js';

/** What differs from training from scratch: a few hundred labels, and weights that are good already. */
const FINETUNE_DEFAULTS = {
  lr: 1e-5,
  batch_size: 16,
  warmup_steps: 20,
  mixup: 0.2,
  patience: 3,
  val_fraction: 0.2,
} as const satisfies Partial<TrainingConfig>;

/** Settings of a fine-tuning run: flag, then configuration file, then default. */
export function finetuneTraining(file: ConfigFile | undefined, flags: Partial<TrainingConfig>): TrainingConfig {
  const given = new Set(file?.trainingKeys);
  const written = Object.entries(file?.training ?? {}).filter(([key]) => given.has(key));
  const flagged = Object.entries(flags).filter(([, value]) => value !== undefined);
  return trainingConfigSchema.parse({
    ...FINETUNE_DEFAULTS,
    ...Object.fromEntries(written),
    ...Object.fromEntries(flagged),
  });
}

/** Loads an engine on first use: TensorFlow.js is heavy, and may not be installed. */
export async function chooseEngine(id: TrainingEngine['id']): Promise<TrainingEngine> {
  if (id === 'tfjs') return (await import('../training/engines/tfjs.js')).tfjsEngine;
  return (await import('../training/engines/onnxruntime.js')).onnxruntimeEngine;
}
