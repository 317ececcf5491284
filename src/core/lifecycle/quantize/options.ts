import { DEFAULT_GATE, DEFAULT_SEED } from '../../defaults.js';
import type { Budget } from '../../gate/budget.js';
import type { GateLevel } from '../../gate/report.js';
import type { RangeMethodId } from '../../quantization/ranges/methods.js';
import type { SchemeId } from '../../quantization/schemes/registry.js';
import type { Run } from '../../run.js';
import type { ModelLimits } from '../../runtime/child.js';
import type { Processor } from '../../runtime/processors.js';

export interface QuantizeOptions extends Run {
  /** The float model. */
  readonly model: string;
  readonly out: string;
  /** `auto` searches for the one to recommend. */
  readonly scheme?: SchemeId | 'auto';
  /** How static ranges are chosen. */
  readonly ranges?: RangeMethodId;
  /** Rows of the user's own (safetensors, by input name) for calibration and gate instead of seeded probes. */
  readonly inputs?: string;
  /** Media of the user's own (JSONL, CSV or Parquet of samples) for the same; what raters said of them gives the accuracy. */
  readonly samples?: string;
  /** Folder that paths in `samples` are taken from; that of the file by default. */
  readonly mediaRoot?: string;
  readonly perChannel?: boolean;
  /**
   * What weights of integer kernels are made for: `any` processor, with a part of a bit less, or `vnni`, with all 8 bits, though
   * processors without VNNI cut sums off. `auto` takes `vnni` where sums are exact here.
   */
  readonly processor?: Processor | 'auto';
  /** The same as `processor: 'vnni'`. */
  readonly fullRange?: boolean;
  /** Globs over node names. */
  readonly exclude?: readonly string[];
  readonly budget?: Budget;
  /** Largest file that is accepted, in bytes. */
  readonly maxSize?: number;
  readonly gate?: GateLevel;
  /** Let a file pass whose rows depend on their neighbours, as dynamic quantization's do. */
  readonly allowBatchDependence?: boolean;
  /** Allow MatMulNBits where the opset has no 4-bit integers. */
  readonly allowContrib?: boolean;
  /** Accept NaN and infinities among the weights. */
  readonly allowNonfinite?: boolean;
  readonly seed?: number;
  /** Replace `out`. */
  readonly force?: boolean;
  /** Check everything, write nothing. */
  readonly dryRun?: boolean;
  readonly threads?: number;
  /** Bytes that all of it should take: fewer calibration rows are run at once where memory comes near that. */
  readonly maxMemory?: number;
  readonly limits?: ModelLimits;
}

export const QUANTIZE_DEFAULTS = {
  scheme: 'auto',
  ranges: 'mse',
  perChannel: true,
  processor: 'any',
  fullRange: false,
  exclude: [],
  gate: DEFAULT_GATE,
  allowBatchDependence: false,
  allowContrib: false,
  allowNonfinite: false,
  seed: DEFAULT_SEED,
  force: false,
  dryRun: false,
} as const satisfies Partial<QuantizeOptions>;
