import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { manifestOf } from '../../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../../src/core/onnx/read.js';
import { readTensor } from '../../../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../../../src/core/tensor/values.js';
import { onnxruntimeEngine } from '../../../../src/core/training/engines/onnxruntime.js';
import { openForward } from '../../../../src/core/training/graph/onnx-forward.js';
import { completeTraining } from '../../../../src/core/training/run/config.js';
import type { TrainingItem } from '../../../../src/core/training/run/dataset.js';
import { Trainer } from '../../../../src/core/training/run/trainer.js';
import { Parameters } from '../../../../src/core/training/update/parameters.js';
import { exportFile } from '../../../helpers/pico.js';
import { tempFolder } from '../../../helpers/temp.js';
import { sequence } from '../../autodiff/cases.js';

const GOLDEN = fileURLToPath(new URL('../../../golden/', import.meta.url));

interface Golden {
  readonly losses: readonly number[];
  /** Of each adapted matrix, as the checkpoint has it: the norm of its change and its products with two sequences. */
  readonly changes: Readonly<Record<string, readonly number[]>>;
}

const golden: Record<string, Golden> = JSON.parse(readFileSync(`${GOLDEN}lora-training/golden.json`, 'utf8'));
const [PAIRS, TOKENS] = [4, 6];

it.each([
  ['a decoder', 'llama', 'decoders/llama'],
  ['an encoder', 'bert', 'encoders/bert'],
])('factors of %s take the steps of PyTorch', async (_, name, fixture) => {
  const path = join(tempFolder(), 'model.onnx');
  await exportFile(path, { checkpoint: join(GOLDEN, fixture), mode: 'item' });
  const file = openOnnx(path);
  try {
    const { forward, tensors } = openForward(file.model, manifestOf(file.model, 'model.onnx')!, 'model.onnx');
    const read = async (key: string) => asFloat32(await readTensor(tensors.get(key)!));
    const parameters = await Parameters.read({ tensors }, [forward], {
      isTrained: () => true,
      decayVectors: false,
      average: false,
      loraRank: 2,
    });
    const itemOf = (pair: number, side: number): TrainingItem => {
      const ids = Uint32Array.from({ length: TOKENS }, (__, token) => 5 + ((7 * pair + 3 * token + 11 * side) % 30));
      const packed = forward.inputs.flatMap(({ name: input, preprocess: { kind } }) =>
        kind === 'text-mask' ? [] : [[input, kind === 'text' ? ids : new Uint32Array(TOKENS)] as const],
      );
      return { packed: new Map(packed), tokens: TOKENS, samples: 0 };
    };
    const items = Array.from({ length: 2 * PAIRS }, (__, i) => itemOf(i >> 1, i & 1));
    const pairs = Array.from({ length: PAIRS }, (__, i) => {
      return { left: 2 * i, right: 2 * i + 1, votes: [1, 0, 0] as const, cluster: `${i}`, stratum: '' };
    });
    const trainer = new Trainer({
      engine: onnxruntimeEngine,
      device: { kind: 'cpu' },
      threads: 1,
      config: completeTraining({
        lr: 1e-2,
        batch_size: PAIRS,
        micro_batch_size: PAIRS,
        steps: 10,
        warmup_steps: 0,
        schedule: 'constant',
        clip_norm: 0,
        balance: 'none',
        lora_rank: 2,
        modality_mix: { text: 1 },
      }),
      seed: 1,
      forwards: new Map([['text', forward]]),
      parameters,
      train: [{ modality: 'text', inputs: forward.inputs, items, pairs, absolutes: [] }],
      validation: [],
      maskToken: null,
    });
    const { losses, changes } = golden[name];
    try {
      for (const [step, expected] of losses.entries()) {
        const [report] = await trainer.runSteps(1);
        expect(report.losses.get('loss'), `loss of step ${step + 1}`).toBeCloseTo(expected, 3);
      }
    } finally {
      await trainer.release();
    }
    const after = parameters.tensors();
    expect([...after.keys()].sort()).toEqual(Object.keys(changes).sort());
    for (const [key, [norm, ...along]] of Object.entries(changes)) {
      const [values, before] = [asFloat32(await readTensor(after.get(key)!)), await read(key)];
      const change = values.map((value, i) => value - before[i]);
      const found = [1, 2].map((seed) => {
        const direction = sequence(change.length, seed);
        return change.reduce((sum, value, i) => sum + value * direction[i], 0);
      });
      for (const [i, value] of [Math.hypot(...change), ...found].entries())
        expect(Math.abs(value - [norm, ...along][i]) / Math.max(norm, 1e-2), `${key}: ${i}`).toBeLessThan(1e-2);
    }
  } finally {
    file.close();
  }
});
