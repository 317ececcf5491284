import { memory } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { HpsError } from '../../../../src/core/errors.js';
import { MODALITIES } from '../../../../src/core/onnx/manifest.js';
import type { NodeProto, OnnxModel } from '../../../../src/core/onnx/model.js';
import { float32Value, floatsOf, type TensorValue } from '../../../../src/core/runtime/value.js';
import type { GradientStep, LossModel } from '../../../../src/core/training/engines/engine.js';
import { onnxruntimeEngine } from '../../../../src/core/training/engines/onnxruntime.js';
import { type ImportPackage, loadTf } from '../../../../src/core/training/engines/tfjs/backend.js';
import { tfjsEngine } from '../../../../src/core/training/engines/tfjs.js';
import { CASES, feedsOf, modelOf, outputWeights } from '../../autodiff/cases.js';
import { withLoss } from './loss-case.js';
import { picoLoss } from './pico-loss.js';

const CPU = { device: { kind: 'cpu' } } as const;

/** One step; nothing of it, nor of the model, stays behind. */
async function stepOnce(lossModel: LossModel, feeds: ReadonlyMap<string, TensorValue>): Promise<GradientStep> {
  const session = await tfjsEngine.open(lossModel, CPU);
  const step = await session.run(feeds).finally(() => session.release());
  expect(memory().numTensors).toBe(0);
  return step;
}

describe('the gradients of TensorFlow.js', () => {
  // Our own gradients of the same losses are held to the same vectors in tests/core/autodiff: so the two agree as well.
  it.for(CASES)('are those of PyTorch for $name', async (operator, { skip }) => {
    const model = withLoss(modelOf([operator]), (index) => {
      const shape = operator.outputs[index];
      return { shape, values: outputWeights(shape, index) };
    });
    const feeds = feedsOf([operator]);
    const step = await stepOnce({ model, loss: 'loss', parameters: [...feeds.keys()] }, feeds).catch((error) => {
      if (error instanceof HpsError && error.code === 'ONNX_UNSUPPORTED') skip(error.message);
      throw error;
    });
    for (const [index, expected] of Object.entries(operator.gradients)) {
      const scale = Math.max(...expected.map(Math.abs));
      expect(step.gradients.get(`${operator.name}/x${index}`)).toBeAllClose(expected, {
        rtol: 1e-5,
        atol: 1e-5 * scale,
      });
    }
  });
});

/** The same float32 arithmetic in another order, and an erf that TensorFlow.js approximates to 1.5e-7. */
const RTOL = 1e-4;
/** Gradients of parameters that cancel out (a bias of attention's keys) are rounding alone. */
const FLOOR = 1e-2;

describe('both engines on whole models', () => {
  const models = [
    ...MODALITIES.map((modality) => [modality, 'item', 14] as const),
    ['text', 'pair', 20] as const,
    [null, 'head', 17] as const,
  ];
  it.each(models)(
    'give the same outputs and gradients for %s in mode %s at opset %i',
    async (modality, mode, opset) => {
      const { feeds, ...lossModel } = await picoLoss(modality, mode, opset);
      const theirs = await stepOnce(lossModel, feeds);
      const session = await onnxruntimeEngine.open(lossModel, CPU);
      const ours = await session.run(feeds);
      await session.release();
      expect([...theirs.outputs.keys()]).toEqual([...ours.outputs.keys()]);
      for (const [name, value] of ours.outputs) {
        expect(floatsOf(theirs.outputs.get(name)!), name).toBeAllClose(floatsOf(value), { atol: 1e-5, rtol: 1e-5 });
      }
      let largest = 0;
      for (const name of lossModel.parameters) {
        const expected = theirs.gradients.get(name)!;
        const scale = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
        const found = ours.gradients.get(name) ?? new Float32Array(expected.length);
        expect(found, name).toBeAllClose(expected, { rtol: RTOL, atol: RTOL * Math.max(scale, FLOOR) });
        largest = Math.max(largest, scale);
      }
      expect(largest).toBeGreaterThan(1);
    },
  );
});

describe('a session of the engine tfjs', () => {
  it('gives the same again, keeps no tensors of a step, and refuses feeds that do not fit', async () => {
    const { feeds, ...lossModel } = await picoLoss(null, 'head', 20);
    const session = await tfjsEngine.open(lossModel, CPU);
    expect(session.device).toBe('tfjs-cpu');
    const held = memory().numTensors;
    const first = await session.run(feeds);
    expect(await session.run(feeds)).toEqual(first);
    expect(memory().numTensors).toBe(held);

    const [parameter] = lossModel.parameters;
    const without = new Map([...feeds].filter(([name]) => name !== parameter));
    await expect(session.run(without)).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
    const scalar = { dtype: 'F32', shape: [], data: Float32Array.of(1) } as const;
    await expect(session.run(new Map([...feeds, [parameter, scalar]]))).rejects.toMatchObject({
      code: 'INPUTS_INVALID',
    });
    await session.release();
    expect(memory().numTensors).toBe(0);
  });

  it('keeps nothing of a step that fails', async () => {
    const node = (opType: string, input: string[], output: string): NodeProto => ({
      name: `the ${opType}`,
      opType,
      input,
      output: [output],
      attribute: [],
    });
    const info = (name: string) => ({ name, type: { tensorType: { elemType: 1 } } });
    const five = { name: 'five', dims: [1], dataType: 7, int64Data: BigInt64Array.of(5n) };
    const model: OnnxModel = {
      irVersion: 9,
      opsetImport: [{ version: 17 }],
      metadataProps: [],
      graph: {
        node: [node('Tanh', ['x'], 'y'), node('Reshape', ['y', 'five'], 'z'), node('ReduceSum', ['z'], 'loss')],
        initializer: [five],
        input: [info('x')],
        output: [info('loss')],
        valueInfo: [],
      },
    };
    const session = await tfjsEngine.open({ model, loss: 'loss', parameters: ['x'] }, CPU);
    const x = (size: number) => new Map([['x', float32Value([size], new Float32Array(size))]]);
    await expect(session.run(x(3))).rejects.toMatchObject({
      code: 'ONNX_UNSUPPORTED',
      message: expect.stringContaining('node the Reshape (Reshape): TensorFlow.js refuses it: '),
    });
    expect(memory().numTensors).toBe(1);
    expect((await session.run(x(5))).gradients.get('x')).toEqual(new Float32Array(5).fill(1));
    await session.release();
  });

  it('gives zeros for a parameter that the loss does not depend on', async () => {
    const { feeds, ...lossModel } = await picoLoss(null, 'head', 20);
    const input = { name: 'spare', type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 2 }] } } } };
    const { graph } = lossModel.model;
    const model = { ...lossModel.model, graph: { ...graph, input: [...graph.input, input] } };
    const spare = { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } as const;
    const parameters = [...lossModel.parameters, 'spare'];
    const step = await stepOnce({ ...lossModel, model, parameters }, new Map([...feeds, ['spare', spare]]));
    expect(step.gradients.get('spare')).toEqual(Float32Array.of(0, 0));
  });
});

describe('the backends of the engine tfjs', () => {
  /** A machine with only these packages. */
  const only =
    (...installed: string[]): ImportPackage =>
    async (name) => {
      if (installed.includes(name)) return import('@tensorflow/tfjs');
      throw Object.assign(new Error(`Cannot find package '${name}'`), { code: 'ERR_MODULE_NOT_FOUND' });
    };

  it('say what to install where there is none', async () => {
    await expect(loadTf({ kind: 'auto' }, only())).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringContaining('@tensorflow/tfjs-node-gpu is not installed'),
      hint: expect.stringContaining('npm install @tensorflow/tfjs'),
    });
  });

  it('fall back to plain JavaScript, but not for a GPU that was asked for', async () => {
    expect((await loadTf({ kind: 'auto' }, only('@tensorflow/tfjs'))).name).toBe('tfjs-cpu');
    for (const device of [{ kind: 'cuda', index: 0 }, { kind: 'webgpu' }] as const) {
      await expect(loadTf(device, only('@tensorflow/tfjs'))).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    }
  });

  it('say when a package is there but finds no device', async () => {
    const packages = only('@tensorflow/tfjs', '@tensorflow/tfjs-backend-webgpu', '@tensorflow/tfjs-node-gpu');
    await expect(loadTf({ kind: 'webgpu' }, packages)).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringContaining('tfjs-webgpu finds no device'),
      hint: expect.stringContaining('npm install @tensorflow/tfjs @tensorflow/tfjs-backend-webgpu webgpu'),
    });
    await expect(loadTf({ kind: 'cuda', index: 1 }, packages)).rejects.toMatchObject({
      hint: expect.stringContaining('CUDA_VISIBLE_DEVICES=1'),
    });
  });
});
