import { memory } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import {
  type AttributeProto,
  DATA_TYPE,
  floatAttribute,
  floatsAttribute,
  intAttribute,
  intsAttribute,
  type NodeProto,
  type OnnxModel,
  stringAttribute,
  type TensorProto,
  tensorAttribute,
} from '../../../../../src/core/onnx/model.js';
import { floatsOf } from '../../../../../src/core/runtime/value.js';
import { numel } from '../../../../../src/core/tensor/shape.js';
import { bytesOf } from '../../../../../src/core/tensor/values.js';
import { OPERATORS } from '../../../../../src/core/training/engines/tfjs/registry.js';
import { tfjsEngine } from '../../../../../src/core/training/engines/tfjs.js';
import { runModel } from '../../../../helpers/graphs.js';
import { tempFolder } from '../../../../helpers/temp.js';
import { sequence } from '../../../autodiff/cases.js';

const CPU = { device: { kind: 'cpu' } } as const;

type Input = Omit<TensorProto, 'name'> | null;

interface Form {
  readonly opType: string;
  readonly inputs: readonly Input[];
  readonly attributes: readonly AttributeProto[];
  readonly outputs: number;
}

const form = (
  opType: string,
  inputs: readonly Input[],
  attributes: readonly AttributeProto[] = [],
  outputs = 1,
): Form => ({
  opType,
  inputs,
  attributes,
  outputs,
});

let drawn = 0;
/** Floats that differ from one tensor to the next. */
const floats = (dims: number[], low = -1, high = 1): Input => ({
  dims,
  dataType: DATA_TYPE.FLOAT,
  rawData: bytesOf(sequence(numel(dims), ++drawn, low, high)),
});
const exactly = (values: number[], dims = [values.length]): Input => ({
  dims,
  dataType: DATA_TYPE.FLOAT,
  rawData: bytesOf(Float32Array.from(values)),
});
const ints = (values: (number | bigint)[], dims = [values.length]): Input => ({
  dims,
  dataType: DATA_TYPE.INT64,
  rawData: bytesOf(BigInt64Array.from(values, BigInt)),
});
const bools = (values: number[], dims = [values.length]): Input => ({
  dims,
  dataType: DATA_TYPE.BOOL,
  rawData: Uint8Array.from(values),
});
const i = intAttribute;
const is = intsAttribute;
const f = floatAttribute;
const s = stringAttribute;
const to = (type: keyof typeof DATA_TYPE): AttributeProto => i('to', DATA_TYPE[type]);
const END = 2n ** 63n - 1n;

const unary = (opType: string, low = -2, high = 2): Form => form(opType, [floats([2, 5], low, high)]);
const compare = (opType: string): Form => form(opType, [exactly([1, 2, 3, 4]), exactly([2, 2, 2, 2])]);
const logic = (opType: string): Form => form(opType, [bools([0, 0, 1, 1]), bools([0, 1, 0, 1])]);
const reduce = (opType: string, low = -1): Form[] => [
  form(opType, [floats([2, 3, 4], low), ints([1])], [i('keepdims', 0)]),
  form(opType, [floats([2, 3, 4], low), ints([0, -1])]),
  form(opType, [floats([2, 3, 4], low)], [i('keepdims', 0)]),
];

const ELEMENTWISE: readonly Form[] = [
  ...[
    'Abs',
    'Cos',
    'Erf',
    'Exp',
    'Neg',
    'Relu',
    'Sigmoid',
    'Sin',
    'Softplus',
    'Softsign',
    'Tanh',
    'Elu',
    'LeakyRelu',
  ].map((op) => unary(op)),
  ...['Gelu', 'HardSigmoid', 'HardSwish', 'Identity', 'Dropout', 'Ceil', 'Floor', 'Sign'].map((op) => unary(op, -4, 4)),
  ...['Log', 'Sqrt', 'Reciprocal'].map((op) => unary(op, 0.5, 3)),
  form('Gelu', [floats([7], -3, 3)], [s('approximate', 'tanh')]),
  form('Elu', [floats([7])], [f('alpha', 0.3)]),
  form('LeakyRelu', [floats([7])], [f('alpha', 0.3)]),
  form('HardSigmoid', [floats([7], -3, 3)], [f('alpha', 0.5), f('beta', 0.1)]),
  form('PRelu', [floats([2, 3, 4]), floats([3, 1])]),
  form('Round', [exactly([-1.5, -0.5, 0.5, 1.5, 2.4])]),
  form('IsNaN', [exactly([1, Number.NaN])]),
  ...['Add', 'Sub', 'Mul', 'Div'].map((op) => form(op, [floats([2, 3, 4]), floats([3, 1], 0.5, 2)])),
  form('Add', [ints([1, 2]), ints([5])]),
  form('Div', [ints([7, -7, 7, -7, 6]), ints([2, 2, -2, -2, 3])]),
  form('Pow', [floats([2, 3], 0.5, 2), floats([3], -1, 2)]),
  form('Pow', [floats([2, 3], -2, 2), ints([2], [])]),
  ...['Max', 'Min', 'Sum', 'Mean'].map((op) => form(op, [floats([2, 3]), floats([3]), floats([2, 1])])),
  form('Clip', [floats([9], -3, 3), exactly([-1], []), exactly([0.5], [])]),
  form('Clip', [floats([9], -3, 3), null, exactly([0.5], [])]),
  form('Clip', [floats([9], -3, 3), exactly([0.25], [])]),
  form('Where', [bools([1, 0, 1]), floats([2, 3]), floats([1])]),
  form('Cast', [floats([7], -3, 3)], [to('INT32')]),
  form('Cast', [exactly([0, 0.5, -2])], [to('BOOL')]),
  form('Cast', [ints([3, -4])], [to('FLOAT')]),
  form('Cast', [bools([0, 1])], [to('FLOAT')]),
  form('CastLike', [exactly([2.5, -1.5]), ints([0])]),
  form('CastLike', [ints([3]), exactly([0])]),
  ...['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'].map(compare),
  ...['And', 'Or', 'Xor'].map(logic),
  form('Not', [bools([0, 1])]),
];

const REDUCTIONS: readonly Form[] = [
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2'].flatMap((op) =>
    reduce(op),
  ),
  ...['ReduceSumSquare', 'ReduceLogSumExp'].flatMap((op) => reduce(op)),
  ...reduce('ReduceLogSum', 0.5),
  form('ReduceSum', [floats([2, 3]), ints([])], [i('noop_with_empty_axes', 1)]),
  form('GlobalAveragePool', [floats([2, 3, 4, 5])]),
  form('GlobalMaxPool', [floats([2, 3, 4])]),
  ...['Softmax', 'LogSoftmax'].flatMap((op) => [
    form(op, [floats([2, 3, 4])]),
    form(op, [floats([2, 3, 4])], [i('axis', 0)]),
  ]),
  form('ArgMax', [floats([3, 4])], [i('axis', 1)]),
  form('ArgMin', [floats([3, 4])], [i('axis', -2), i('keepdims', 0)]),
  form('CumSum', [floats([3, 4]), ints([1], [])]),
  form('CumSum', [floats([3, 4]), ints([-2], [])], [i('exclusive', 1), i('reverse', 1)]),
  form('BatchNormalization', [floats([2, 3, 4, 2]), floats([3]), floats([3]), floats([3]), floats([3], 0.2, 1)]),
  form(
    'BatchNormalization',
    [floats([4, 3]), floats([3]), floats([3]), floats([3]), floats([3], 0.2, 1)],
    [f('epsilon', 0.1)],
  ),
  form('InstanceNormalization', [floats([2, 3, 4, 2]), floats([3]), floats([3])], [f('epsilon', 0.01)]),
  form('LayerNormalization', [floats([2, 3, 8]), floats([8]), floats([8])], [f('epsilon', 0.01)], 3),
  form('LayerNormalization', [floats([2, 3, 4]), floats([3, 4])], [i('axis', 1)]),
];

const PRODUCTS: readonly Form[] = [
  ...(
    [
      [
        [3, 4],
        [4, 2],
      ],
      [
        [2, 3, 4],
        [4, 5],
      ],
      [
        [2, 1, 3, 4],
        [5, 4, 2],
      ],
      [
        [3, 4],
        [2, 4, 2],
      ],
      [[4], [4, 3]],
      [[3, 4], [4]],
      [[4], [4]],
      [[4], [2, 4, 3]],
      [[2, 3, 4], [4]],
    ] as const
  ).map(([a, b]) => form('MatMul', [floats([...a]), floats([...b])])),
  form(
    'Gemm',
    [floats([4, 3]), floats([2, 4]), floats([2])],
    [i('transA', 1), i('transB', 1), f('alpha', 0.5), f('beta', 2)],
  ),
  form('Gemm', [floats([3, 4]), floats([4, 2])]),
];

const ARRANGEMENTS: readonly Form[] = [
  form('Reshape', [floats([2, 3, 4]), ints([0, -1])]),
  form('Flatten', [floats([2, 3, 4])], [i('axis', 2)]),
  form('Flatten', [floats([2, 3, 4])], [i('axis', -3)]),
  form('Transpose', [floats([2, 3, 4])]),
  form('Transpose', [floats([2, 3, 2, 2, 2])], [is('perm', [0, 2, 4, 1, 3])]),
  form('Squeeze', [floats([1, 3, 1]), ints([-1])]),
  form('Squeeze', [floats([1, 3, 1])]),
  form('Unsqueeze', [floats([3, 4]), ints([-1, 0])]),
  form('Expand', [floats([3, 1]), ints([2, 1, 4])]),
  form('Expand', [ints([1, 2, 3], [3, 1]), ints([3, 2])]),
  form('Tile', [floats([2, 3]), ints([2, 3])]),
  form('Concat', [floats([2, 3]), floats([2, 1])], [i('axis', -1)]),
  form('Concat', [ints([1, 2]), ints([3])], [i('axis', 0)]),
  form('Split', [floats([2, 6]), ints([1, 2, 3])], [i('axis', 1)], 3),
  form('Split', [floats([7, 2])], [i('num_outputs', 3)], 3),
  form('Slice', [floats([5, 6]), ints([1, -3]), ints([END, -1]), ints([0, 1])]),
  form('Slice', [floats([7, 6]), ints([-1, 5]), ints([-END, 0]), ints([0, -1]), ints([-2, -1])]),
  form('Slice', [floats([7]), ints([5]), ints([2])]),
  form('Slice', [floats([7]), ints([1]), ints([100]), ints([0]), ints([3])]),
  form('Pad', [floats([2, 3]), ints([1, 0, 0, 2]), exactly([0.5], [])]),
  form('Pad', [floats([4, 4]), ints([-1, 1, 0, -2])]),
  form('Pad', [floats([2, 3]), ints([2, 1]), null, ints([-1])]),
  ...['edge', 'reflect', 'wrap'].map((mode) => form('Pad', [floats([3, 4]), ints([1, 2, 2, 1])], [s('mode', mode)])),
  form('Shape', [floats([2, 3, 4])]),
  form('Shape', [floats([2, 3, 4])], [i('start', -2), i('end', -1)]),
  form('Size', [floats([2, 3, 4])]),
  form(
    'ConstantOfShape',
    [ints([2, 3])],
    [tensorAttribute('value', { dims: [1], dataType: 7, int64Data: BigInt64Array.of(7n) })],
  ),
  form('ConstantOfShape', [ints([2])]),
  form('Range', [ints([2], []), ints([9], []), ints([3], [])]),
  form('Range', [exactly([1], []), exactly([0], []), exactly([-0.25], [])]),
  form('Gather', [floats([3, 4]), ints([2, -3, 0, 1], [2, 2])]),
  form('Gather', [floats([3, 4]), ints([-1], [])], [i('axis', 1)]),
  form('GatherElements', [floats([3, 4]), ints([0, -1, 2, 1, 1, 0], [2, 3])], [i('axis', 0)]),
  form('GatherElements', [floats([2, 3]), ints([0, 2, 1, 1, 0, -1], [2, 3])], [i('axis', -1)]),
  form('OneHot', [ints([1, -1, 2]), ints([4], []), exactly([-1, 2])]),
  form('OneHot', [ints([1, 0], [2, 1]), ints([3], []), exactly([0, 1])], [i('axis', 1)]),
  form('Constant', [], [f('value_float', 2.5)]),
  form('Constant', [], [floatsAttribute('value_floats', [1, 2])]),
  form('Constant', [], [is('value_ints', [3, 4])]),
  form('Constant', [], [tensorAttribute('value', { dims: [2], dataType: 1, floatData: Float32Array.of(1, -1) })]),
];

const kernel = (...sizes: number[]): AttributeProto => is('kernel_shape', sizes);
const strides = (...sizes: number[]): AttributeProto => is('strides', sizes);
const pads = (...sizes: number[]): AttributeProto => is('pads', sizes);
const dilations = (...sizes: number[]): AttributeProto => is('dilations', sizes);

const WINDOWS: readonly Form[] = [
  form('Conv', [floats([2, 3, 9]), floats([4, 3, 3]), floats([4])], [strides(2), pads(1, 2)]),
  form('Conv', [floats([2, 4, 9]), floats([6, 2, 3])], [i('group', 2), dilations(2)]),
  form('Conv', [floats([1, 3, 7, 6]), floats([2, 3, 3, 2]), floats([2])], [strides(2, 1), pads(1, 0, 2, 1)]),
  form('Conv', [floats([1, 4, 7, 6]), floats([4, 1, 3, 3])], [i('group', 4), dilations(2, 1), pads(2, 1, 2, 1)]),
  form('Conv', [floats([1, 2, 7, 6]), floats([2, 2, 3, 2])], [s('auto_pad', 'SAME_UPPER'), strides(2, 2)]),
  form('Conv', [floats([1, 2, 7, 6]), floats([2, 2, 2, 2])], [s('auto_pad', 'SAME_LOWER')]),
  form(
    'Conv',
    [floats([1, 2, 5, 6, 4]), floats([3, 2, 3, 2, 2]), floats([3])],
    [strides(1, 2, 2), pads(1, 0, 1, 1, 1, 0)],
  ),
  form('Conv', [floats([1, 2, 5, 6, 4]), floats([2, 1, 2, 2, 2])], [i('group', 2), dilations(2, 1, 2)]),
  form(
    'ConvTranspose',
    [floats([2, 3, 5]), floats([3, 2, 3]), floats([2])],
    [strides(2), pads(1, 0), is('output_padding', [1])],
  ),
  form('ConvTranspose', [floats([1, 4, 4, 3]), floats([4, 2, 3, 2])], [i('group', 2), strides(2, 3), pads(1, 0, 1, 1)]),
  form(
    'ConvTranspose',
    [floats([1, 2, 4, 3]), floats([2, 2, 3, 3])],
    [strides(2, 2), dilations(2, 1), pads(1, 1, 1, 1)],
  ),
  form('ConvTranspose', [floats([1, 2, 3, 3]), floats([2, 1, 3, 3])], [strides(3, 2), is('output_shape', [10, 8])]),
  form('ConvTranspose', [floats([1, 2, 3, 3]), floats([2, 1, 3, 3])], [strides(2, 2), s('auto_pad', 'SAME_UPPER')]),
  form('ConvTranspose', [floats([1, 2, 2, 3, 3]), floats([2, 2, 2, 3, 2])], [strides(2, 1, 2), pads(0, 1, 0, 1, 1, 1)]),
  form('MaxPool', [floats([2, 3, 9])], [kernel(3), strides(2), pads(1, 1)]),
  form('MaxPool', [floats([1, 2, 7, 6], -3, -1)], [kernel(3, 2), strides(2, 2), pads(1, 0, 1, 1)]),
  form('MaxPool', [floats([1, 2, 8, 6])], [kernel(3, 3), strides(2, 2), i('ceil_mode', 1)]),
  form('MaxPool', [floats([1, 2, 4, 5, 6])], [kernel(2, 3, 2), strides(2, 1, 2), pads(0, 1, 0, 1, 1, 0)]),
  form('AveragePool', [floats([2, 3, 9])], [kernel(3), strides(2), pads(1, 1)]),
  form('AveragePool', [floats([1, 2, 7, 6])], [kernel(3, 2), strides(2, 2), pads(1, 0, 1, 1)]),
  form(
    'AveragePool',
    [floats([1, 2, 7, 6])],
    [kernel(3, 2), strides(2, 2), pads(1, 0, 1, 1), i('count_include_pad', 1)],
  ),
  form('AveragePool', [floats([1, 2, 8, 6])], [kernel(3, 3), strides(2, 2), i('ceil_mode', 1)]),
  form('AveragePool', [floats([1, 2, 4, 5, 6])], [kernel(2, 3, 2), pads(0, 1, 0, 1, 1, 0)]),
];

const resize = (x: Input, scales: number[] | null, sizes: number[] | null, ...attributes: AttributeProto[]): Form =>
  form('Resize', [x, null, scales ? exactly(scales) : null, ...(sizes ? [ints(sizes)] : [])], attributes);
const coordinates = (mode: string): AttributeProto => s('coordinate_transformation_mode', mode);

const RESIZES: readonly Form[] = [
  resize(
    floats([1, 2, 3, 4]),
    [1, 1, 2, 2],
    null,
    s('mode', 'nearest'),
    coordinates('asymmetric'),
    s('nearest_mode', 'floor'),
  ),
  resize(floats([1, 1, 5, 4]), [1, 1, 0.6, 1.7], null, s('mode', 'nearest')),
  resize(
    floats([1, 1, 5, 4]),
    null,
    [1, 1, 3, 9],
    s('mode', 'nearest'),
    coordinates('asymmetric'),
    s('nearest_mode', 'ceil'),
  ),
  resize(floats([1, 2, 3, 4]), [1, 1, 2, 3], null, s('mode', 'linear')),
  resize(floats([1, 2, 5, 4]), null, [1, 2, 3, 7], s('mode', 'linear'), coordinates('align_corners')),
  resize(floats([1, 2, 5, 4]), null, [1, 2, 1, 7], s('mode', 'linear'), coordinates('pytorch_half_pixel')),
  resize(floats([1, 1, 4, 5]), [1, 1, 2, 1.5], null, s('mode', 'cubic')),
  resize(
    floats([1, 1, 4, 5]),
    null,
    [1, 1, 7, 3],
    s('mode', 'cubic'),
    f('cubic_coeff_a', -0.5),
    coordinates('align_corners'),
  ),
];

const FORMS = [...ELEMENTWISE, ...REDUCTIONS, ...PRODUCTS, ...ARRANGEMENTS, ...WINDOWS, ...RESIZES];

/** One model of all forms side by side. Every result is an output; those of integers and booleans as floats. */
function modelOf(forms: readonly Form[], opset: number): OnnxModel {
  const initializer: TensorProto[] = [];
  const node: NodeProto[] = [];
  const output: string[] = [];
  for (const [n, { opType, inputs, attributes, outputs }] of forms.entries()) {
    const input = inputs.map((tensor, at) => {
      if (tensor === null) return '';
      initializer.push({ ...tensor, name: `${n}.${at}` });
      return `${n}.${at}`;
    });
    const results = Array.from({ length: outputs }, (_, at) => `${opType}.${n}.${at}`);
    node.push({ name: `${opType}.${n}`, opType, input, output: results, attribute: [...attributes] });
    for (const name of results) {
      node.push({ opType: 'Cast', input: [name], output: [`${name}.float`], attribute: [to('FLOAT')] });
      output.push(`${name}.float`);
    }
  }
  const type = { tensorType: { elemType: DATA_TYPE.FLOAT } };
  const x = { name: 'x', type: { tensorType: { elemType: DATA_TYPE.FLOAT, shape: { dim: [{ dimValue: 1 }] } } } };
  return {
    irVersion: 9,
    opsetImport: [{ version: opset }],
    metadataProps: [],
    graph: {
      name: 'forms',
      node,
      initializer,
      input: [x],
      output: output.map((name) => ({ name, type })),
      valueInfo: [],
    },
  };
}

async function expectAgreement(forms: readonly Form[], opset: number): Promise<void> {
  const model = modelOf(forms, opset);
  const feeds = new Map([['x', { dtype: 'F32', shape: [1], data: Float32Array.of(1) } as const]]);
  const [first] = model.graph.output;
  const session = await tfjsEngine.open({ model, loss: first.name, parameters: ['x'] }, CPU);
  const { outputs } = await session.run(feeds);
  await session.release();
  const expected = await runModel(model, tempFolder(), feeds, 'disabled');
  for (const { name } of model.graph.output) {
    const [actual, wanted] = [outputs.get(name)!, expected.get(name)!];
    expect([name, ...actual.shape]).toEqual([name, ...wanted.shape]);
    expect(floatsOf(actual), name).toBeAllClose(floatsOf(wanted), { atol: 2e-6, rtol: 1e-5 });
  }
}

describe('the operators of the engine tfjs', () => {
  it('all have a form here', () => {
    const tested = new Set(FORMS.map(({ opType }) => opType));
    expect([...OPERATORS.keys()].filter((opType) => !tested.has(opType))).toEqual([]);
  });

  it('give what onnxruntime gives, in values and shapes', () => expectAgreement(FORMS, 20));

  it('read axes from attributes where the opset has them there', () =>
    expectAgreement(
      [
        form('ReduceMean', [floats([2, 3, 4])], [is('axes', [-1])]),
        form('ReduceMax', [floats([2, 3, 4])], [is('axes', [0, 1]), i('keepdims', 0)]),
        form('ReduceSum', [floats([2, 3, 4]), ints([1])]),
        form('Split', [floats([6, 2])], [], 2),
      ],
      14,
    ));

  it('are named with their node where they are not run', async () => {
    const model = modelOf([form('Mod', [ints([5]), ints([3])])], 20);
    const open = tfjsEngine.open({ model, loss: model.graph.output[0].name, parameters: ['x'] }, CPU);
    await expect(open).rejects.toMatchObject({
      code: 'ONNX_UNSUPPORTED',
      message: 'node Mod.0 (Mod): this operator is not run by the engine tfjs',
      details: { operator: 'Mod', node: 'Mod.0' },
    });
    expect(memory().numTensors).toBe(0);
  });
});
