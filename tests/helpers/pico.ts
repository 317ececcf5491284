import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withAtomicOutput } from '../../src/core/bytes/output.js';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { writeSafetensors } from '../../src/core/checkpoint/write-safetensors.js';
import { type ExportOptions, type ExportReport, exportModel } from '../../src/core/lifecycle/export/export.js';
import type { Tensor } from '../../src/core/tensor/tensor.js';

const folder = fileURLToPath(new URL('../golden/hpsv3/', import.meta.url));

/** The smallest checkpoint of the architecture, float16, with the outputs of the PyTorch reference (tests/golden/hpsv3/make.py). */
export const PICO = {
  checkpoint: join(folder, 'checkpoint.safetensors'),
  config: join(folder, 'config.json'),
  golden: join(folder, 'golden.safetensors'),
} as const;

/** The checkpoint holds float16 values, which float32 holds exactly: only the order of additions differs from PyTorch. */
export const PICO_ATOL = 1e-5;

/** Exports in this process; by default the pico checkpoint, with the gate off. */
export const exportFile = (out: string, options: Partial<ExportOptions> = {}): Promise<ExportReport> =>
  exportModel({
    checkpoint: PICO.checkpoint,
    out,
    opset: 14,
    mode: 'item',
    dtype: 'fp32',
    gate: 'off',
    seed: 0,
    optimize: false,
    externalData: false,
    allowNonfinite: false,
    force: false,
    dryRun: false,
    ...options,
  });

/** Writes the pico checkpoint with other tensors, and its config.json, into a folder; the path of the checkpoint. */
export async function changedPico(into: string, change: (tensor: Tensor) => Tensor): Promise<string> {
  const path = join(into, 'changed.safetensors');
  const checkpoint = await openCheckpoint(PICO.checkpoint);
  try {
    await withAtomicOutput(path, {}, async (output) => {
      const sink = await output.create();
      await writeSafetensors(sink, [...checkpoint.tensors.values()].map(change));
      return sink.finish();
    });
  } finally {
    checkpoint.close();
  }
  copyFileSync(PICO.config, join(into, 'config.json'));
  return path;
}
