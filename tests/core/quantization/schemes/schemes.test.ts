import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../../src/core/bytes/output.js';
import { Random } from '../../../../src/core/bytes/random.js';
import { checkModel } from '../../../../src/core/onnx/check.js';
import { DATA_TYPE, metadataOf, type OnnxModel, type TensorProto } from '../../../../src/core/onnx/model.js';
import { checkOpset } from '../../../../src/core/onnx/opset.js';
import { openOnnx } from '../../../../src/core/onnx/read.js';
import { writeOnnx } from '../../../../src/core/onnx/write.js';
import { rowSets } from '../../../../src/core/quantization/rows.js';
import { int4 } from '../../../../src/core/quantization/schemes/int4.js';
import { SCHEMES, type SchemeId } from '../../../../src/core/quantization/schemes/registry.js';
import type { SchemeRequest } from '../../../../src/core/quantization/schemes/scheme.js';
import { sessionFor, smallestWeights } from '../../../../src/core/quantization/schemes/weight-only.js';
import { type CandidateOptions, makeCandidate } from '../../../../src/core/quantization/search/candidate.js';
import { openSource } from '../../../../src/core/quantization/source.js';
import { keepsQuantized } from '../../../../src/core/runtime/memory.js';
import { float32Value } from '../../../../src/core/runtime/value.js';
import { bytesOf } from '../../../../src/core/tensor/values.js';
import { floats, runModel } from '../../../helpers/graphs.js';
import { goldenModel } from '../../../helpers/models.js';
import { rowsFor } from '../../../helpers/rows.js';
import { tempFolder } from '../../../helpers/temp.js';

/** The golden model, changed, in a folder of the test. */
async function changed(name: string, change: (model: OnnxModel) => OnnxModel): Promise<string> {
  const path = join(tempFolder(), 'changed.onnx');
  const file = openOnnx(goldenModel('quantization', name));
  try {
    await withAtomicOutput(path, {}, (output) => writeOnnx(change(file.model), output));
    return path;
  } finally {
    file.close();
  }
}

const atOpset = (version: number) => (model: OnnxModel) => ({ ...model, opsetImport: [{ domain: '', version }] });

/** The model with one weight set. */
const withWeight = (name: string, change: (values: Float32Array) => void) => (model: OnnxModel) => ({
  ...model,
  graph: {
    ...model.graph,
    initializer: model.graph.initializer.map((tensor) => {
      if (tensor.name !== name) return tensor;
      const values = new Float32Array(tensor.dims.reduce((a, b) => a * b, 1)).fill(0.25);
      change(values);
      return { ...tensor, rawData: bytesOf(values) };
    }),
  },
});

async function quantize(
  path: string,
  scheme: SchemeId,
  { saveTo, ...options }: Partial<CandidateOptions> & { saveTo?: string } = {},
) {
  const source = await openSource(path);
  try {
    const rows = await rowSets(source, { seed: 0 });
    const candidate = await makeCandidate(source, {
      scheme,
      calibrator: 'minmax',
      perChannel: true,
      fullRange: false,
      exclude: [],
      contrib: false,
      calibrationRows: rows.calibration,
      child: {},
      ...options,
    });
    checkModel(candidate.model);
    if (saveTo) await withAtomicOutput(saveTo, {}, (output) => writeOnnx(candidate.model, output));
    const folder = tempFolder();
    const shape = candidate.model.graph.input[0].type?.tensorType?.shape?.dim
      .slice(1)
      .map(({ dimValue = 1 }) => dimValue);
    const random = new Random('rows');
    const length = 6 * shape!.reduce((a, b) => a * b, 1);
    const feeds = new Map([
      [
        'embedding',
        float32Value(
          [6, ...shape!],
          Float32Array.from({ length }, () => random.uniform(-1, 1)),
        ),
      ],
    ]);
    const run = async (model: OnnxModel, level: 'all' | 'disabled' = 'all') =>
      floats(await runModel(model, folder, feeds, level), 'score');
    const [float, all, disabled] = [
      await run(source.model),
      await run(candidate.model),
      await run(candidate.model, 'disabled'),
    ];
    return { candidate, float, all, disabled, operators: candidate.model.graph.node.map(({ opType }) => opType) };
  } finally {
    source.close();
  }
}

const mlp = goldenModel('quantization', 'mlp');
const conv = goldenModel('quantization', 'conv');
const spread = (values: Float32Array): number => Math.max(...values) - Math.min(...values);

describe.each(['weight-only', 'dynamic', 'static', 'fp16'] as const)('scheme %s', (scheme) => {
  it.each([
    ['mlp', mlp],
    ['conv', conv],
  ])('computes %s nearly as the float model does, at its opset', async (_, path) => {
    const { candidate, float, all, disabled } = await quantize(path, scheme);
    const atol = 0.15 * Math.max(1, spread(float));
    expect(candidate.quantized.length).toBeGreaterThan(0);
    expect(all).toBeAllClose(float, { atol });
    expect(disabled).toBeAllClose(float, { atol });
    expect(checkOpset(candidate.model, 14)).toEqual([]);
  });

  // Processors without VNNI add two products of u8 and s8 in 16 bits: equal weights of 127 would be cut off there.
  it('computes equal weights right on every processor', async () => {
    const path = await changed(
      'mlp',
      withWeight('w1', () => {}),
    );
    const { float, all, disabled } = await quantize(path, scheme);
    const atol = 0.06 * Math.max(...float.map(Math.abs));
    expect(all).toBeAllClose(float, { atol });
    expect(disabled).toBeAllClose(float, { atol });
  });

  it('leaves metadata and what it does not quantize as they were', async () => {
    const { candidate } = await quantize(mlp, scheme, { exclude: ['layer1'] });
    expect(metadataOf(candidate.model, 'author')).toBe('someone');
    expect(candidate.excluded).toContainEqual({ node: 'layer1', why: 'excluded by layer1' });
    const kept = candidate.model.graph.initializer.find(({ name }) => name === 'w1');
    expect(kept?.dataType).toBe(DATA_TYPE.FLOAT);
    expect(candidate.quantized).not.toContain('layer1');
  });

  it('refuses a graph without weights', async () => {
    await expect(quantize(goldenModel('quantization', 'no-weights'), scheme)).rejects.toMatchObject({
      code: 'NOTHING_TO_QUANTIZE',
    });
  });

  // HOSTILE 58
  it('gives a channel of zeros no NaN', async () => {
    const path = await changed(
      'mlp',
      withWeight('w1', (values) => {
        for (let i = 3; i < values.length; i += 64) values[i] = 0;
      }),
    );
    const { all } = await quantize(path, scheme);
    expect([...all].every(Number.isFinite)).toBe(true);
  });

  it('copes with a value that never changes', async () => {
    const { float, all } = await quantize(
      await changed(
        'mlp',
        withWeight('w0', (values) => values.fill(0)),
      ),
      scheme,
    );
    expect(all).toBeAllClose(float, { atol: 0.05 });
  });

  it('leaves a weight with a NaN as it is and says so', async () => {
    const path = await changed(
      'mlp',
      withWeight('w1', (values) => {
        values[5] = Number.NaN;
      }),
    );
    const { candidate } = await quantize(path, scheme);
    expect(candidate.excluded.find(({ node }) => node === 'layer1')?.why).toMatch(/NaN/);
  });
});

/** The model with the logarithm of its squared score instead of the score, or with that of a softmax of it. */
const intoLogarithm = (inner: 'Mul' | 'Softmax') => (model: OnnxModel) => {
  const renamed = model.graph.node.map((each) => ({
    ...each,
    output: each.output.map((name) => (name === 'score' ? 'raw' : name)),
  }));
  const tail = [
    { opType: inner, name: 'inner', input: inner === 'Mul' ? ['raw', 'raw'] : ['raw'], output: ['in'], attribute: [] },
    { opType: 'Log', name: 'log', input: ['in'], output: ['score'], attribute: [] },
  ];
  return { ...model, graph: { ...model.graph, node: [...renamed, ...tail] } };
};

describe.each(['weight-only', 'dynamic', 'static', 'fp16'] as const)('%s in front of a logarithm', (scheme) => {
  it('leaves a product float whose power is told in decibels, and says so', async () => {
    const { candidate } = await quantize(await changed('mlp', intoLogarithm('Mul')), scheme);
    expect(candidate.excluded.find(({ node }) => node === 'layer2')?.why).toMatch(/logarithm/);
    expect(candidate.quantized).toContain('layer1');
  });

  it('quantizes what an activation or a softmax parts from it', async () => {
    const { candidate } = await quantize(await changed('mlp', intoLogarithm('Softmax')), scheme);
    expect(candidate.excluded.map(({ why }) => why).join()).not.toMatch(/logarithm/);
  });
});

it.each(['dynamic', 'static'] as const)('a model that is %s already is refused', async (scheme) => {
  const saveTo = join(tempFolder(), 'once.onnx');
  await quantize(mlp, scheme, { saveTo });
  await expect(quantize(saveTo, 'weight-only')).rejects.toMatchObject({ code: 'ALREADY_QUANTIZED' });
});

it.each([
  ['weight-only', 6, 7],
  ['dynamic', 10, 11],
  ['static', 9, 10],
  ['int4', 14, 21],
] as const)('%s at opset %i is refused: it needs opset %i', async (scheme, opset, needs) => {
  const path = await changed('mlp', atOpset(opset));
  const source = await openSource(path);
  const refused = makeCandidate(source, {
    scheme,
    calibrator: 'minmax',
    perChannel: true,
    fullRange: false,
    exclude: [],
    contrib: false,
    calibrationRows: { rows: 0, feeds: new Map() },
    child: {},
  });
  await expect(refused).rejects.toMatchObject({ code: 'OPSET_UNSUPPORTED', details: { opset, needs } });
  source.close();
});

describe.each(['weight-only', 'dynamic', 'static'] as const)('%s of a third-party model', (scheme) => {
  it.each([
    [17, 8],
    [21, 10],
  ])('keeps opset %i and IR version %i', async (opset, irVersion) => {
    const path = await changed('mlp', (model) => ({ ...atOpset(opset)(model), irVersion }));
    const { candidate, float, all } = await quantize(path, scheme);
    expect(candidate.model).toMatchObject({ irVersion, opsetImport: [{ version: opset }] });
    expect(all).toBeAllClose(float, { atol: 0.15 * spread(float) });
  });

  it.each([
    [3, 4],
    [8, 8],
  ])('reads one of IR version %i whose weights are inputs too', async (irVersion, written) => {
    const path = await changed('mlp', (model) => {
      const weights = model.graph.initializer.map(({ name = '', dims, dataType: elemType }) => ({
        name,
        type: { tensorType: { elemType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
      }));
      const graph = { ...model.graph, input: [...model.graph.input, ...weights] };
      return { ...atOpset(13)(model), irVersion, graph };
    });
    const { candidate, float, all } = await quantize(path, scheme);
    expect(candidate.model.irVersion).toBe(written);
    expect(candidate.model.graph.input.map(({ name }) => name)).toEqual(['embedding']);
    expect(all).toBeAllClose(float, { atol: 0.15 * spread(float) });
  });
});

it('tells which weights a caller could replace before, and leaves a default whose shape is open', async () => {
  const tensorType = (dim: object[]) => ({ tensorType: { elemType: DATA_TYPE.FLOAT, shape: { dim } } });
  const path = await changed('mlp', (model) => {
    const [weight] = model.graph.initializer;
    const state = { name: 'state', dims: [2], dataType: DATA_TYPE.FLOAT, rawData: new Uint8Array(8) };
    const input = [
      ...model.graph.input,
      { name: weight.name!, type: tensorType(weight.dims.map((dimValue) => ({ dimValue }))) },
      { name: 'state', type: tensorType([{ dimParam: 'n' }]) },
    ];
    return { ...model, graph: { ...model.graph, input, initializer: [...model.graph.initializer, state] } };
  });
  const source = await openSource(path);
  expect(source.notes).toEqual([
    expect.stringMatching(/^Initializers that are graph inputs too, .* are constants here: \S+\.$/),
  ]);
  expect((await source.prepared(false)).graph.input.map(({ name }) => name)).toEqual(['embedding', 'state']);
  source.close();
  const plain = await openSource(mlp);
  expect(plain.notes).toEqual([]);
  plain.close();
});

it('says that rows cannot be made for a model that keeps its batch on another axis', async () => {
  const path = await changed('mlp', (model) => {
    const dim = [{ dimValue: 2 }, { dimParam: 'batch' }, { dimValue: 8 }];
    const state = { name: 'state', type: { tensorType: { elemType: DATA_TYPE.FLOAT, shape: { dim } } } };
    return { ...model, graph: { ...model.graph, input: [...model.graph.input, state] } };
  });
  await expect(rowsFor(path, { seed: 0 })).rejects.toMatchObject({
    code: 'ONNX_UNSUPPORTED',
    message: /state \[2, batch, 8\]/,
  });
});

it('every scheme of the registry has its own id', () => {
  expect(new Set(SCHEMES.map(({ id }) => id)).size).toBe(SCHEMES.length);
});

describe('weight-only', () => {
  it('leaves the smallest weights float, up to a fiftieth of all, and biases out of the count', () => {
    const constants = new Map([
      ['middle', { dims: [40, 20] }],
      ['large', { dims: [200, 495] }],
      ['score', { dims: [64, 1] }],
      ['stem', { dims: [12, 3, 7, 7] }],
      ['bias', { dims: [5000] }],
    ]);
    expect([...smallestWeights(constants)]).toEqual(['score', 'middle']);
    expect([...smallestWeights(new Map([['only', { dims: [4, 4] }]]))]).toEqual([]);
  });

  it('gives the same at every level of optimisation, without asking for session options where there is no manifest', async () => {
    const { candidate, all, disabled, operators } = await quantize(mlp, 'weight-only');
    expect(all).toBeAllClose(disabled, { atol: 1e-5 });
    expect(candidate.session).toEqual({});
    expect(operators).not.toContain('DequantizeLinear');
  });

  it('works below opset 13, where DequantizeLinear has no axis', async () => {
    const { float, all } = await quantize(await changed('mlp', atOpset(9)), 'weight-only');
    expect(all).toBeAllClose(float, { atol: 0.1 });
  });
});

describe('static', () => {
  it('writes scales and zero points of activations with rank 0, behind the Relu', async () => {
    const { candidate } = await quantize(conv, 'static');
    const { node, initializer } = candidate.model.graph;
    const constants = new Map(initializer.map((tensor) => [tensor.name, tensor]));
    const quantizers = node.filter(({ opType }) => opType === 'QuantizeLinear');
    for (const { input } of quantizers) {
      expect(constants.get(input[1])?.dims).toEqual([]);
      expect(constants.get(input[2])?.dims).toEqual([]);
      expect(constants.get(input[2])?.dataType).toBe(DATA_TYPE.UINT8);
    }
    const relu = node.find(({ name }) => name === 'stem.relu')!;
    const quantizer = quantizers.find(({ input }) => input[0] === relu.output[0])!;
    expect([...(constants.get(quantizer.input[2])!.rawData as Uint8Array)]).toEqual([0]);
    expect(candidate.quantized).toEqual(expect.arrayContaining(['stem', 'maxpool', 'residual', 'join', 'gap', 'head']));
  });

  it('leaves a node whose values are NaN in calibration as it is and says so', async () => {
    const { candidate, all } = await quantize(goldenModel('quantization', 'nan-range'), 'static');
    expect(candidate.excluded.find(({ node }) => node === 'lost')?.why).toMatch(/NaN/);
    expect([...all].every(Number.isFinite)).toBe(true);
  });

  it('has one scale a weight below opset 13, and says so', async () => {
    const { candidate, float, all } = await quantize(await changed('mlp', atOpset(12)), 'static');
    expect(candidate.notes.join()).toMatch(/no scales per channel/);
    expect(all).toBeAllClose(float, { atol: 0.12 * Math.max(1, spread(float)) });
  });
});

describe('int4', () => {
  /** Four bits move the scores of so small a model a lot; what counts is that all ways to run it agree. */
  const atol = 1.5;

  it('runs at opset 21, alike at every level of optimisation', async () => {
    const path = await changed('mlp', (model) => ({ ...atOpset(21)(model), irVersion: 10 }));
    const { candidate, float, all, disabled } = await quantize(path, 'int4');
    expect(candidate.quantized).toEqual(['layer0', 'layer1', 'layer2']);
    expect(all).toBeAllClose(float, { atol });
    expect(all).toBeAllClose(disabled, { atol: 1e-5 });
  });

  it('takes MatMulNBits below it where that is asked for, with the reason and the same values', async () => {
    const { candidate, all } = await quantize(mlp, 'int4', { contrib: true });
    const path = await changed('mlp', (model) => ({ ...atOpset(21)(model), irVersion: 10 }));
    expect(candidate.notes.join()).toMatch(/MatMulNBits, because opset 14 has no 4-bit integers/);
    expect(all).toBeAllClose((await quantize(path, 'int4')).all, { atol: 1e-5 });
  });

  it.each(['[inputs, outputs] with a manifest', '[outputs, inputs] without'])(
    'writes %s, with the same values',
    async (form) => {
      const hasManifest = form.includes('with a');
      // 3 outputs: rows of blocks do not end where chunks do
      const values = Float32Array.from({ length: 64 * 3 }, (_, i) => Math.sin(i));
      const weight = { name: 'w', dims: [64, 3], dataType: DATA_TYPE.FLOAT, rawData: bytesOf(values) };
      const product = { opType: 'MatMul', name: 'product', input: ['x', 'w'], output: ['y'], attribute: [] };
      const graph = { node: [product], initializer: [weight], input: [], output: [], valueInfo: [] };
      const model = { irVersion: 10, opsetImport: [{ domain: '', version: 21 }], graph } as unknown as OnnxModel;
      const request = { hasManifest, exclude: () => undefined } as unknown as SchemeRequest;
      const quantized = await int4.apply(model, request);
      const { node, initializer } = quantized.model.graph;
      expect(node.map(({ opType }) => opType)).toEqual(
        hasManifest ? ['DequantizeLinear', 'MatMul'] : ['DequantizeLinear', 'Transpose', 'MatMul'],
      );
      const [levels, scales] = ['w.quantized', 'w.scale'].map(
        (name) => initializer.find((tensor) => tensor.name === name)!,
      );
      expect([levels.dims, scales.dims]).toEqual(
        hasManifest
          ? [
              [64, 3],
              [2, 3],
            ]
          : [
              [3, 64],
              [3, 2],
            ],
      );
      const nibbles = [...(await rawBytes(levels))]
        .flatMap((byte) => [byte & 15, byte >> 4])
        .map((n) => (n > 7 ? n - 16 : n));
      const scale = new Float32Array((await rawBytes(scales)).slice().buffer);
      for (let k = 0; k < 64; k++) {
        for (let n = 0; n < 3; n++) {
          const step = scale[hasManifest ? Math.floor(k / 32) * 3 + n : n * 2 + Math.floor(k / 32)];
          const value = step * nibbles[hasManifest ? k * 3 + n : n * 64 + k];
          expect(Math.abs(value - values[k * 3 + n])).toBeLessThanOrEqual(0.5001 * step);
        }
      }
    },
  );
});

describe('session options of weight-only', () => {
  it('keep the weights of a large model int8, and fold those of a small one', () => {
    expect(keepsQuantized(sessionFor(2 ** 30 - 4))).toBe(false);
    expect(keepsQuantized(sessionFor(2 ** 30))).toBe(true);
  });
});

async function rawBytes({ rawData }: TensorProto): Promise<Uint8Array> {
  if (rawData instanceof Uint8Array) return rawData;
  const chunks = [];
  for await (const chunk of rawData!.chunks()) chunks.push(chunk.slice());
  return new Uint8Array(Buffer.concat(chunks));
}
