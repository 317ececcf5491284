import { describe, expect, it } from 'vitest';
import { chooseArchitecture } from '../../../../src/core/architectures/registry.js';
import { openCheckpoint } from '../../../../src/core/checkpoint/open.js';
import type { Modality } from '../../../../src/core/onnx/manifest.js';
import type { OnnxModel } from '../../../../src/core/onnx/model.js';
import { float32Value, type TensorValue } from '../../../../src/core/runtime/value.js';
import { buildForward, EMBEDDING, type ForwardModel } from '../../../../src/core/training/graph/forward.js';
import { BRANCHES, bindForward } from '../../../../src/core/training/graph/loss-model.js';
import { dropRates, residualBranches } from '../../../../src/core/training/graph/residual.js';
import { floats, runModel } from '../../../helpers/graphs.js';
import { PICO } from '../../../helpers/pico.js';
import { tempFolder } from '../../../helpers/temp.js';

async function picoForward(modality: Modality): Promise<ForwardModel> {
  const checkpoint = await openCheckpoint(PICO.checkpoint);
  const exporter = await chooseArchitecture(checkpoint, 'hpsv3').load();
  return buildForward(checkpoint, exporter, { modality, config: null, configOrigin: null });
}

const TEXT_FEEDS = new Map<string, TensorValue>([
  ['input_ids', { dtype: 'I64', shape: [2, 5], data: BigInt64Array.from([1, 5, 7, 9, 2, 1, 6, 8, 2, 0], BigInt) }],
  ['attention_mask', { dtype: 'I64', shape: [2, 5], data: BigInt64Array.from([1, 1, 1, 1, 1, 1, 1, 1, 1, 0], BigInt) }],
]);

async function embeddingAt(scales: readonly number[] | null): Promise<Float32Array> {
  const forward = await picoForward('text');
  const options = {
    pairs: 1,
    slabs: [],
    mixing: false,
    masking: false,
    branches: scales ? residualBranches(forward.item) : [],
  };
  const { model } = await bindForward(forward, TEXT_FEEDS, options);
  const feeds = new Map(TEXT_FEEDS);
  if (scales) feeds.set(BRANCHES, float32Value([scales.length], Float32Array.from(scales)));
  return floats(await runModel(model, tempFolder(), feeds), EMBEDDING);
}

describe('residualBranches', () => {
  it.each([
    // Attention and feed-forward of each block; the first of the fusion is added to latents, which nothing is computed from.
    ['text', 2 + 3],
    ['image', 2 + 3],
    ['video', 4 + 3],
  ] as const)('finds the branches of every block of %s, and neither biases nor positions', async (modality, count) => {
    const { item } = await picoForward(modality);
    const found = residualBranches(item);
    const skips = found.map(({ node, input }) => item.graph.node[node].input[1 - input]);
    expect(new Set(skips).size).toBe(found.length);
    expect(found).toHaveLength(count);
  });

  it('takes no layer of a shortcut for a skip', () => {
    const node = (opType: string, input: string[], output: string) => ({
      opType,
      input,
      output: [output],
      attribute: [],
    });
    const graph = {
      node: [
        node('Relu', ['in'], 'x'),
        node('Conv', ['x', 'w'], 'branch'),
        node('Conv', ['x', 'v'], 'shortcut'),
        node('Add', ['branch', 'shortcut'], 'y'),
        node('Add', ['bias', 'y'], 'z'),
        node('Tanh', ['z'], 'deep'),
        node('Add', ['z', 'deep'], 'out'),
      ],
    };
    expect(residualBranches({ graph } as unknown as OnnxModel)).toEqual([{ node: 6, input: 1 }]);
  });
});

describe('a forward pass with scaled branches', () => {
  it('is the plain one where every scale is 1, and another where one is 0', async () => {
    const plain = await embeddingAt(null);
    const count = residualBranches((await picoForward('text')).item).length;
    const ones = new Array<number>(count).fill(1);
    expect(await embeddingAt(ones)).toBeAllClose(plain, { atol: 1e-6, rtol: 1e-6 });
    for (let i = 0; i < count; i++) {
      const changed = await embeddingAt(ones.with(i, 0));
      expect(
        changed.some((value, at) => Math.abs(value - plain[at]) > 1e-5),
        `branch ${i}`,
      ).toBe(true);
    }
  });
});

describe('dropRates', () => {
  it('rises linearly to that of the last branch', () => {
    expect(dropRates(4, 0.2)).toEqual([0.05, 0.1, 0.15000000000000002, 0.2]);
    expect(dropRates(0, 0.2)).toEqual([]);
  });
});
