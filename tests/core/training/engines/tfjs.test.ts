import { memory } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { HpsError } from '../../../../src/core/errors.js';
import { MODALITIES } from '../../../../src/core/onnx/manifest.js';
import { floatsOf, type TensorValue } from '../../../../src/core/runtime/value.js';
import type { GradientStep, LossModel } from '../../../../src/core/training/engines/engine.js';
import { type ImportPackage, loadTf } from '../../../../src/core/training/engines/tfjs/backend.js';
import { tfjsEngine } from '../../../../src/core/training/engines/tfjs.js';
import { floats, runModel } from '../../../helpers/graphs.js';
import { tempFolder } from '../../../helpers/temp.js';
import { CASES, feedsOf, modelOf, outputWeights } from '../../autodiff/cases.js';
import { withLoss } from './loss-case.js';
import { picoLoss } from './pico-loss.js';

const CPU = { device: { kind: 'cpu' } } as const;

/** One step; nothing of it, nor of the model, stays behind. */
async function stepOnce(lossModel: LossModel, feeds: ReadonlyMap<string, TensorValue>): Promise<GradientStep> {
  const session = await tfjsEngine.open(lossModel, CPU);
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
    expect(memory().numTensors).toBe(0);
  }
}

describe('the gradients of TensorFlow.js', () => {
  // Our own gradients of the same losses are held to the same vectors in tests/core/autodiff: so the two agree as well.
  it.for(CASES)('are those of PyTorch for $name', async (operator, { skip }) => {
    const model = withLoss(modelOf(operator), (index) => {
      const shape = operator.outputs[index];
      return { shape, values: outputWeights(shape, index) };
    });
    const feeds = feedsOf(operator);
    const step = await stepOnce({ model, loss: 'loss', parameters: [...feeds.keys()] }, feeds).catch((error) => {
      if (error instanceof HpsError && error.code === 'ONNX_UNSUPPORTED') skip(error.message);
      throw error;
    });
    for (const [index, expected] of Object.entries(operator.gradients)) {
      const scale = Math.max(...expected.map(Math.abs));
      expect(step.gradients.get(`x${index}`)).toBeAllClose(expected, { rtol: 1e-5, atol: 1e-5 * scale });
    }
  });
});

describe('the engine tfjs on whole models', () => {
  it.each(MODALITIES)('computes what onnxruntime does for %s', async (modality) => {
    const { feeds, ...lossModel } = await picoLoss(modality, 'item', 14);
    const { outputs } = await stepOnce(lossModel, feeds);
    const expected = await runModel(lossModel.model, tempFolder(), feeds);
    for (const name of expected.keys()) {
      expect(floatsOf(outputs.get(name)!)).toBeAllClose(floats(expected, name), { atol: 1e-5, rtol: 1e-5 });
    }
  });
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
    });
    await expect(loadTf({ kind: 'cuda', index: 1 }, packages)).rejects.toMatchObject({
      hint: expect.stringContaining('CUDA_VISIBLE_DEVICES=1'),
    });
  });
});
