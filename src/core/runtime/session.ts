import type { Device } from './device.js';
import type { TensorValue, ValueDtype } from './value.js';

/** Graph optimisation levels of onnxruntime, from none to all. */
export const OPTIMIZATION_LEVELS = ['disabled', 'basic', 'extended', 'all'] as const;
export type OptimizationLevel = (typeof OPTIMIZATION_LEVELS)[number];

export interface SessionOptions {
  /** The processor by default. */
  readonly device?: Device;
  /** `all` by default, as onnxruntime itself. */
  readonly optimization?: OptimizationLevel;
  /** Threads inside one operator; onnxruntime's own choice (the cores) by default. Operators run one after the other. */
  readonly threads?: number;
  /**
   * Whether memory of a run is planned from the shapes of the one before, as by default: faster by little where many runs have
   * one shape, at the price of a plan's memory beside what the first run took.
   */
  readonly memoryPattern?: boolean;
  /** Session configuration entries by their full names, such as `session.disable_prepacking`: the manifest's `session`. */
  readonly config?: Readonly<Record<string, string>>;
  /**
   * The model itself, where what lies at the path is only the file that its weights are in: its external data is looked for in
   * the folder of that path.
   */
  readonly bytes?: Uint8Array;
  /** Outputs that stay in the memory of the device: see `LocalSession.runResident`. */
  readonly resident?: readonly string[];
  /** Write a trace of every load, run and kernel to `TRACEPREFIX_DATE.json` when the session is released. It costs microseconds a kernel. */
  readonly tracePrefix?: string;
}

/** What a model says of one of its inputs or outputs; a string in the shape is a symbolic dimension. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: ValueDtype;
  readonly shape: readonly (number | string)[];
}

/** A loaded model, here or in another process. */
export interface Session {
  readonly inputs: readonly ValueInfo[];
  /** In the order of the graph. */
  readonly outputs: readonly ValueInfo[];
  /** Milliseconds the load took. */
  readonly loadMs: number;
  /** Whether runs that are asked for at once cost less than one after the other. */
  readonly together?: boolean;
  /**
   * Runs the model once.
   * @throws HpsError INPUTS_INVALID where the model rejects the feeds, else ONNX_UNSUPPORTED or MODEL_OUT_OF_MEMORY;
   * from a `ModelProcess` also MODEL_CRASHED, MODEL_TIMEOUT and INTERRUPTED
   */
  run(feeds: ReadonlyMap<string, TensorValue>): Promise<Map<string, TensorValue>>;
  release(): Promise<void>;
}
