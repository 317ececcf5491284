import { HpsError } from '../../errors.js';
import type { Device } from '../../runtime/device.js';
import type { EngineOptions, TrainingEngine } from '../engines/engine.js';
import { openOnDevice } from '../engines/onnxruntime.js';
import type { OptimizerSettings } from '../graph/optimizer-graph.js';
import { vectorModel } from '../graph/vector-model.js';
import type { TrainingConfig } from './config.js';
import { trainsInHalf } from './device-half.js';

/**
 * Where weights are updated: by the host, from gradients that come to it; in the memory of the device, where values can be left
 * in between runs; or by a graph that takes several steps in one run.
 */
export type UpdatePlace = 'host' | 'device' | 'loop';

/** Steps in one run on a device whose memory cannot be reached in between. */
export const LOOP_STEPS = 8;

/** How steps are taken: known once the device is. */
export interface Setup {
  readonly update: UpdatePlace;
  /** Whether products are in float16. */
  readonly half: boolean;
}

/**
 * Finds how to take steps on a device.
 * @param update - where weights must be updated; by default the best for the device
 * @throws HpsError BACKEND_UNAVAILABLE where the device, or its float16, is not there
 */
export async function setUp({
  engine,
  config,
  update,
  ...options
}: EngineOptions & {
  readonly engine: TrainingEngine;
  readonly config: TrainingConfig;
  readonly update?: UpdatePlace;
}): Promise<Setup> {
  if (engine.id !== 'onnxruntime') {
    if (config.precision === 'float16') throw noHalf(engine.id);
    return { update: 'host', half: false };
  }
  const device = await resolveDevice(options);
  const half = await trainsInHalf(config.precision, device, options);
  return { update: update ?? updateFor(device, config), half };
}

/** The device asked for, or under `auto` the first that works. */
async function resolveDevice({ device, threads }: EngineOptions): Promise<Device> {
  if (device.kind !== 'auto') return device;
  const opened = await openOnDevice(vectorModel('Identity', ['a']), { device, threads });
  await opened.session.release();
  return opened.device;
}

/** Where weights are best updated: onnxruntime leaves values in WebGPU's memory, and in no other. */
function updateFor({ kind }: Device, { steps_per_run: steps }: TrainingConfig): UpdatePlace {
  if (kind === 'webgpu') return 'device';
  return (steps ?? (kind === 'cuda' ? LOOP_STEPS : 1)) > 1 ? 'loop' : 'host';
}

const noHalf = (engine: string): HpsError =>
  new HpsError('BACKEND_UNAVAILABLE', `engine ${engine} computes nothing in float16`, {
    hint: 'Set training.precision to float32, or use `engine` onnxruntime.',
    details: { engine },
  });

/** What AdamW is set to. */
export const optimizerSettings = (config: TrainingConfig): OptimizerSettings => ({
  beta1: config.beta1,
  beta2: config.beta2,
  epsilon: config.epsilon,
  weightDecay: config.weight_decay,
  clipNorm: config.clip_norm,
  averageDecay: config.ema_decay,
});
