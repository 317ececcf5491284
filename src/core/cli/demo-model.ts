import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HpsError } from '../errors.js';
import type { Modality } from '../modality.js';

/** What stands for the bundled model where the path of one is due. A file of that name is `./demo`. */
export const DEMO_MODEL = 'demo';

export const DEMO_WARNING =
  'The model demo was trained on drawn damage, not on people: its scores show how things work, and say nothing of what people prefer.';

/** Everything the bundled checkpoint was trained on, and pictures with a text. */
export const DEMO_MODALITIES = ['image', 'text', 'image-text', 'audio', 'video'] as const satisfies readonly Modality[];

const CHECKPOINT = fileURLToPath(new URL('../../../checkpoints/hpsv3-mini-a/model.safetensors', import.meta.url));

/**
 * The bundled checkpoint as a model, exported into a folder that goes with this process.
 *
 * @throws HpsError FILE_NOT_FOUND where the package is without it
 */
export async function demoModel(modality: Modality): Promise<string> {
  if (!existsSync(CHECKPOINT)) {
    throw new HpsError('FILE_NOT_FOUND', 'the bundled model is not there', {
      hint: 'Give --model FILE.onnx, or install hpsv3 with its folder checkpoints.',
    });
  }
  const folder = mkdtempSync(join(tmpdir(), 'hpsv3-demo-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { exportModel } = await import('../lifecycle/export/export.js'); // heavy: only where it is asked for
  const out = join(folder, `demo-${modality}.onnx`);
  await exportModel({ checkpoint: CHECKPOINT, out, modality, mode: 'pair', gate: 'off' });
  return out;
}
