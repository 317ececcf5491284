/**
 * The public library: what a program that imports `hpsv3` may rely on. Importing it does nothing and loads no runtime;
 * onnxruntime is loaded when a model is first run.
 */

export type { Checkpoint } from './core/checkpoint/checkpoint.js';
export { openCheckpoint } from './core/checkpoint/open.js';
export { ERROR_CODES, type ErrorCode, HpsError, type HpsErrorOptions } from './core/errors.js';
export { type GateOptions, type GateReference, runGate } from './core/gate/gate.js';
export type { GateLevel, GateReport } from './core/gate/report.js';
export { type ExportOptions, type ExportReport, exportModel } from './core/lifecycle/export/export.js';
export { type InitOptions, type InitReport, initCheckpoint } from './core/lifecycle/init/init.js';
export { type InspectOptions, type InspectReport, inspectFile } from './core/lifecycle/inspect/inspect.js';
export { type VerifyOptions, type VerifyReport, verifyModels } from './core/lifecycle/verify/verify.js';
export type { S3Access } from './core/media/remote/s3.js';
export type { RemoteOptions } from './core/media/remote/store.js';
export type { Manifest, Modality, Mode } from './core/onnx/manifest.js';
export type { ContractFile } from './core/samples/contract.js';
export type { ItemInput, MediaBytes } from './core/samples/resolve.js';
export type { RuntimeInfo } from './core/scoring/model.js';
export type { ItemScore, PairScore, Score } from './core/scoring/result.js';
export {
  HPSv3Scorer,
  type ItemSample,
  type Outcome,
  type PairSample,
  type Sample,
  type ScoreOptions,
  type ScorerOptions,
} from './core/scoring/scorer.js';
export type { Tensor, TensorInfo } from './core/tensor/tensor.js';
