import { describe, expect, it } from 'vitest';
import { bindShapes } from '../../../src/core/autodiff/bind.js';
import { inferTypes } from '../../../src/core/autodiff/infer.js';
import { raiseOpset } from '../../../src/core/autodiff/raise-opset.js';
import { tensorTypeProto, valueTensor } from '../../../src/core/autodiff/types.js';
import { intAttribute, intsAttribute, type NodeProto, type OnnxModel, opsetOf } from '../../../src/core/onnx/model.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import { floats, runModel } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';

const node = (
  opType: string,
  input: string[],
  output: string[],
  attribute: NodeProto['attribute'] = [],
): NodeProto => ({
  name: output[0],
  opType,
  input,
  output,
  attribute,
});

const modelOf = (nodes: NodeProto[], outputs: string[], opset: number): OnnxModel => ({
  irVersion: 7,
  graph: {
    node: nodes,
    name: 'test',
    initializer: [],
    input: [
      {
        name: 'x',
        type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'batch' }, { dimParam: 'width' }] } } },
      },
    ],
    output: outputs.map((name) => ({ name, type: { tensorType: { elemType: 1 } } })),
    valueInfo: [],
  },
  opsetImport: [{ domain: '', version: opset }],
  metadataProps: [],
});

const FEEDS = new Map([
  [
    'x',
    float32Value(
      [2, 6],
      Float32Array.from({ length: 12 }, (_, i) => i - 4),
    ),
  ],
]);

describe('bindShapes', () => {
  const shaped = modelOf(
    [
      node('Shape', ['x'], ['shape']),
      node('Transpose', ['x'], ['turned']),
      node('Reshape', ['turned', 'shape'], ['y']),
      node('ArgMax', ['y'], ['best'], [intAttribute('axis', 1)]),
      node('Cast', ['best'], ['z'], [intAttribute('to', 1)]),
    ],
    ['y', 'z'],
    14,
  );

  it('knows the type of every value', async () => {
    const { types } = await bindShapes(shaped, FEEDS);
    expect(types.get('x')).toEqual({ dtype: 'F32', shape: [2, 6] });
    expect(types.get('turned')).toEqual({ dtype: 'F32', shape: [6, 2] });
    expect(types.get('best')).toEqual({ dtype: 'I64', shape: [2, 1] });
  });

  it('makes a constant of what depends on shapes, and of nothing that depends on data', async () => {
    const { model, constants } = await bindShapes(shaped, FEEDS);
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(['Transpose', 'Reshape', 'ArgMax', 'Cast']);
    expect(constants.get('shape')?.data).toEqual(BigInt64Array.of(2n, 6n));
    expect(constants.has('best')).toBe(false);
  });

  it('computes the same, and states the sizes', async () => {
    const folder = tempFolder();
    const { model } = await bindShapes(shaped, FEEDS);
    const [theirs, ours] = [await runModel(shaped, folder, FEEDS), await runModel(model, folder, FEEDS)];
    for (const name of ['y', 'z']) expect(floats(ours, name)).toEqual(floats(theirs, name));
    expect(model.graph.input[0].type?.tensorType?.shape?.dim).toEqual([{ dimValue: 2 }, { dimValue: 6 }]);
  });

  it('refuses feeds that the model rejects', async () => {
    const wrong = new Map([['x', float32Value([12], new Float32Array(12))]]);
    await expect(bindShapes(shaped, wrong)).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
    const stated = { ...shaped.graph.input[0], type: tensorTypeProto({ dtype: 'F32', shape: [1, 6] }) };
    const fixed = { ...shaped, graph: { ...shaped.graph, input: [stated] } };
    await expect(bindShapes(fixed, FEEDS)).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
  });

  it('runs a model whose sizes depend on data, and knows them then', async () => {
    const places = modelOf(
      [node('NonZero', ['x'], ['at']), node('Cast', ['at'], ['y'], [intAttribute('to', 1)])],
      ['y'],
      14,
    );
    const { types, model } = await bindShapes(places, FEEDS);
    expect(types.get('at')).toEqual({ dtype: 'I64', shape: [2, 11] });
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(['NonZero', 'Cast']);
  });
});

describe('inferTypes', () => {
  const known = {
    types: new Map([['x', { dtype: 'F32' as const, shape: [2, 6] }]]),
    constants: new Map(),
    fromShapes: new Set(['shape', 'again', 'zeros', 'sum']),
  };

  it('finds sizes that depend on sizes which it has to compute first', async () => {
    const model = modelOf(
      [
        node('Shape', ['x'], ['shape']),
        node('Add', ['shape', 'shape'], ['sum']),
        node('Expand', ['x', 'shape'], ['wide']),
        node('Shape', ['wide'], ['again']),
        node('ConstantOfShape', ['sum'], ['zeros']),
        node('Concat', ['zeros', 'zeros'], ['y'], [intAttribute('axis', 0)]),
        node('Size', ['y'], ['z']),
      ],
      ['y', 'z'],
      20,
    );
    const found = await inferTypes(model, { ...known, fromShapes: new Set([...known.fromShapes, 'y', 'z']) });
    expect(found?.types.get('wide')).toEqual({ dtype: 'F32', shape: [2, 6] });
    expect(found?.types.get('y')).toMatchObject({ dtype: 'F32', shape: [8, 12] });
    expect(found?.constants.get('z')?.data).toEqual(BigInt64Array.of(96n));
  });

  it('knows a scalar from a value of unknown rank, and gives up on the latter', async () => {
    const of = (target: string) =>
      modelOf(
        [
          node('ReduceSum', ['x'], ['total'], [intAttribute('keepdims', 0)]),
          node('Cast', ['x'], ['whole'], [intAttribute('to', 7)]),
          node('Squeeze', ['whole'], ['flat']),
          node('Reshape', ['total', target], ['y']),
        ],
        ['y'],
        20,
      );
    const ints = { dtype: 'I64' as const, shape: [1], data: BigInt64Array.of(1n) };
    const model = of('one');
    model.graph.initializer.push(valueTensor('one', ints));
    const found = await inferTypes(model, { ...known, constants: new Map([['one', ints]]) });
    expect(found?.types.get('total')).toEqual({ dtype: 'F32', shape: [] });
    expect(await inferTypes(of('flat'), known)).toBeUndefined();
  });
});

describe('raiseOpset', () => {
  it('writes reductions and splits in their new forms, with the same results', async () => {
    const old = modelOf(
      [
        node('ReduceMean', ['x'], ['mean'], [intsAttribute('axes', [1]), intAttribute('keepdims', 1)]),
        node('ReduceMax', ['x'], ['max'], [intsAttribute('axes', [0])]),
        node('Split', ['x'], ['left', 'right'], [intAttribute('axis', 1)]),
        node('ReduceL2', ['x'], ['norm']),
      ],
      ['mean', 'max', 'left', 'right', 'norm'],
      14,
    );
    const raised = raiseOpset(old, 20);
    expect(opsetOf(raised)).toBe(20);
    const folder = tempFolder();
    const [theirs, ours] = [await runModel(old, folder, FEEDS), await runModel(raised, folder, FEEDS)];
    for (const name of ['mean', 'max', 'left', 'right', 'norm'])
      expect(floats(ours, name)).toEqual(floats(theirs, name));
  });

  it('leaves a model that is new enough', () => {
    const model = modelOf([node('Relu', ['x'], ['y'])], ['y'], 21);
    expect(raiseOpset(model, 20)).toBe(model);
  });

  it('names the operator that the newer opset does not have', () => {
    const model = modelOf([node('Upsample', ['x', 'scales'], ['y'])], ['y'], 9);
    expect(() => raiseOpset(model, 20)).toThrow(
      expect.objectContaining({ code: 'OPSET_UNSUPPORTED', message: expect.stringContaining('Upsample y') }),
    );
  });
});
