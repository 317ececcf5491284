import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { MODALITIES, type Modality, type Mode } from '../../src/core/onnx/manifest.js';
import { exportFile } from '../helpers/pico.js';
import { hasShared, SHARED } from '../helpers/shared.js';
import { tempFolder } from '../helpers/temp.js';

const FIXTURES = `${SHARED}fixtures/hpsv3-nano/`;
const KINDS: readonly (readonly [Modality | undefined, Mode])[] = [
  ...MODALITIES.flatMap((modality) => [[modality, 'item'] as const, [modality, 'pair'] as const]),
  [undefined, 'head'],
];

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

/** The same weights as torch.save and safetensors leave them, rounded in the last two, with outputs of PyTorch in float32. */
describe.skipIf(!hasShared)('a nano checkpoint of PyTorch', () => {
  it.each([
    ['checkpoint.pt', 1e-4],
    ['checkpoint-legacy.pth', 1e-4],
    ['checkpoint.safetensors', 1e-4],
    ['checkpoint-wrapped.ckpt', 1e-4],
    ['checkpoint-fp16.pt', 1e-2],
    ['checkpoint-bf16.pt', 5e-2],
  ])('%s exports for every modality and mode within %d of the golden outputs', async (name, atol) => {
    const failed: string[] = [];
    for (const [modality, mode] of KINDS) {
      const report = await exportFile(join(folder, `${modality}-${mode}.onnx`), {
        checkpoint: join(FIXTURES, name),
        golden: join(FIXTURES, 'golden.safetensors'),
        modality,
        mode,
        gate: 'quick',
      });
      const { maxAbsDiff } = report.parity.golden!;
      if (!(report.gate?.passed && maxAbsDiff <= atol)) failed.push(`${modality} ${mode}: ${maxAbsDiff}`);
    }
    expect(failed).toEqual([]);
  });

  it('is not compared with a file that holds no golden outputs', async () => {
    const options = { checkpoint: join(FIXTURES, 'checkpoint.pt'), golden: join(FIXTURES, 'checkpoint.safetensors') };
    await expect(exportFile(join(folder, 'x.onnx'), { ...options, gate: 'quick' })).rejects.toMatchObject({
      code: 'TENSOR_NOT_FOUND',
    });
  });
});
