import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../../src/core/bytes/output.js';
import { Random } from '../../../../src/core/bytes/random.js';
import {
  DATA_TYPE,
  intAttribute,
  intsAttribute,
  type NodeProto,
  type OnnxModel,
} from '../../../../src/core/onnx/model.js';
import { foldBatchNorm } from '../../../../src/core/onnx/passes/fold-batch-norm.js';
import { openOnnx } from '../../../../src/core/onnx/read.js';
import { chunksOf } from '../../../../src/core/onnx/weight.js';
import { writeOnnx } from '../../../../src/core/onnx/write.js';
import { type ChannelClass, channelClasses } from '../../../../src/core/quantization/channels.js';
import type { RangeMethodId } from '../../../../src/core/quantization/ranges/methods.js';
import { rescaleChannels } from '../../../../src/core/quantization/ranges/rescale.js';
import { insertGains } from '../../../../src/core/quantization/schemes/gains.js';
import type { SchemeRequest } from '../../../../src/core/quantization/schemes/scheme.js';
import { planStatic } from '../../../../src/core/quantization/schemes/static-plan.js';
import { makeCandidate } from '../../../../src/core/quantization/search/candidate.js';
import { openSource } from '../../../../src/core/quantization/source.js';
import { floats as constant } from '../../../../src/core/quantization/tensors.js';
import { float32Value, type TensorValue } from '../../../../src/core/runtime/value.js';
import { floats, runModel } from '../../../helpers/graphs.js';
import { goldenModel } from '../../../helpers/models.js';
import { tempFolder } from '../../../helpers/temp.js';

const random = new Random('channels');
const draw = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());

type Shapes = Readonly<Record<string, readonly number[]>>;

/** A model of nodes `[operator, inputs, output, attributes]` from x to y; constants are drawn. */
function modelOf(
  nodes: readonly [string, string, string, NodeProto['attribute']?][],
  shapes: Shapes,
  { opset = 17, outputs = ['y'] } = {},
): OnnxModel {
  const value = (name: string) => ({ name, type: { tensorType: { elemType: DATA_TYPE.FLOAT } } });
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: opset }],
    metadataProps: [],
    graph: {
      name: 'test',
      node: nodes.map(([opType, inputs, output, attribute = []], i) => ({
        opType,
        name: `${opType}_${i}`,
        input: inputs.split(' '),
        output: [output],
        attribute,
      })),
      initializer: Object.entries(shapes).map(([name, dims]) =>
        constant(name, dims, draw(dims.reduce((a, b) => a * b, 1))),
      ),
      input: [value('x')],
      output: outputs.map(value),
      valueInfo: [],
    },
  };
}

const REQUEST: SchemeRequest = {
  perChannel: true,
  fullRange: false,
  exclude: () => undefined,
  hasManifest: false,
  contrib: false,
};

const pads = [intsAttribute('pads', [1, 1, 1, 1])];
const groups = (count: number) => [...pads, intAttribute('group', count)];

interface Case {
  readonly nodes: Parameters<typeof modelOf>[0];
  readonly shapes: Shapes;
  readonly input: readonly number[];
  /** Values of every class. */
  readonly classes: readonly string[];
  readonly outputs?: readonly string[];
}

const CASES: Readonly<Record<string, Case>> = {
  'convolutions with a residual sum, Relu and pools': {
    nodes: [
      ['Conv', 'x w0 b0', 'c0', pads],
      ['Relu', 'c0', 'r0'],
      ['MaxPool', 'r0', 'p0', [intsAttribute('kernel_shape', [2, 2])]],
      ['Conv', 'p0 w1', 'c1', pads],
      ['LeakyRelu', 'c1', 'r1'],
      ['Conv', 'r1 w2 b2', 'c2', pads],
      ['Add', 'c2 p0', 'sum'],
      ['GlobalAveragePool', 'sum', 'mean'],
      ['Flatten', 'mean', 'flat'],
      ['Gemm', 'flat w3 b3', 'y', [intAttribute('transB', 1)]],
    ],
    shapes: { w0: [6, 3, 3, 3], b0: [6], w1: [5, 6, 3, 3], w2: [6, 5, 3, 3], b2: [6], w3: [2, 6], b3: [2] },
    input: [2, 3, 6, 6],
    classes: ['c0 c2 flat mean p0 r0 sum', 'c1 r1'],
  },
  'a convolution of each channel alone, and one of several results a channel': {
    nodes: [
      ['Conv', 'x w0', 'c0', pads],
      ['Conv', 'c0 w1 b1', 'c1', groups(4)],
      ['Conv', 'c1 w2', 'c2', groups(4)],
      ['Conv', 'c2 w3', 'y', pads],
    ],
    shapes: { w0: [4, 3, 3, 3], w1: [4, 1, 3, 3], b1: [4], w2: [8, 1, 3, 3], w3: [2, 8, 3, 3] },
    input: [1, 3, 5, 5],
    classes: ['c0', 'c1', 'c2'],
  },
  'groups of several channels, whose input stays as it is': {
    nodes: [
      ['Conv', 'x w0', 'c0', pads],
      ['Conv', 'c0 w1', 'c1', groups(2)],
      ['Conv', 'c1 w2', 'y', pads],
    ],
    shapes: { w0: [4, 3, 3, 3], w1: [6, 2, 3, 3], w2: [2, 6, 3, 3] },
    input: [1, 3, 5, 5],
    classes: ['c1'],
  },
  'a norm of many operators, whose gain and shift are constants': {
    nodes: [
      ['Sigmoid', 'x', 'n'],
      ['Mul', 'n g', 'scaled'],
      ['Add', 'b scaled', 'shifted'],
      ['MatMul', 'shifted w0', 'm0'],
      ['Mul', 'm0 half', 'm1'],
      ['Sub', 'm1 b1', 'm2'],
      ['MatMul', 'm2 w1', 'y'],
    ],
    shapes: { g: [4], b: [1, 4], w0: [4, 3], half: [], b1: [3], w1: [3, 2] },
    input: [2, 5, 4],
    classes: ['m0 m1 m2', 'scaled shifted'],
  },
  'a norm of one operator': {
    nodes: [
      ['LayerNormalization', 'x g b', 'n'],
      ['MatMul', 'n w', 'y'],
    ],
    shapes: { g: [4], b: [4], w: [4, 2] },
    input: [2, 5, 4],
    classes: ['n'],
  },
  'two towers that share weights': {
    nodes: [
      ['MatMul', 'x w0', 'l0'],
      ['Relu', 'l0', 'l1'],
      ['MatMul', 'l1 w1', 'l2'],
      ['Tanh', 'x', 'other'],
      ['MatMul', 'other w0', 'r0'],
      ['Relu', 'r0', 'r1'],
      ['MatMul', 'r1 w1', 'r2'],
      ['Sub', 'l2 r2', 'y'],
    ],
    shapes: { w0: [4, 6], w1: [6, 1] },
    input: [3, 4],
    classes: ['l0 l1 r0 r1'],
  },
  'what is read by more than weights, or shares a weight with what is': {
    nodes: [
      ['MatMul', 'x w0', 'a'],
      ['Softmax', 'a', 's'],
      ['MatMul', 'a w1', 'b'],
      ['MatMul', 's w1', 'c'],
      ['MatMul', 'x w2', 'd'],
      ['MatMul', 'd w3', 'e'],
      ['Add', 'b c', 'f'],
      ['Add', 'f e', 'y'],
    ],
    shapes: { w0: [4, 6], w1: [6, 1], w2: [4, 5], w3: [5, 1] },
    input: [3, 4],
    classes: [],
    outputs: ['y', 'd'],
  },
};

const namesOf = (classes: readonly ChannelClass[]): string[] =>
  classes.map(({ values }) => [...values.keys()].sort().join(' ')).sort();

const randomScales = (classes: readonly ChannelClass[]) =>
  classes.map((each) => ({
    ...each,
    scales: Float64Array.from({ length: each.channels }, () => Math.exp(random.uniform(-2, 2))),
  }));

describe.each(Object.entries(CASES))('channels of %s', (_, { nodes, shapes, input, classes, outputs = ['y'] }) => {
  const model = modelOf(nodes, shapes, { outputs: [...outputs] });

  it('are found', () => {
    expect(namesOf(channelClasses(model))).toEqual(classes);
  });

  it('can be divided by any scales without a change of the result', async () => {
    const feeds = new Map([['x', float32Value(input, draw(input.reduce((a, b) => a * b, 1)))]]);
    const scaled = rescaleChannels(model, randomScales(channelClasses(model)));
    const [before, after] = [await runModel(model, tempFolder(), feeds), await runModel(scaled, tempFolder(), feeds)];
    for (const name of outputs)
      expect(floats(after, name)).toBeAllClose(floats(before, name), { rtol: 1e-4, atol: 1e-4 });
  });
});

it('ends a class at a constant that is added here and multiplied there', () => {
  const nodes: Case['nodes'] = [
    ['MatMul', 'x w0', 'a'],
    ['Add', 'a v', 'b'],
    ['Mul', 'b v', 'c'],
    ['MatMul', 'c w1', 'y'],
  ];
  expect(channelClasses(modelOf(nodes, { w0: [4, 6], v: [6], w1: [6, 1] }))).toEqual([]);
});

/** Static quantization of a model, and how far its scores are from those of the float model: the root of their mean square. */
async function staticError(
  model: OnnxModel,
  shape: readonly number[],
  { calibrator = 'minmax', rows: calibrationRows = 512 }: { calibrator?: RangeMethodId; rows?: number } = {},
) {
  const path = join(tempFolder(), 'float.onnx');
  await withAtomicOutput(path, {}, (output) => writeOnnx(model, output));
  const draws = new Random('rows');
  const rows = (count: number): TensorValue => {
    const length = count * shape.reduce((a, b) => a * b, 1);
    return float32Value(
      [count, ...shape],
      Float32Array.from({ length }, () => draws.normal()),
    );
  };
  const [name] = model.graph.input.map((input) => input.name);
  const source = await openSource(path);
  try {
    const candidate = await makeCandidate(source, {
      scheme: 'static',
      calibrator,
      perChannel: true,
      fullRange: false,
      exclude: [],
      contrib: false,
      calibrationRows: { rows: calibrationRows, feeds: new Map([[name, rows(calibrationRows)]]) },
      child: {},
    });
    const feeds = new Map([[name, rows(32)]]);
    const run = async (each: OnnxModel) =>
      floats(await runModel(each, tempFolder(), feeds), model.graph.output[0].name);
    const [float, quantized] = [await run(model), await run(candidate.model)];
    const squares = float.reduce((sum, value, i) => sum + (value - quantized[i]) ** 2, 0);
    return { candidate, error: Math.sqrt(squares / float.length), operators: operatorsOf(candidate.model) };
  } finally {
    source.close();
  }
}

const operatorsOf = ({ graph }: OnnxModel): string[] => graph.node.map(({ opType }) => opType);

/** A golden model of the quantization tests, its norms folded; weights are read. */
async function goldenFolded(name: string): Promise<OnnxModel> {
  const file = openOnnx(goldenModel('quantization', name));
  try {
    const model = await foldBatchNorm(file.model);
    const initializer = [];
    for (const tensor of model.graph.initializer) {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunksOf(tensor.rawData!)) parts.push(Buffer.from(chunk));
      initializer.push({ ...tensor, rawData: new Uint8Array(Buffer.concat(parts)) });
    }
    return { ...model, graph: { ...model.graph, initializer } };
  } finally {
    file.close();
  }
}

describe('static quantization of channels of different ranges', () => {
  it.each(['minmax', 'mse'] as const)('loses no more than where all are alike (%s)', async (calibrator) => {
    const even = await goldenFolded('conv');
    const uneven = rescaleChannels(even, randomScales(channelClasses(even)));
    const known = await staticError(even, [3, 16, 16], { calibrator, rows: 8 });
    const { error } = await staticError(uneven, [3, 16, 16], { calibrator, rows: 8 });
    expect(error).toBeLessThan(1.5 * known.error);
  });

  /** Four of 64 gated channels are wider than the others, and their weights smaller. */
  const gated = (spread: number): OnnxModel => {
    const model = modelOf(
      [
        ['MatMul', 'x w0', 'a'],
        ['MatMul', 'x w2', 'g'],
        ['Sigmoid', 'g', 's'],
        ['Mul', 'a s', 'gated'],
        ['MatMul', 'gated w1', 'y'],
      ],
      { w0: [16, 64], w1: [64, 1], w2: [16, 64] },
    );
    const wide = Float64Array.from({ length: 64 }, (_, c) => (c < 4 ? spread : 1));
    const initializer = model.graph.initializer.map((tensor) => {
      const values = new Float32Array((tensor.rawData as Uint8Array).slice().buffer);
      const factor = (i: number): number =>
        tensor.name === 'w0' ? wide[i % 64] : tensor.name === 'w1' ? 1 / wide[i] : 1;
      return constant(
        tensor.name!,
        tensor.dims,
        values.map((value, i) => value * factor(i)),
      );
    });
    return { ...model, graph: { ...model.graph, initializer } };
  };
  it('multiplies the channels of a gated value where that halves the error, and nowhere else', async () => {
    const [even, uneven] = [await staticError(gated(1), [16]), await staticError(gated(20), [16])];
    expect(even.operators.filter((operator) => operator === 'Mul')).toHaveLength(1);
    expect(uneven.operators.filter((operator) => operator === 'Mul')).toHaveLength(2);
    expect(even.candidate.calibration!.equalization).toEqual({ values: 0, gains: 0 });
    expect(uneven.candidate.calibration!.equalization).toEqual({ values: 1, gains: 1 });
    expect(uneven.error).toBeLessThan(2 * even.error);
  });

  it('leaves room for what few rows do not show', async () => {
    const [even, uneven] = [
      await staticError(gated(1), [16], { rows: 16 }),
      await staticError(gated(20), [16], { rows: 16 }),
    ];
    // Without scales of channels it would be 20 times as large, and 10 times by ranges that leave no room.
    expect(uneven.error).toBeLessThan(4 * even.error);
  });

  it.each([17, 18])('sees channels by the reductions of opset %i', async (opset) => {
    const { candidate } = await staticError(
      modelOf(
        [
          ['MatMul', 'x w0', 'a'],
          ['Relu', 'a', 'r'],
          ['MatMul', 'r w1', 'y'],
        ],
        { w0: [16, 64], w1: [64, 1] },
        { opset },
      ),
      [16],
    );
    expect(Object.keys(candidate.calibration!.coverage).sort()).toEqual(['r', 'x']);
  });
});

describe('observing values whose channels are divided', () => {
  it('sees the same extremes by counting as by reducing', async () => {
    const even = await goldenFolded('conv');
    const uneven = rescaleChannels(even, randomScales(channelClasses(even)));
    const [reduced, counted] = [
      await staticError(uneven, [3, 16, 16], { rows: 8 }),
      await staticError(uneven, [3, 16, 16], { calibrator: 'percentile', rows: 8 }),
    ];
    const widths = counted.candidate.calibration!.coverage;
    for (const [value, { low, high }] of Object.entries(reduced.candidate.calibration!.coverage)) {
      const { coverage, ...range } = widths[value];
      expect((range.high - range.low) / coverage / (high - low)).toBeCloseTo(1, 5);
    }
  });
});

it('writes no gain in front of what a quantized node makes, or of what constants write; a Concat ends what they do', async () => {
  const model = await goldenFolded('conv');
  const { gains } = insertGains(model, planStatic(model, REQUEST));
  expect([...gains.values()]).toEqual(['embedding', 'flat']);
});

describe('convolutions of few channels', () => {
  const shapes = { w0: [16, 3, 3, 3], w1: [8, 16, 1, 1], w2: [16, 8, 1, 1], w3: [16, 1, 3, 3] };
  const nodes: Case['nodes'] = [
    ['Conv', 'x w0', 'wide', pads],
    ['Conv', 'wide w1', 'narrow'],
    ['Conv', 'narrow w2', 'shallow'],
    ['Conv', 'shallow w3', 'y', groups(16)],
  ];

  it('stay float, with the reason, but for those of each channel alone', () => {
    const { nodes: quantized, excluded } = planStatic(modelOf(nodes, shapes), REQUEST);
    expect(Array.from(quantized.keys(), ({ output: [name] }) => name)).toEqual(['wide', 'y']);
    expect(excluded.map(({ node }) => node)).toEqual(['Conv_1', 'Conv_2']);
    expect(excluded[0].why).toMatch(/few channels is no faster/);
  });
});
