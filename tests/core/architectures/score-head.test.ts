import { describe, expect, it } from 'vitest';
import type { ExportRequest } from '../../../src/core/architectures/architecture.js';
import { recogniseArchitecture } from '../../../src/core/architectures/registry.js';
import { linearChain } from '../../../src/core/architectures/score-head/chain.js';
import { scoreHeadExporter } from '../../../src/core/architectures/score-head/exporter.js';
import type { Checkpoint } from '../../../src/core/checkpoint/checkpoint.js';
import { GraphBuilder } from '../../../src/core/onnx/builder.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import type { Tensor } from '../../../src/core/tensor/tensor.js';
import { floats, floatTensor, runModel } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';

/** y = relu(x W1^T + b1) W2^T + b2 for one row, by hand. */
const W1 = [1, 0, -1, 0.5, 2, -1]; // [3, 2]
const B1 = [0.1, -0.2, 0.3];
const W2 = [1, -2, 0.5]; // [1, 3]

const tensors = (first: string, second: string): Map<string, Tensor> =>
  new Map(
    [
      floatTensor(`${first}.weight`, [3, 2], W1),
      floatTensor(`${first}.bias`, [3], B1),
      floatTensor(`${second}.weight`, [1, 3], W2),
      floatTensor(`${second}.bias`, [1], [0.7]),
    ].map((tensor) => [tensor.name, tensor]),
  );

function score([a, b]: readonly number[], relu: boolean): number {
  const hidden = B1.map((bias, i) => bias + W1[2 * i] * a + W1[2 * i + 1] * b);
  return hidden.reduce((sum, h, i) => sum + W2[i] * (relu ? Math.max(0, h) : h), 0.7);
}

const asked = (overrides: Partial<ExportRequest>): ExportRequest => ({
  modality: undefined,
  mode: 'item',
  config: null,
  configOrigin: null,
  dtype: 'F32',
  options: {},
  ...overrides,
});

function build(all: Map<string, Tensor>, request: ExportRequest) {
  const graph = new GraphBuilder(14, all);
  const contract = scoreHeadExporter.buildGraph({ tensors: all } as unknown as Checkpoint, graph, request);
  return { model: graph.build('test'), contract };
}

const ROWS = [
  [0.5, -1],
  [-2, 0.25],
  [1, 1],
];
const rows = float32Value([3, 2], Float32Array.from(ROWS.flat()));

describe('score heads', () => {
  it('are recognised by weights that follow each other, in the natural order of their names', () => {
    const ten = linearChain(new Map([...tensors('layers.2', 'layers.10')].reverse()));
    expect(ten?.map(({ key, inputs, outputs }) => [key, inputs, outputs])).toEqual([
      ['layers.2', 2, 3],
      ['layers.10', 3, 1],
    ]);
    expect(recogniseArchitecture({ tensors: tensors('0', '2'), config: null })?.id).toBe('score-head');
    expect(
      recogniseArchitecture({
        tensors: new Map([['weight', floatTensor('weight', [1, 4], [1, 2, 3, 4])]]),
        config: null,
      })?.id,
    ).toBe('score-head');
  });

  it('are not recognised where a tensor does not belong to the chain', () => {
    const broken = tensors('0', '2');
    broken.set('2.weight', floatTensor('2.weight', [1, 4], [1, 2, 3, 4]));
    expect(linearChain(broken)).toBeNull();
    expect(
      linearChain(new Map([...tensors('0', '2'), ['running_mean', floatTensor('running_mean', [1], [0])]])),
    ).toBeNull();
    expect(
      linearChain(new Map([['lin0.model.1.weight', floatTensor('lin0.model.1.weight', [1, 4, 1, 1], [1, 2, 3, 4])]])),
    ).toBeNull();
  });

  it.each(['none', 'relu'] as const)('compute what the formula says with activation %s', async (activation) => {
    const { model } = build(tensors('0', '2'), asked({ options: { activation } }));
    const result = await runModel(model, tempFolder(), new Map([['embedding', rows]]));
    expect(floats(result, 'utility_logit')).toBeAllClose(
      ROWS.map((row) => score(row, activation === 'relu')),
      { atol: 1e-6 },
    );
  });

  it('have no activation between neighbours of a Sequential: there is no room for one', async () => {
    const { model } = build(tensors('layers.6', 'layers.7'), asked({ options: { activation: 'relu' } }));
    expect(model.graph.node.some(({ opType }) => opType === 'Relu')).toBe(false);
  });

  it('ask for the activation where it matters, and only there', () => {
    expect(() => build(tensors('0', '2'), asked({}))).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    const single = new Map([['weight', floatTensor('weight', [1, 2], [3, 4])]]);
    expect(build(single, asked({})).contract.outputs.map(({ name }) => name)).toEqual(['utility_logit']);
  });

  it.each(['pair', 'head'] as const)('decide pairs by the difference of scores in mode %s', async (mode) => {
    const { model, contract } = build(tensors('0', '2'), asked({ mode, options: { activation: 'relu' } }));
    expect(contract.decision).toBe('utility-difference');
    const [left, right] = contract.inputs.map(({ name }) => name);
    const swapped = float32Value([3, 2], Float32Array.from([...ROWS].reverse().flat()));
    const result = await runModel(
      model,
      tempFolder(),
      new Map([
        [left, rows],
        [right, swapped],
      ]),
    );
    const expected = ROWS.map((row, i) => score(row, true) - score(ROWS[2 - i], true));
    expect(floats(result, 'pair_logit')).toBeAllClose(expected, { atol: 1e-6 });
  });

  it('refuse a modality, and pairs where the head has several outputs', () => {
    expect(() => build(tensors('0', '2'), asked({ options: { activation: 'none' }, modality: 'image' }))).toThrowError(
      expect.objectContaining({ code: 'USAGE' }),
    );
    const wide = new Map([['weight', floatTensor('weight', [2, 2], [1, 2, 3, 4])]]);
    expect(() => build(wide, asked({ mode: 'pair' }))).toThrowError(expect.objectContaining({ code: 'USAGE' }));
    expect(build(wide, asked({})).contract.outputs[0]).toMatchObject({ name: 'scores', shape: ['batch', 2] });
  });
});
