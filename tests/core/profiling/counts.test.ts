import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Modality } from '../../../src/core/onnx/manifest.js';
import { manifestOf } from '../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { countWork } from '../../../src/core/profiling/counts.js';
import { profileInputs } from '../../../src/core/profiling/inputs.js';
import { withTrace } from '../../../src/core/profiling/trace.js';
import { openSession } from '../../../src/core/runtime/ort.js';
import { exportFile } from '../../helpers/pico.js';
import { tempFolder } from '../../helpers/temp.js';

// tests/golden/profiling/make.py: torch.utils.flop_counter
const { torch: _, ...GOLDEN } = JSON.parse(
  readFileSync(new URL('../../golden/profiling/macs.json', import.meta.url), 'utf8'),
) as Record<Modality, { shapes: Record<string, number[]>; macs: number }> & { torch: string };

describe('countWork', () => {
  it.each(Object.entries(GOLDEN))('counts the multiply-accumulates of %s as PyTorch does', async (modality, golden) => {
    const path = join(tempFolder(), 'model.onnx');
    await exportFile(path, { modality: modality as Modality });
    const file = openOnnx(path);
    try {
      const [run] = await withTrace(async (tracePrefix) => {
        const config = { 'session.disable_prepacking': '1' };
        const session = await openSession(path, { optimization: 'disabled', threads: 1, tracePrefix, config });
        const inputs = profileInputs({
          inputs: session.inputs,
          manifest: manifestOf(file.model, 'model.onnx'),
          file: 'model.onnx',
          sizes: new Map('input_ids' in golden.shapes ? [['tokens', golden.shapes['input_ids'][0]]] : []),
          seed: 0,
          rows: 1,
        });
        expect(inputs.shapes).toEqual(golden.shapes);
        await session.run(inputs.feeds(1));
        await session.release();
      });
      expect(countWork(file.model, run, 1)).toMatchObject({ macs: golden.macs, uncounted: [] });
    } finally {
      file.close();
    }
  });
});
