import type { OnnxModel } from '../../onnx/model.js';
import type { DeviceChoice } from '../../runtime/device.js';
import type { TensorValue } from '../../runtime/value.js';

export const ENGINE_IDS = ['onnxruntime', 'tfjs'] as const;
export type EngineId = (typeof ENGINE_IDS)[number];

/** A forward pass that ends in a loss. Every shape in it is concrete. */
export interface LossModel {
  readonly model: OnnxModel;
  /** The output that is differentiated: float32, one element. */
  readonly loss: string;
  /** Inputs that are trained: float32. All other inputs are data. */
  readonly parameters: readonly string[];
}

export interface EngineOptions {
  readonly device: DeviceChoice;
  /** Threads inside one operator; the cores by default. */
  readonly threads?: number;
  /** Whether weights are mapped where they lie in files, which must stay as they are; else the session has its own copy. */
  readonly mapWeights?: boolean;
  /** Whether a session keeps its weights in the order of its kernels, as by default: a second copy, for the time of some runs. */
  readonly packWeights?: boolean;
}

/** What one run gives. The arrays belong to the session and are overwritten by its next run. */
export interface GradientStep {
  /** Of every output of the model, the loss among them. */
  readonly outputs: ReadonlyMap<string, TensorValue>;
  /** d loss / d parameter, row-major in the parameter's shape. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** A loss model made ready to be differentiated again and again. */
export interface GradientSession {
  /** What it runs on: `cpu`, `webgpu`, `cuda:0`, or the backend of TensorFlow.js. */
  readonly device: string;
  /** Names of what `run` must be fed: the inputs of the model. */
  readonly inputs: readonly string[];
  /**
   * Loss and gradients at the given parameters and data: a feed for every input of the model.
   * @throws HpsError MODEL_OUT_OF_MEMORY, INPUTS_INVALID, ONNX_UNSUPPORTED
   */
  run(feeds: ReadonlyMap<string, TensorValue>): Promise<GradientStep>;
  release(): Promise<void>;
}

/** Something that differentiates a loss model and runs it. */
export interface TrainingEngine {
  readonly id: EngineId;
  /** @throws HpsError ONNX_UNSUPPORTED naming an operator without a gradient and its node; BACKEND_UNAVAILABLE */
  open(model: LossModel, options: EngineOptions): Promise<GradientSession>;
}
