import { Emitter, withOutputs } from '../../autodiff/emitter.js';
import type { Operand } from '../../autodiff/types.js';
import { HpsError } from '../../errors.js';
import type { OnnxModel } from '../../onnx/model.js';
import type { Device } from '../../runtime/device.js';
import { float32Value } from '../../runtime/value.js';
import type { EngineOptions } from '../engines/engine.js';
import { openOnDevice } from '../engines/onnxruntime.js';
import { emptyGraph } from '../graph/optimizer-graph.js';
import type { TrainingConfig } from './config.js';

/**
 * Whether to train in float16 on a device: `auto` leaves the processor out, which has no products of float16 and would cast.
 * @throws HpsError BACKEND_UNAVAILABLE where the configuration insists and the device has none
 */
export async function trainsInHalf(
  precision: TrainingConfig['precision'],
  device: Device,
  options: EngineOptions,
): Promise<boolean> {
  if (precision === 'float32' || (precision === 'auto' && device.kind === 'cpu')) return false;
  const failure = await halfFailure({ ...options, device });
  if (failure === null || precision === 'auto') return failure === null;
  throw new HpsError('BACKEND_UNAVAILABLE', `device ${device.kind} computes nothing in float16`, {
    hint: 'Set training.precision to float32, or to auto to take float16 where a device has it.',
    details: { device: device.kind },
    cause: failure,
  });
}

/** What goes wrong with a product in float16, or null. */
async function halfFailure(options: EngineOptions): Promise<unknown> {
  try {
    const { session } = await openOnDevice(halfProduct(), options);
    try {
      await session.run(new Map([['a', float32Value([SIZE, SIZE], new Float32Array(SIZE * SIZE).fill(1))]]));
      return null;
    } finally {
      await session.release();
    }
  } catch (error) {
    return error;
  }
}

const SIZE = 16;

/** The square of a matrix, in float16. */
function halfProduct(): OnnxModel {
  const a: Operand = { name: 'a', dtype: 'F32', shape: [SIZE, SIZE] };
  const graph = new Emitter(emptyGraph([a]), 'half/');
  const half = graph.cast(a, 'F16');
  const square = graph.cast(graph.matmul(half, half), 'F32');
  return withOutputs(graph.finish(), [square.name]).model;
}
