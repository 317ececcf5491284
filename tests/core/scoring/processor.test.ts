import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { quantizeModel } from '../../../src/core/lifecycle/quantize/quantize.js';
import { metadataOf } from '../../../src/core/onnx/model.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { PROCESSOR_KEY } from '../../../src/core/runtime/processors.js';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { exportFile } from '../../helpers/pico.js';
import { tempFolder } from '../../helpers/temp.js';

const here = vi.hoisted(() => ({ cutOff: false }));
vi.mock('../../../src/core/runtime/integer-sums.js', () => ({ sumsAreCutOff: async () => here.cutOff }));

let folder: string;
let model: string;
beforeAll(async () => {
  folder = tempFolder();
  model = join(folder, 'model.onnx');
  await exportFile(model, { modality: 'image' });
});

const madeFor = (path: string): string | undefined => {
  const file = openOnnx(path);
  try {
    return metadataOf(file.model, PROCESSOR_KEY);
  } finally {
    file.close();
  }
};

async function quantized(name: string, options: Partial<Parameters<typeof quantizeModel>[0]>) {
  const out = join(folder, name);
  const report = await quantizeModel({ model, out, scheme: 'static', ranges: 'minmax', gate: 'off', ...options });
  return { out, report };
}

describe('what a quantized file is for', () => {
  it('is any processor by default, and this one where that is asked for; then it is scored on no other', async () => {
    here.cutOff = false;
    const any = await quantized('any.onnx', {});
    expect([any.report.processor, madeFor(any.out)]).toEqual(['any', undefined]);
    const vnni = await quantized('vnni.onnx', { processor: 'auto' });
    expect([vnni.report.processor, madeFor(vnni.out)]).toEqual(['vnni', 'vnni']);
    const alias = await quantized('alias.onnx', { fullRange: true });
    expect(alias.report.sha256).toBe(vnni.report.sha256);
    here.cutOff = true;
    const old = await quantized('old.onnx', { processor: 'auto' });
    expect(old.report.sha256).toBe(any.report.sha256);
    const elsewhere = await quantized('elsewhere.onnx', { processor: 'vnni' });
    expect(elsewhere.report.sha256).toBe(vnni.report.sha256);
    expect(elsewhere.report.warnings.join()).toContain('cuts sums of such a file off');
    const weights = await quantized('weights.onnx', { scheme: 'weight-only', processor: 'auto' });
    expect(weights.report.processor).toBeNull();

    await expect(HPSv3Scorer.load(vnni.out)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    here.cutOff = false;
    await (await HPSv3Scorer.load(vnni.out)).close();
  });
});
