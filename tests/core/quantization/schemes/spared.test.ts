import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openOnnx } from '../../../../src/core/onnx/read.js';
import { schemeOf } from '../../../../src/core/quantization/schemes/registry.js';
import { sparedNodes } from '../../../../src/core/quantization/schemes/spared.js';
import { exportFile } from '../../../helpers/pico.js';
import { tempFolder } from '../../../helpers/temp.js';

describe('sparedNodes', () => {
  it('leaves the score head of a pair model float in static, and of no other scheme', async () => {
    const path = join(tempFolder(), 'pair.onnx');
    await exportFile(path, { modality: 'text', mode: 'pair' });
    const file = openOnnx(path);
    const { graph } = file.model;
    file.close();
    const spared = [...sparedNodes(graph, schemeOf('static')).keys()];
    expect(spared).toContain('head/left-right/pair1/Gemm');
    expect(spared.filter((name) => !name.startsWith('head/'))).toEqual([]);
    expect(sparedNodes(graph, schemeOf('weight-only')).size).toBe(0);
  });

  it('spares nothing of a model that is a head itself', () => {
    const graph = {
      name: 'head',
      node: [{ opType: 'Gemm', name: 'layer', input: ['embedding', 'w'], output: ['score'], attribute: [] }],
      initializer: [],
      input: [{ name: 'embedding' }],
      output: [{ name: 'score' }],
      valueInfo: [],
    };
    expect(sparedNodes(graph, schemeOf('static')).size).toBe(0);
  });
});
