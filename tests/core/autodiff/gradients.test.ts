import { describe, expect, it } from 'vitest';
import { bindShapes } from '../../../src/core/autodiff/bind.js';
import { Emitter, withOutputs } from '../../../src/core/autodiff/emitter.js';
import { type GradientGraph, type GradientRequest, gradients } from '../../../src/core/autodiff/gradients.js';
import type { BoundGraph } from '../../../src/core/autodiff/types.js';
import { intAttribute, type NodeProto, type OnnxModel, type TensorProto } from '../../../src/core/onnx/model.js';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';
import { bytesOf } from '../../../src/core/tensor/values.js';
import { floats, runModel } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';

const node = (opType: string, input: string[], output: string, attribute: NodeProto['attribute'] = []): NodeProto => ({
  name: output,
  opType,
  input,
  output: [output],
  attribute,
});

const weight = (name: string, dims: number[], values: number[]): TensorProto => ({
  name,
  dims,
  dataType: 1,
  rawData: bytesOf(Float32Array.from(values)),
});

/** A model of x [2, 3], with the last node's output as its output. */
const modelOf = (nodes: NodeProto[], initializer: TensorProto[] = [], opset = 20): OnnxModel => ({
  irVersion: 9,
  graph: {
    node: nodes,
    name: 'test',
    initializer,
    input: [{ name: 'x', type: { tensorType: { elemType: 1 } } }],
    output: [{ name: nodes[nodes.length - 1].output[0], type: { tensorType: { elemType: 1 } } }],
    valueInfo: [],
  },
  opsetImport: [{ domain: '', version: opset }],
  metadataProps: [],
});

const X = Float32Array.of(1, -2, 3, -4, 5, -6);
const FEEDS = new Map<string, TensorValue>([['x', float32Value([2, 3], X)]]);

const sumAll = (input: string): NodeProto => node('ReduceSum', [input], 'loss', [intAttribute('keepdims', 0)]);

async function bound(nodes: NodeProto[], initializer: TensorProto[] = []): Promise<BoundGraph> {
  return bindShapes(modelOf(nodes, initializer), FEEDS);
}

async function evaluate(graph: GradientGraph): Promise<Map<string, Float32Array>> {
  const { model } = withOutputs(graph, [...new Set(graph.gradients.values())]);
  const values = await runModel(model, tempFolder(), FEEDS);
  return new Map([...graph.gradients].map(([name, gradient]) => [name, floats(values, gradient)]));
}

describe('gradients', () => {
  it('adds up what comes by several paths, from a weight, an input and an inner value alike', async () => {
    const graph = await bound(
      [node('Mul', ['x', 'w'], 'a'), node('Mul', ['a', 'a'], 'b'), node('Add', ['b', 'a'], 'c'), sumAll('c')],
      [weight('w', [3], [1, 2, 3])],
    );
    const found = await evaluate(gradients(graph, { loss: 'loss', wrt: ['w', 'x', 'a'] }));
    const a = [1, -4, 9, -4, 10, -18];
    const da = a.map((value) => 2 * value + 1);
    expect(found.get('a')).toBeAllClose(da);
    expect(found.get('x')).toBeAllClose(da.map((value, i) => value * [1, 2, 3][i % 3]));
    expect(found.get('w')).toBeAllClose([0, 1, 2].map((i) => da[i] * X[i] + da[i + 3] * X[i + 3]) as number[]);
  });

  it('differentiates nothing that lies before what it is asked for', async () => {
    const graph = await bound(
      [node('Mod', ['x', 'v'], 'frozen', [intAttribute('fmod', 1)]), node('Mul', ['frozen', 'w'], 'a'), sumAll('a')],
      [weight('w', [3], [1, 2, 3]), weight('v', [], [4])],
    );
    const before = graph.model.graph.node.length;
    const result = gradients(graph, { loss: 'loss', wrt: ['w'] });
    // Spread the loss, times what w met, summed over the batch.
    expect(result.model.graph.node.slice(before).map(({ opType }) => opType)).toEqual([
      'Reshape',
      'Expand',
      'Mul',
      'Gemm', // the sum over the batch
      'Reshape',
    ]);
    expect((await evaluate(result)).get('w')).toBeAllClose([1 - 0, -2 + 1, 3 - 2]);
  });

  it('has no entry for a value that the loss does not depend on, or only through integers', async () => {
    const graph = await bound(
      [
        node('Cast', ['x'], 'whole', [intAttribute('to', 7)]),
        node('Cast', ['whole'], 'again', [intAttribute('to', 1)]),
        node('Mul', ['again', 'w'], 'a'),
        sumAll('a'),
      ],
      [weight('w', [3], [1, 2, 3]), weight('unused', [2], [1, 2])],
    );
    const { gradients: found } = gradients(graph, { loss: 'loss', wrt: ['x', 'w', 'unused'] });
    expect([...found.keys()]).toEqual(['w']);
  });

  it('leaves outputs and the rest of the model as they are', async () => {
    const graph = await bound([node('Relu', ['x'], 'a'), sumAll('a')]);
    const { model } = gradients(graph, { loss: 'loss', wrt: ['x'] });
    expect(model.graph.output).toEqual(graph.model.graph.output);
    expect(model.graph.node.slice(0, 2)).toEqual(graph.model.graph.node);
  });

  it('is itself a graph that can be differentiated', async () => {
    // loss = sum x^3, gradient 3 x^2; of its sum again, 6 x.
    const graph = await bound([node('Mul', ['x', 'x'], 'a'), node('Mul', ['a', 'x'], 'b'), sumAll('b')]);
    const first = gradients(graph, { loss: 'loss', wrt: ['x'] });
    const emitter = new Emitter(first, 'second/');
    const gradient = emitter.operand(first.gradients.get('x')!);
    const loss = emitter.reduce('ReduceSum', gradient, [0, 1], false).name;
    const found = await evaluate(gradients(emitter.finish(), { loss, wrt: ['x'] }));
    expect(found.get('x')).toBeAllClose(X.map((value) => 6 * value));
  });

  it('names operator and node where there is no rule', async () => {
    const graph = await bound(
      [node('Det', ['square'], 'd'), sumAll('d')].toSpliced(0, 0, node('MatMul', ['x', 'w'], 'square')),
      [weight('w', [3, 2], [1, 2, 3, 4, 5, 6])],
    );
    expect(() => gradients(graph, { loss: 'loss', wrt: ['w'] })).toThrow(
      expect.objectContaining({
        code: 'GRADIENT_UNSUPPORTED',
        message: 'no gradient through Det d: the operator has no gradient rule',
        details: expect.objectContaining({ opType: 'Det', node: 'd' }),
      }),
    );
  });

  it('names operator and node where a form has no gradient', async () => {
    const graph = await bound([node('Clip', ['x', 'low'], 'a'), sumAll('a')], [weight('low', [], [0])]);
    expect(() => gradients(graph, { loss: 'loss', wrt: ['low'] })).toThrow(
      expect.objectContaining({
        code: 'GRADIENT_UNSUPPORTED',
        message: 'no gradient through Clip a: its bounds must not be differentiated',
      }),
    );
  });

  it.each([
    ['a loss that is not there', { loss: 'nothing', wrt: ['x'] }, /value nothing: the graph has no such value/],
    [
      'a loss of several elements',
      { loss: 'a', wrt: ['x'] },
      /value a: a loss has one element, not the shape \[2, 3\]/,
    ],
    ['a value that is not there', { loss: 'loss', wrt: ['y'] }, /value y: the graph has no such value/],
    ['a value of integers', { loss: 'loss', wrt: ['whole'] }, /value whole: a gradient needs a float, not I64/],
  ] satisfies [string, GradientRequest, RegExp][])('refuses %s', async (_, request, message) => {
    const graph = await bound([
      node('Cast', ['x'], 'whole', [intAttribute('to', 7)]),
      node('Relu', ['x'], 'a'),
      sumAll('a'),
    ]);
    expect(() => gradients(graph, request)).toThrow(
      expect.objectContaining({ code: 'GRADIENT_UNSUPPORTED', message: expect.stringMatching(message) }),
    );
  });
});
