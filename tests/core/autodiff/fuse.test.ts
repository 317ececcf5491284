import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bindShapes } from '../../../src/core/autodiff/bind.js';
import type { OnnxModel } from '../../../src/core/onnx/model.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import type { TensorValue } from '../../../src/core/runtime/value.js';
import { floats, runModel } from '../../helpers/graphs.js';
import { exportFile } from '../../helpers/pico.js';
import { tempFolder } from '../../helpers/temp.js';

const FEEDS = new Map<string, TensorValue>([
  ['input_ids', { dtype: 'I64', shape: [2, 5], data: BigInt64Array.from([1, 7, 3, 60, 2, 5, 9, 11, 0, 0], BigInt) }],
  ['attention_mask', { dtype: 'I64', shape: [2, 5], data: BigInt64Array.from([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], BigInt) }],
]);

const count = (model: OnnxModel, opType: string): number =>
  model.graph.node.filter((node) => node.opType === opType).length;

/** A text model of opset 14, which has neither LayerNormalization nor Gelu. */
async function withTextModel<T>(use: (model: OnnxModel, folder: string) => Promise<T>): Promise<T> {
  const folder = tempFolder();
  const path = join(folder, 'text.onnx');
  await exportFile(path, { modality: 'text', opset: 14 });
  const file = openOnnx(path);
  try {
    return await use(file.model, folder);
  } finally {
    file.close();
  }
}

describe('fuseOperators, as a model is bound', () => {
  it('makes one operator of every norm and GELU', () =>
    withTextModel(async (model) => {
      const { model: fused, types } = await bindShapes(model, FEEDS);
      expect([count(model, 'Pow'), count(model, 'Erf')]).not.toContain(0);
      expect(count(fused, 'LayerNormalization')).toBe(count(model, 'Pow'));
      expect(count(fused, 'Gelu')).toBe(count(model, 'Erf'));
      expect(['Pow', 'Sqrt', 'Erf'].map((opType) => count(fused, opType))).toEqual([0, 0, 0]);
      const computed = fused.graph.node.flatMap(({ output }) => output);
      expect(computed.filter((name) => !types.has(name))).toEqual([]);
    }));

  it('changes no output beyond rounding', () =>
    withTextModel(async (model, folder) => {
      const { model: fused } = await bindShapes(model, FEEDS);
      const [theirs, ours] = [await runModel(model, folder, FEEDS), await runModel(fused, folder, FEEDS)];
      for (const name of theirs.keys()) expect(floats(ours, name)).toBeAllClose(floats(theirs, name), { atol: 1e-5 });
    }));

  it('leaves an operator apart whose inner value the model states', () =>
    withTextModel(async (model) => {
      const square = model.graph.node.find(({ opType }) => opType === 'Pow')!.output[0];
      const stating = { ...model, graph: { ...model.graph, valueInfo: [{ name: square }] } };
      const { model: fused } = await bindShapes(stating, FEEDS);
      expect(count(fused, 'LayerNormalization')).toBe(count(model, 'Pow') - 1);
      expect(fused.graph.node.some(({ output }) => output[0] === square)).toBe(true);
    }));
});
