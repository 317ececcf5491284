import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../../src/core/bytes/output.js';
import { Random } from '../../../../src/core/bytes/random.js';
import { DATA_TYPE, type OnnxModel } from '../../../../src/core/onnx/model.js';
import { writeOnnx } from '../../../../src/core/onnx/write.js';
import { type CandidateOptions, makeCandidate } from '../../../../src/core/quantization/search/candidate.js';
import { sparedOfNoise } from '../../../../src/core/quantization/search/noise.js';
import { openSource } from '../../../../src/core/quantization/source.js';
import { floats } from '../../../../src/core/quantization/tensors.js';
import { float32Value } from '../../../../src/core/runtime/value.js';
import { tempFolder } from '../../../helpers/temp.js';

const WIDTH = 16;
const HIDDEN = 48;
const ROWS = 24;

const random = new Random('noise');
const draw = (count: number, gain = 1): Float32Array =>
  Float32Array.from({ length: count }, () => gain * random.normal());

/** Wide layers, and beside them a small one: of its inputs one is `spike` times the others, and has no weight. */
function modelWith(spike: number): OnnxModel {
  const wide = draw(WIDTH * 8, 0.25);
  wide.fill(0, 0, 8);
  const chain = [0, 1, 2].flatMap((i) => [
    { opType: 'MatMul', name: `wide${i}`, input: [i === 0 ? 'x' : `t${i - 1}`, `w${i}`], output: [`m${i}`] },
    { opType: 'Tanh', name: `tanh${i}`, input: [`m${i}`], output: [`t${i}`] },
  ]);
  const nodes = [
    ...chain,
    { opType: 'Mul', name: 'spike', input: ['x', 'spikes'], output: ['spiked'] },
    { opType: 'Abs', name: 'abs', input: ['spiked'], output: ['magnitudes'] },
    { opType: 'MatMul', name: 'small', input: ['magnitudes', 'v'], output: ['n'] },
    { opType: 'Concat', name: 'both', input: ['t2', 'n'], output: ['c'], axis: 1 },
    { opType: 'MatMul', name: 'last', input: ['c', 'u'], output: ['y'] },
  ];
  const value = (name: string, width: number) => ({
    name,
    type: { tensorType: { elemType: DATA_TYPE.FLOAT, shape: { dim: [{ dimParam: 'batch' }, { dimValue: width }] } } },
  });
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    metadataProps: [],
    graph: {
      name: 'test',
      node: nodes.map((node) => ({
        ...node,
        attribute: node.opType === 'Concat' ? [{ name: 'axis', type: 2, i: 1n }] : [],
      })) as OnnxModel['graph']['node'],
      initializer: [
        floats('w0', [WIDTH, HIDDEN], draw(WIDTH * HIDDEN, 0.25)),
        floats('w1', [HIDDEN, HIDDEN], draw(HIDDEN * HIDDEN, 0.15)),
        floats('w2', [HIDDEN, HIDDEN], draw(HIDDEN * HIDDEN, 0.15)),
        floats('v', [WIDTH, 8], wide),
        floats('u', [HIDDEN + 8, 1], draw(HIDDEN + 8, 0.15)),
        floats(
          'spikes',
          [WIDTH],
          Float32Array.from({ length: WIDTH }, (_, i) => (i === 0 ? spike : 1)),
        ),
      ],
      input: [value('x', WIDTH)],
      output: [value('y', 1)],
      valueInfo: [],
    },
  };
}

async function sparedOf(model: OnnxModel) {
  const path = join(tempFolder(), 'model.onnx');
  await withAtomicOutput(path, {}, (output) => writeOnnx(model, output));
  const source = await openSource(path);
  const options: CandidateOptions = {
    scheme: 'static',
    calibrator: 'minmax',
    perChannel: true,
    fullRange: false,
    exclude: ['last'],
    contrib: false,
    calibrationRows: { rows: ROWS, feeds: new Map([['x', float32Value([ROWS, WIDTH], draw(ROWS * WIDTH))]]) },
    child: {},
  };
  try {
    const candidate = await makeCandidate(source, options);
    return { candidate, spared: await sparedOfNoise(source, candidate, options) };
  } finally {
    source.close();
  }
}

describe('sparedOfNoise', () => {
  it('keeps the small layer float that makes most of the noise, and says why', async () => {
    const { candidate, spared } = await sparedOf(modelWith(1e5));
    expect(candidate.quantized).toContain('small');
    expect(candidate.quantized.filter((node) => !spared.quantized.includes(node))).toEqual(['small']);
    expect(spared.excluded.find(({ node }) => node === 'small')?.why).toMatch(
      /^makes (9\d|100) % of the noise of the scores with 2\.\d % of the products$/,
    );
  });

  it('leaves a model as it is where no layer stands out', async () => {
    const { candidate, spared } = await sparedOf(modelWith(1));
    expect(spared).toBe(candidate);
  });
});
