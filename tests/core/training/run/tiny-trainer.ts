import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { hpsv3Exporter } from '../../../../src/core/architectures/hpsv3/exporter.js';
import type { JsonObject } from '../../../../src/core/bytes/json.js';
import { Random } from '../../../../src/core/bytes/random.js';
import { drawnCheckpoint } from '../../../../src/core/lifecycle/train/train.js';
import type { ContractInput, Modality } from '../../../../src/core/onnx/manifest.js';
import { onnxruntimeEngine } from '../../../../src/core/training/engines/onnxruntime.js';
import { buildForward } from '../../../../src/core/training/graph/forward.js';
import { trainingConfigSchema } from '../../../../src/core/training/run/config.js';
import type { ModalityData, TrainingItem } from '../../../../src/core/training/run/dataset.js';
import type { Packed } from '../../../../src/core/training/run/packed.js';
import { type StepReport, Trainer, type TrainerOptions } from '../../../../src/core/training/run/trainer.js';
import { Parameters } from '../../../../src/core/training/update/parameters.js';

const CONFIG = new URL('../../../../configs/hpsv3_nano.yaml', import.meta.url);

export interface TinyTraining {
  readonly modalities: readonly Modality[];
  /** Of the `training` section. */
  readonly settings?: Record<string, unknown>;
  readonly trainer?: Partial<TrainerOptions>;
}

const ITEMS = 24;

/** A trainer of the nano model on drawn items, of which the first of two is preferred. The caller releases it. */
export async function tinyTrainer({ modalities, settings, trainer }: TinyTraining) {
  const { model } = parse(readFileSync(CONFIG, 'utf8')) as { model: JsonObject };
  const checkpoint = await drawnCheckpoint(model, 1);
  const request = { config: model, configOrigin: null };
  const forwards = new Map(
    await Promise.all(
      modalities.map(
        async (modality) =>
          [modality, await buildForward(checkpoint, hpsv3Exporter, { modality, ...request })] as const,
      ),
    ),
  );
  const config = trainingConfigSchema.parse({
    lr: 1e-3,
    epsilon: 1e-6,
    batch_size: 4,
    micro_batch_size: 4,
    steps: 40,
    warmup_steps: 4,
    ema_decay: 0.9,
    mixup: 0.2,
    dropout: 0.1,
    token_mask: 0.1,
    stochastic_depth: 0.1,
    modality_mix: Object.fromEntries(modalities.map((modality) => [modality, 1])),
    ...settings,
  });
  const parameters = await Parameters.read(checkpoint, [...forwards.values()], {
    isTrained: () => true,
    decayVectors: false,
    average: config.ema_decay > 0,
    loraRank: config.lora_rank,
  });
  const options: TrainerOptions = {
    engine: onnxruntimeEngine,
    device: { kind: 'cpu' },
    threads: 1,
    config,
    seed: 7,
    forwards,
    parameters,
    train: modalities.map((modality) => dataOf(modality, forwards.get(modality)!.inputs)),
    validation: [],
    maskToken: 4,
    ...trainer,
  };
  return { trainer: new Trainer(options), parameters };
}

/** The reports of the first steps; the parameters are those after them. */
export async function trainTiny(training: TinyTraining, steps: number) {
  const { trainer, parameters } = await tinyTrainer(training);
  const reports: StepReport[] = [];
  try {
    while (reports.length < steps) reports.push(...(await trainer.runSteps(steps - reports.length)));
    await trainer.settle();
  } finally {
    await trainer.release();
  }
  return { reports, parameters };
}

function dataOf(modality: Modality, inputs: readonly ContractInput[]): ModalityData {
  const random = new Random(`items/${modality}`);
  const items = Array.from({ length: ITEMS }, (_, i) => drawItem(inputs, random, i % 2 === 0));
  const pairs = Array.from({ length: ITEMS / 2 }, (_, i) => ({
    left: 2 * i,
    right: 2 * i + 1,
    votes: [1, 0, 0] as const,
    cluster: `${i}`,
    stratum: '',
  }));
  return { modality, inputs, items, pairs, absolutes: [] };
}

function drawItem(inputs: readonly ContractInput[], random: Random, preferred: boolean): TrainingItem {
  const packed = new Map<string, Packed>();
  let [tokens, samples] = [0, 0];
  for (const { name, shape, preprocess } of inputs) {
    if (preprocess.kind === 'text-mask') continue;
    if (preprocess.kind === 'text') {
      tokens = 6 + random.integer(0, 8);
      packed.set(
        name,
        Uint32Array.from({ length: tokens }, () => (preferred ? 5 : 20) + random.integer(0, 20)),
      );
    } else if (preprocess.kind === 'audio') {
      samples = 2000;
      packed.set(
        name,
        Int16Array.from({ length: samples }, () => 4000 * random.normal()),
      );
    } else {
      const length = (shape.slice(1) as number[]).reduce((a, b) => a * b, 1);
      packed.set(
        name,
        Uint8Array.from({ length }, () => (preferred ? 40 : 100) + random.integer(0, 100)),
      );
    }
  }
  return { packed, tokens, samples };
}
