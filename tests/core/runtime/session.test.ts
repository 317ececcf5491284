import { describe, expect, it } from 'vitest';
import { loadRuntime, openSession } from '../../../src/core/runtime/ort.js';
import { runtimeVersion } from '../../../src/core/runtime/runtime-version.js';
import { OPTIMIZATION_LEVELS } from '../../../src/core/runtime/session.js';
import { telemetryIsOff } from '../../../src/core/runtime/telemetry.js';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';
import { goldenModel } from '../../helpers/models.js';

const model = (name: string) => goldenModel('runtime', name);
// Vector: Python onnxruntime 1.32 on the same file and input.
const MLP_INPUT = float32Value([2, 4], Float32Array.of(1, 2, 3, 4, -1, 0.5, 0, 2));
const MLP_OUTPUT = [-0.0819210410118103, -3.78373122215271, -0.7361756563186646, 2.6458568572998047];

describe('openSession', () => {
  it.each(OPTIMIZATION_LEVELS)('gives the values of the reference at optimisation level %s', async (optimization) => {
    const session = await openSession(model('mlp'), { optimization, threads: 1 });
    const { dtype, shape, data } = (await session.run(new Map([['x', MLP_INPUT]]))).get('y')!;
    expect({ dtype, shape }).toEqual({ dtype: 'F32', shape: [2, 2] });
    expect(data as Float32Array).toBeAllClose(MLP_OUTPUT, { atol: 1e-6 });
    await session.release();
  });

  it('tells inputs and outputs with their symbolic dimensions', async () => {
    const session = await openSession(model('mlp'));
    expect(session.inputs).toEqual([{ name: 'x', dtype: 'F32', shape: ['batch', 4] }]);
    expect(session.outputs).toEqual([{ name: 'y', dtype: 'F32', shape: ['batch', 2] }]);
    await session.release();
  });

  it('passes every dtype through bit by bit', async () => {
    const data: Record<string, TensorValue['data']> = {
      F64: Float64Array.of(Math.PI, -0),
      F32: Float32Array.of(1.5, -2),
      F16: Uint16Array.of(0x3c00, 0xfbff),
      I64: BigInt64Array.of(-(2n ** 62n), 1n),
      I32: Int32Array.of(-1, 7),
      I8: Int8Array.of(-128, 127),
      U8: Uint8Array.of(0, 255),
      BOOL: Uint8Array.of(1, 0),
    };
    const session = await openSession(model('identity'));
    const feeds = new Map(
      Object.entries(data).map(([dtype, values]) => [
        `in_${dtype}`,
        { dtype, shape: [1, 2], data: values } as TensorValue,
      ]),
    );
    const outputs = await session.run(feeds);
    for (const [dtype, values] of Object.entries(data)) {
      expect(outputs.get(`out_${dtype}`)).toEqual({ dtype, shape: [1, 2], data: values });
    }
    await session.release();
  });

  it('passes session configuration on to onnxruntime', async () => {
    // An ONNX file is not in onnxruntime's own format: that it fails shows that the entry arrived.
    await expect(openSession(model('mlp'), { config: { 'session.load_model_format': 'ORT' } })).rejects.toMatchObject({
      name: 'HpsError',
    });
  });

  it('tells the version behind it and keeps telemetry off', async () => {
    expect(await loadRuntime()).toBe('1.30.0');
    expect(runtimeVersion()).toBe('1.30.0');
    expect(telemetryIsOff()).toBe(true);
  });
});

describe('a model onnxruntime refuses', () => {
  it.each([
    ['custom-operator', 'ONNX_UNSUPPORTED'],
    ['opset-99', 'ONNX_UNSUPPORTED'],
    ['strings', 'ONNX_UNSUPPORTED'],
    ['cycle', 'ONNX_CORRUPT'],
    ['undefined-input', 'ONNX_CORRUPT'],
    ['truncated', 'ONNX_CORRUPT'],
    ['missing-data', 'FILE_NOT_FOUND'],
    ['no-such-model', 'FILE_NOT_FOUND'],
  ])('%s is %s, with its name and without its folder', async (name, code) => {
    const error = await openSession(model(name)).catch((reason) => reason);
    expect(error).toMatchObject({ name: 'HpsError', code });
    expect(error.message).toContain(`${name}.onnx`);
    expect(error.message).not.toMatch(/\/golden\/|onnxruntime_src/);
    expect(error.hint).not.toBe('');
  });

  it.each([
    ['a missing input', new Map()],
    ['another dtype', new Map([['x', { dtype: 'I64', shape: [1, 4], data: new BigInt64Array(4) } as TensorValue]])],
    ['another width', new Map([['x', float32Value([1, 5], new Float32Array(5))]])],
    ['another rank', new Map([['x', float32Value([4], new Float32Array(4))]])],
  ])('%s is INPUTS_INVALID', async (_, feeds) => {
    const session = await openSession(model('mlp'));
    await expect(session.run(feeds)).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
    await session.release();
  });

  it('a size the graph cannot reshape is INPUTS_INVALID', async () => {
    const session = await openSession(model('reshape'));
    const error = await session.run(new Map([['x', float32Value([4], new Float32Array(4))]])).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'INPUTS_INVALID' });
    expect(error.message).toMatch(/Reshape/);
    expect(error.message).not.toMatch(/onnxruntime_src/);
    await session.release();
  });
});
