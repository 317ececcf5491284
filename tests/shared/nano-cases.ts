import { join } from 'node:path';
import { MODALITIES, type Modality, type Mode } from '../../src/core/onnx/manifest.js';
import { exportFile } from '../helpers/pico.js';
import { SHARED } from '../helpers/shared.js';
import { tempFolder } from '../helpers/temp.js';

export const NANO = `${SHARED}fixtures/hpsv3-nano/`;

/** Files of one set of weights, rounded in the last two, and how far their scores may be from those of PyTorch in float32. */
export const NANO_FILES = [
  ['checkpoint.pt', 1e-4],
  ['checkpoint-legacy.pth', 1e-4],
  ['checkpoint.safetensors', 1e-4],
  ['checkpoint-wrapped.ckpt', 1e-4],
  ['checkpoint-fp16.pt', 1e-2],
  ['checkpoint-bf16.pt', 5e-2],
] as const;

type Kind = readonly [Modality | undefined, Mode];

/** All that the checkpoint is exported for. */
export const NANO_KINDS: readonly Kind[] = [
  ...MODALITIES.flatMap((modality): Kind[] => [
    [modality, 'item'],
    [modality, 'pair'],
  ]),
  [undefined, 'head'],
];

/** What of these exports is further from the golden outputs than it may be. */
export async function failedKinds(name: string, atol: number, kinds: readonly Kind[]): Promise<string[]> {
  const folder = tempFolder();
  const failed: string[] = [];
  for (const [modality, mode] of kinds) {
    const report = await exportFile(join(folder, `${modality}-${mode}.onnx`), {
      checkpoint: join(NANO, name),
      golden: join(NANO, 'golden.safetensors'),
      modality,
      mode,
      gate: 'quick',
    });
    const { maxAbsDiff } = report.parity.golden!;
    if (!(report.gate?.passed && maxAbsDiff <= atol)) failed.push(`${modality} ${mode}: ${maxAbsDiff}`);
  }
  return failed;
}
