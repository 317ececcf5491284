import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { GraphBuilder } from '../../../src/core/onnx/builder.js';
import type { OnnxModel } from '../../../src/core/onnx/model.js';
import { removeDeadCode } from '../../../src/core/onnx/passes/dead-code.js';
import { foldAffineChains } from '../../../src/core/onnx/passes/fold-affine.js';
import { foldBatchNorm } from '../../../src/core/onnx/passes/fold-batch-norm.js';
import { foldConstants } from '../../../src/core/onnx/passes/fold-constants.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import { floats, floatTensor, runModel } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';

const random = new Random('passes');
const draw = (count: number, at = 0): Float32Array => Float32Array.from({ length: count }, () => at + random.normal());

const operators = (model: OnnxModel): string[] => model.graph.node.map(({ opType }) => opType);

/** Largest difference between two models on one input. */
async function difference(a: OnnxModel, b: OnnxModel, shape: readonly number[]): Promise<number> {
  const feeds = new Map([['x', float32Value(shape, draw(shape.reduce((p, n) => p * n, 1)))]]);
  const [left, right] = [
    await runModel(a, tempFolder(), feeds, 'disabled'),
    await runModel(b, tempFolder(), feeds, 'disabled'),
  ];
  const [p, q] = [floats(left, 'y'), floats(right, 'y')];
  return p.reduce((worst, value, i) => Math.max(worst, Math.abs(value - q[i])), 0);
}

describe('foldBatchNorm', () => {
  const channels = 5;
  const tensors = new Map(
    [
      floatTensor('conv.weight', [channels, 3, 3, 3], draw(channels * 27)),
      floatTensor('conv.bias', [channels], draw(channels)),
      floatTensor('bn.weight', [channels], draw(channels, 1)),
      floatTensor('bn.bias', [channels], draw(channels)),
      floatTensor('bn.running_mean', [channels], draw(channels)),
      floatTensor(
        'bn.running_var',
        [channels],
        draw(channels).map((value) => value * value + 0.1),
      ),
    ].map((tensor) => [tensor.name, tensor]),
  );
  const conv = { strides: [1, 1], pads: [1, 1] };

  it('folds a norm into its convolution without changing what comes out', async () => {
    const graph = new GraphBuilder(14, tensors);
    const x = graph.input('x', 'F32', ['batch', 3, 8, 8]);
    graph.output('y', graph.relu(graph.batchNorm(graph.convolution(x, 'conv', conv), 'bn')));
    const model = graph.build('test');
    const folded = removeDeadCode(await foldBatchNorm(model));
    expect(operators(folded)).toEqual(['Conv', 'Relu']);
    expect(folded.graph.initializer.map(({ name }) => name)).toEqual(['conv.weight', 'conv.weight.folded_bias']);
    expect(await difference(model, folded, [2, 3, 8, 8])).toBeLessThan(2e-5);
  });

  it('leaves a convolution alone whose result something else reads', async () => {
    const graph = new GraphBuilder(14, tensors);
    const mapped = graph.convolution(graph.input('x', 'F32', ['batch', 3, 8, 8]), 'conv', conv);
    graph.output('y', graph.add(graph.batchNorm(mapped, 'bn'), mapped));
    expect(operators(await foldBatchNorm(graph.build('test')))).toEqual(['Conv', 'BatchNormalization', 'Add']);
  });

  it('leaves a weight alone that two convolutions share', async () => {
    const graph = new GraphBuilder(14, tensors);
    const x = graph.input('x', 'F32', ['batch', 3, 8, 8]);
    graph.output('y', graph.batchNorm(graph.convolution(x, 'conv', conv), 'bn'));
    graph.output('z', graph.convolution(graph.relu(x), 'conv', conv));
    expect(operators(await foldBatchNorm(graph.build('test')))).toContain('BatchNormalization');
  });
});

describe('foldAffineChains', () => {
  const widths = [24, 40, 16, 1];
  const tensors = new Map(
    widths
      .slice(1)
      .flatMap((outputs, i) => [
        [`${i}.weight`, floatTensor(`${i}.weight`, [outputs, widths[i]], draw(outputs * widths[i]))] as const,
        [`${i}.bias`, floatTensor(`${i}.bias`, [outputs], draw(outputs))] as const,
      ]),
  );
  const chain = (activation: boolean): OnnxModel => {
    const graph = new GraphBuilder(14, tensors);
    let x = graph.input('x', 'F32', ['batch', widths[0]]);
    for (let i = 0; i < 3; i++) {
      x = graph.linear(x, String(i));
      if (activation && i === 0) x = graph.relu(x);
    }
    graph.output('y', x);
    return graph.build('test');
  };

  it('folds affine maps into one, within rounding', async () => {
    const folded = await foldAffineChains(chain(false));
    expect(operators(folded)).toEqual(['Gemm']);
    expect(folded.graph.initializer.map(({ dims }) => dims)).toEqual([[1, 24], [1]]);
    expect(await difference(chain(false), folded, [7, 24])).toBeLessThan(5e-4); // values of some 100
  });

  it('stops at an activation', async () => {
    const folded = await foldAffineChains(chain(true));
    expect(operators(folded)).toEqual(['Gemm', 'Relu', 'Gemm']);
    expect(await difference(chain(true), folded, [7, 24])).toBeLessThan(5e-4);
  });

  it('does not fold where the file would grow', async () => {
    const bottleneck = new Map(
      ['0', '1'].flatMap((name, i) => {
        const shape = i === 0 ? [2, 32] : [32, 2];
        return [[`${name}.weight`, floatTensor(`${name}.weight`, shape, draw(64))] as const];
      }),
    );
    const graph = new GraphBuilder(14, bottleneck);
    graph.output('y', graph.linear(graph.linear(graph.input('x', 'F32', ['batch', 32]), '0'), '1'));
    expect(operators(await foldAffineChains(graph.build('test')))).toEqual(['Gemm', 'Gemm']);
  });
});

describe('foldConstants', () => {
  const tensors = new Map([
    ['gate', floatTensor('gate', [1], [0.3])],
    ['table', floatTensor('table', [3, 2], [1, 2, 3, 4, 5, 6])],
  ]);
  const build = (): OnnxModel => {
    const graph = new GraphBuilder(14, tensors);
    const x = graph.input('x', 'F32', ['batch', 2]);
    const gated = graph.mul(graph.tanh(graph.parameter('gate', 'F32')), x);
    const offset = graph.mul(graph.scalar(3, 'F32'), graph.scalar(0.25, 'F32'));
    graph.output('y', graph.add(graph.add(gated, graph.row(graph.parameter('table', 'F32'), -1)), offset));
    return graph.build('test');
  };

  it('computes what depends on constants, and nothing across parameters', async () => {
    const folded = await foldConstants(build(), new Set(['gate', 'table']));
    expect(operators(folded)).toEqual(['Tanh', 'Mul', 'Gather', 'Add', 'Add']);
    expect(await difference(build(), folded, [4, 2])).toBe(0);
  });

  it('computes with parameters too where that was asked for', async () => {
    const folded = await foldConstants(build(), new Set());
    expect(operators(folded)).toEqual(['Mul', 'Add', 'Add']);
    expect(folded.graph.initializer.some(({ name }) => name === 'table')).toBe(false);
    expect(await difference(build(), folded, [4, 2])).toBeLessThan(1e-6);
  });

  it('takes Identity nodes out, but not one that names an output', async () => {
    const graph = new GraphBuilder(14, new Map());
    const x = graph.input('x', 'F32', ['batch', 2]);
    const [copy] = graph.node('Identity', [x], [x]);
    graph.output('y', graph.relu(copy));
    graph.output('same', x);
    expect(operators(await foldConstants(graph.build('test'), new Set()))).toEqual(['Relu', 'Identity']);
  });
});

describe('removeDeadCode', () => {
  it('keeps what outputs need and the inputs as they are', () => {
    const graph = new GraphBuilder(14, new Map([['unused', floatTensor('unused', [1], [1])]]));
    const x = graph.input('x', 'F32', ['batch', 2]);
    graph.input('spare', 'F32', ['batch', 1]);
    graph.tanh(graph.add(x, graph.parameter('unused', 'F32')));
    graph.output('y', graph.relu(x));
    const { graph: cleaned } = removeDeadCode(graph.build('test'));
    expect(cleaned.node.map(({ opType }) => opType)).toEqual(['Relu']);
    expect(cleaned.initializer).toEqual([]);
    expect(cleaned.input.map(({ name }) => name)).toEqual(['x', 'spare']);
  });
});
