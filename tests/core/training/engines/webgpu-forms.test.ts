import { describe, expect, it } from 'vitest';
import { Emitter, withOutputs } from '../../../../src/core/autodiff/emitter.js';
import type { Operand } from '../../../../src/core/autodiff/types.js';
import { Random } from '../../../../src/core/bytes/random.js';
import { intAttribute, type OnnxModel } from '../../../../src/core/onnx/model.js';
import { withTemporaryModel } from '../../../../src/core/onnx/temporary-model.js';
import { openSession } from '../../../../src/core/runtime/ort.js';
import { float32Value, floatsOf } from '../../../../src/core/runtime/value.js';
import { webgpuForms } from '../../../../src/core/training/engines/webgpu-forms.js';
import { emptyGraph } from '../../../../src/core/training/graph/optimizer-graph.js';

const PARTS = 60;

/** A vector in sixty parts of 1 to 60 elements, the sum of those of ten, and the logarithm of the last part's softmax. */
function model(): OnnxModel {
  const sizes = Array.from({ length: PARTS }, (_, i) => i + 1);
  const x: Operand = { name: 'x', dtype: 'F32', shape: [sizes.reduce((a, b) => a + b)] };
  const graph = new Emitter(emptyGraph([x]), 'n');
  const parts = graph.nodeOf(
    'Split',
    [x, graph.ints(sizes)],
    sizes.map((size) => ({ dtype: 'F32', shape: [size] })),
    [intAttribute('axis', 0)],
  );
  const tens = [0, 1, 2, 3].map((i) => graph.slice(parts[20 + i], [0], [i], [i + 10]));
  const last = graph.reshape(parts[PARTS - 1], [6, 10]);
  const logs = graph.node('LogSoftmax', [last], last, [intAttribute('axis', -1)]);
  const outputs = [...parts, graph.sum(tens), logs];
  return withOutputs(
    graph.finish(),
    outputs.map(({ name }) => name),
  ).model;
}

async function outputsOf(of: OnnxModel): Promise<Float32Array[]> {
  const random = new Random('forms');
  const x = Float32Array.from({ length: (PARTS * (PARTS + 1)) / 2 }, () => 40 * random.normal());
  return withTemporaryModel(of, async (path) => {
    const session = await openSession(path);
    const results = await session.run(new Map([['x', float32Value([x.length], x)]]));
    await session.release();
    return Array.from(results.values(), floatsOf);
  });
}

describe('webgpuForms', () => {
  it('computes the same by operators that WebGPU has and that bind few buffers', async () => {
    const plain = model();
    const formed = await webgpuForms(plain);
    const [expected, found] = [await outputsOf(plain), await outputsOf(formed)];
    expect(found).toHaveLength(PARTS + 2);
    for (const [i, values] of expected.entries()) expect(found[i]).toBeAllClose(values, { atol: 1e-5, rtol: 1e-6 });
    expect(Math.max(...formed.graph.node.map(({ output }) => output.length))).toBe(7);
    const operators = new Set(formed.graph.node.map(({ opType }) => opType));
    expect([operators.has('Sum'), operators.has('LogSoftmax')]).toEqual([false, false]);
  });
});
