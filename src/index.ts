/**
 * The public library: the scorer, the errors, and readers of checkpoints and models. The verbs of the command line are in
 * `hpsv3/lifecycle`, what extensions are made of in `hpsv3/graph`. Importing it does nothing and loads neither a runtime nor a
 * schema: what reads a model is loaded when the first is opened.
 */

export type { Checkpoint, CheckpointConfig } from './core/checkpoint/checkpoint.js';
export { type OpenCheckpointOptions, openCheckpoint } from './core/checkpoint/open.js';
export { ERROR_CODES, type ErrorCode, HpsError, type HpsErrorOptions } from './core/errors.js';
export type { MediaSource } from './core/media/item.js';
export type { S3Access } from './core/media/remote/s3.js';
export type { RemoteFile, RemoteOptions, RemoteStore } from './core/media/remote/store.js';
export type { Decision, Modality, Mode } from './core/onnx/manifest-names.js';
export type { OptimizationLevel } from './core/runtime/session.js';
export type { ContractFile, ForeignScore, ScoringContract } from './core/samples/contract.js';
export type { ItemInput, MediaBytes } from './core/samples/resolve.js';
export type { RuntimeInfo } from './core/scoring/model.js';
export type { CalibratedBy, ItemScore, PairScore, Score } from './core/scoring/result.js';
export {
  HPSv3Scorer,
  type ItemSample,
  type Latents,
  type Outcome,
  type PairSample,
  type Sample,
  type ScoreOptions,
  type ScorerOptions,
} from './core/scoring/scorer.js';
export { createServer, readTokenFile } from './core/serving/create-server.js';
export type { HttpLimits, Tls } from './core/serving/http.js';
export type { ServerLog } from './core/serving/log.js';
export type { FileSource as ModelFileSource, LoadOptions, ModelSource } from './core/serving/model.js';
export type { RewardServer, ServerLimits, ServerOptions } from './core/serving/server.js';
export type { TokenEntry } from './core/serving/tokens.js';
export { readTensor, type Tensor, type TensorInfo } from './core/tensor/tensor.js';
export { asFloat32 } from './core/tensor/values.js';

// What these are made of.

export type { JsonObject, JsonValue } from './core/bytes/json.js';
export type { FilesBeside } from './core/checkpoint/beside.js';
export type { Auxiliary, AuxScores, PairAuxScores, Percentile, Winner } from './core/data/rows.js';
export type {
  Aggregate,
  ItemWindows,
  PairWindows,
  WindowCurve,
  WindowRule,
  WindowScore,
} from './core/data/score-windows.js';
export type { ChatMessage } from './core/media/item.js';
export type { Credentials } from './core/media/remote/sigv4.js';
export type { ContractInput, Manifest } from './core/onnx/manifest.js';
export type { ValueInfo } from './core/runtime/session.js';
export type { TensorValue, ValueData, ValueDtype } from './core/runtime/value.js';
export type { RowGroups } from './core/scoring/calibration.js';
export type { TensorInterface, Work } from './core/scoring/engine.js';
export type { Row as TensorRow } from './core/scoring/row.js';
export type { BatchTaken } from './core/scoring/stage.js';
export type { WindowOptions } from './core/scoring/windows/options.js';
export type { Dtype } from './core/tensor/dtype.js';
