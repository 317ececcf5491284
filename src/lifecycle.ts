/**
 * Every verb of the command line as a function: options of which only what cannot be guessed is required, the defaults, and a typed
 * report. A verb prints nothing, and ends with an `HpsError` where a command would end with an exit code.
 *
 * @example
 * import { calibrateFiles, exportModel } from 'hpsv3/lifecycle';
 * const { gate } = await exportModel({ checkpoint: 'checkpoint.pt', out: 'model.onnx' });
 * const { after } = await calibrateFiles({ scores: 'scores.jsonl', labels: 'labels.jsonl', out: 'calibrator.json' });
 */

export type { Abstention } from './core/calibration/abstention.js';
export type { Reference } from './core/calibration/reference.js';
export type { BestOfFigures, BestOfReport } from './core/evaluation/best-of.js';
export type { BiasReport, DiagnosisReport } from './core/evaluation/diagnose.js';
export type { PromptItems } from './core/evaluation/prompt-items.js';
export type { TraitId } from './core/evaluation/traits.js';
export type { RecordedScores, Skew } from './core/gate/recorded.js';
export {
  CALIBRATE_DEFAULTS,
  type CalibrateOptions,
  type CalibrateReport,
  calibrateFiles,
} from './core/lifecycle/calibrate/calibrate.js';
export {
  CHECK_CALIBRATOR_DEFAULTS,
  type CheckCalibratorOptions,
  type CheckCalibratorReport,
  checkCalibrator,
} from './core/lifecycle/calibrate/check.js';
export {
  DIFF_CARDS_DEFAULTS,
  type DiffCardsOptions,
  type DiffCardsReport,
  type DiffedCard,
  diffModelCards,
} from './core/lifecycle/card/diff.js';
export {
  type FileStatus,
  VERIFY_CARD_DEFAULTS,
  type VerifyCardOptions,
  type VerifyCardReport,
  verifyModelCard,
} from './core/lifecycle/card/verify.js';
export {
  CARD_DEFAULTS,
  type ModelCardOptions,
  type ModelCardReport,
  makeModelCard,
} from './core/lifecycle/card/write.js';
export {
  DRAFT_CONTRACT_DEFAULTS,
  type DraftContractOptions,
  type DraftContractReport,
  draftContract,
} from './core/lifecycle/contract/draft.js';
export {
  EMBED_CONTRACT_DEFAULTS,
  type EmbedContractOptions,
  type EmbedContractReport,
  embedContract,
} from './core/lifecycle/contract/embed.js';
export {
  CONSENSUS_DEFAULTS,
  type ConsensusFileOptions,
  type ConsensusFileReport,
  type ConvertFileReport,
  consensusFile,
  convertFile,
  DATA_DEFAULTS,
  type DataFileOptions,
  type DataFileReport,
  type DataStatsReport,
  SPLIT_DEFAULTS,
  type SplitFileOptions,
  type SplitFileReport,
  splitFile,
  statsOfFile,
  type WriteDataOptions,
} from './core/lifecycle/data/data-files.js';
export {
  type DemoOptions,
  type DemoProgress,
  type DemoReport,
  type DemoRow,
  runDemo,
} from './core/lifecycle/demo/demo.js';
export type { DemoCheckpoint, DemoPlanOptions, DemoStep } from './core/lifecycle/demo/plan.js';
export { type DeviceState, type Diagnosis, diagnose, type PackageState } from './core/lifecycle/doctor/doctor.js';
export {
  CHECK_DRIFT_DEFAULTS,
  type CheckDriftOptions,
  type CheckDriftReport,
  checkDrift,
} from './core/lifecycle/drift/check.js';
export {
  FIT_DRIFT_DEFAULTS,
  type FitDriftOptions,
  type FitDriftReport,
  fitDrift,
} from './core/lifecycle/drift/fit.js';
export {
  APPLY_ENSEMBLE_DEFAULTS,
  type ApplyEnsembleOptions,
  type ApplyEnsembleReport,
  applyEnsemble,
} from './core/lifecycle/ensemble/apply.js';
export {
  FIT_DEFAULTS,
  MAKE_ENSEMBLE_DEFAULTS,
  type MakeEnsembleOptions,
  type MakeEnsembleReport,
  makeEnsemble,
} from './core/lifecycle/ensemble/fit.js';
export type { InputRows, ScoreFile } from './core/lifecycle/ensemble/inputs.js';
export {
  MERGE_ENSEMBLE_DEFAULTS,
  type MergeEnsembleOptions,
  type MergeEnsembleReport,
  type ModelFile,
  mergeEnsemble,
} from './core/lifecycle/ensemble/merge.js';
export {
  EVALUATE_DEFAULTS,
  type EvaluateOptions,
  type EvaluateReport,
  evaluateFiles,
  type ReportInput,
} from './core/lifecycle/evaluate/evaluate.js';
export type { LabelScoring } from './core/lifecycle/evaluate/score-labels.js';
export {
  EXPLAIN_DEFAULTS,
  type ExplainInput,
  type ExplainOptions,
  type ExplainReport,
  explainDecisions,
} from './core/lifecycle/explain/explain.js';
export {
  EXPORT_DEFAULTS,
  type ExportedStep,
  type ExportOptions,
  type ExportReport,
  exportModel,
} from './core/lifecycle/export/export.js';
export { INIT_DEFAULTS, type InitOptions, type InitReport, initCheckpoint } from './core/lifecycle/init/init.js';
export {
  INSPECT_DEFAULTS,
  type InspectedTensor,
  type InspectOptions,
  type InspectReport,
  inspectFile,
  type OnnxFacts,
  type OnnxValue,
} from './core/lifecycle/inspect/inspect.js';
export { type ForgetRaterOptions, type ForgetRaterReport, forgetRater } from './core/lifecycle/label/forget.js';
export {
  collectLabels,
  LABEL_DEFAULTS,
  type LabelAddress,
  type LabelOptions,
  type LabelReport,
} from './core/lifecycle/label/label.js';
export {
  type MergedFile,
  type MergeLabelsOptions,
  type MergeLabelsReport,
  mergeLabels,
} from './core/lifecycle/label/merge.js';
export { PROFILE_DEFAULTS, type ProfileOptions, profileModel } from './core/lifecycle/profile/profile.js';
export { QUANTIZE_DEFAULTS, type QuantizeOptions } from './core/lifecycle/quantize/options.js';
export { type CalibrationFacts, type QuantizeReport, quantizeModel } from './core/lifecycle/quantize/quantize.js';
export { demoRelease, type ReleaseDemoOptions, type ReleaseDemoReport } from './core/lifecycle/release/demo.js';
export { FETCH_DEFAULTS, type FetchOptions, type FetchReport, fetchRuntimes } from './core/lifecycle/release/fetch.js';
export {
  RELEASE_DEFAULTS,
  type ReleasedArchive,
  type ReleaseOptions,
  type ReleaseReport,
  releaseModels,
} from './core/lifecycle/release/release.js';
export {
  type KeygenOptions,
  type KeygenReport,
  makeSigningKey,
  type SignOptions,
  type SignReport,
  signRelease,
} from './core/lifecycle/release/sign.js';
export {
  type ReleaseCheck,
  type ReleaseFault,
  type VerifyReleaseOptions,
  type VerifyReleaseReport,
  verifyRelease,
} from './core/lifecycle/release/verify.js';
export {
  REPORT_DEFAULTS,
  type RunReport,
  type RunReportOptions,
  reportRun,
} from './core/lifecycle/report/run-report.js';
export { BATCH_DEFAULTS, type BatchOptions, type BatchReport, runBatch } from './core/lifecycle/score/batch.js';
export { EMBED_DEFAULTS, type EmbedOptions, type EmbedReport, embedFile } from './core/lifecycle/score/embed.js';
export type { EmbeddingFormat } from './core/lifecycle/score/embedding-files.js';
export {
  FIT_WINDOWS_DEFAULTS,
  type FitWindowsOptions,
  type FitWindowsReport,
  fitWindows,
} from './core/lifecycle/score/fit-windows.js';
export {
  MERGE_SHARDS_DEFAULTS,
  type MergeOptions,
  type MergeReport,
  mergeShards,
} from './core/lifecycle/score/merge-shards.js';
export {
  SCORE_DEFAULTS,
  type ScoreFileOptions,
  type ScoreInput,
  type ScoreReport,
  scoreOne,
} from './core/lifecycle/score/score.js';
export {
  replaySelection,
  SELECT_REPLAY_DEFAULTS,
  type SelectReplayOptions,
  type SelectReplayReport,
} from './core/lifecycle/select/replay.js';
export {
  SELECT_DEFAULTS,
  type SelectOptions,
  type SelectReport,
  selectPairs,
} from './core/lifecycle/select/select.js';
export { type ServeAddress, type ServeOptions, type ServeReport, serve } from './core/lifecycle/serve/serve.js';
export { createToken, type NewTokenOptions, type NewTokenReport } from './core/lifecycle/serve/token.js';
export {
  FINETUNE_DEFAULTS,
  FINETUNE_TRAINING,
  type FinetuneOptions,
  type FinetuneReport,
  finetuneModel,
} from './core/lifecycle/train/finetune.js';
export { TRAIN_DEFAULTS, type TrainOptions, type TrainReport, trainModel } from './core/lifecycle/train/train.js';
export {
  VERIFY_DEFAULTS,
  type VerifyOptions,
  type VerifyReport,
  verifyModels,
} from './core/lifecycle/verify/verify.js';
export { runWorker, WORKER_DEFAULTS, type WorkerOptions, type WorkerReport } from './core/lifecycle/worker/worker.js';
export type { RatedItems } from './core/stats/best-of.js';
export type { Clusters } from './core/stats/statistic.js';
export {
  type ModalityReport,
  SYNTH_DEFAULTS,
  type SynthDocument,
  type SynthManifest,
  type SynthOptions,
  type SynthReport,
  synthesize,
} from './core/synthesis/synthesize.js';

// What options and reports are made of.

export type {
  Architecture,
  ArchitectureExporter,
  Contract,
  ExportRequest,
  InitialModel,
  ModelSection,
  OptionSpecs,
  TensorInfos,
} from './core/architectures/architecture.js';
export type { ExampleValue } from './core/architectures/example-inputs.js';
export type { FamilySource } from './core/architectures/family-file.js';
export type { HeadFile, HeadReading } from './core/architectures/head-file.js';
export type { LinearLayer } from './core/architectures/score-head/chain.js';
export type { SampleScore } from './core/bundle/bundle-file.js';
export type { ReleaseLayout } from './core/bundle/layouts.js';
export type { ComparedSample, SampleComparison } from './core/bundle/samples.js';
export type { JsonObject, JsonValue } from './core/bytes/json.js';
export type { ByteSink, WrittenFile } from './core/bytes/sink.js';
export type { CalibrationMethodId, Calibrator } from './core/calibration/calibrator.js';
export type { CandidateLoss } from './core/calibration/cross-validation.js';
export type { BeforeAndAfter, Figures, ResampleCounts } from './core/calibration/figures.js';
export type { FittedCalibrator } from './core/calibration/fit-calibrator.js';
export type { GroupFit } from './core/calibration/group-fit.js';
export type { Staleness, StalenessTest } from './core/calibration/staleness.js';
export type { FittedWindowRule } from './core/calibration/window-rule.js';
export type { BoundFile, CardFacts, Gap } from './core/card/card-facts.js';
export type { Difference } from './core/card/differences.js';
export type { DocumentKind } from './core/card/documents.js';
export type { FilesBeside } from './core/checkpoint/beside.js';
export type { Checkpoint, CheckpointConfig } from './core/checkpoint/checkpoint.js';
export type { Consensus, ConsensusMethod, ConsensusOptions } from './core/data/consensus.js';
export type { DataStats } from './core/data/data-stats.js';
export type { DawidSkeneRater } from './core/data/dawid-skene.js';
export type { DataFormat } from './core/data/formats.js';
export type { UnmatchedIds } from './core/data/join.js';
export type { JudgedRows } from './core/data/judged-scores.js';
export type { LabelLayout, LayoutChoice } from './core/data/layouts/apply.js';
export type { FieldMap } from './core/data/layouts/map.js';
export type { OutputLayout } from './core/data/layouts/write.js';
export type { ConsensusReport, ConvertReport, SplitReport } from './core/data/operations.js';
export type { RowsReport } from './core/data/row-counts.js';
export type { StandardStreams, WrittenRows } from './core/data/row-files.js';
export type {
  Auxiliary,
  AuxScores,
  BadRow,
  BadRowCode,
  Item,
  PairAuxScores,
  PairRow,
  Percentile,
  Turn,
  Winner,
} from './core/data/rows.js';
export type {
  Aggregate,
  ItemWindows,
  PairWindows,
  ScoreWindows,
  WindowCurve,
  WindowRule,
  WindowScore,
} from './core/data/score-windows.js';
export type { Shard } from './core/data/shard.js';
export type { SplitFractions } from './core/data/split.js';
export type { RowSink } from './core/data/write-rows.js';
export type { DocumentOf } from './core/documents/define.js';
export type { CheckDocument } from './core/drift/document.js';
export type { CheckSettings } from './core/drift/options.js';
export type { DriftReference } from './core/drift/reference.js';
export type { RowKind, RowReading } from './core/drift/window.js';
export type { EnsembleFile } from './core/ensemble/ensemble-file.js';
export type { Contribution, EnsembleFigures, Figure, Figures as EnsembleFigure } from './core/ensemble/figures.js';
export type { Disagreement } from './core/ensemble/fit.js';
export type { MergedModel } from './core/ensemble/merge.js';
export type { Coverage as EnsembleCoverage, MemberCoverage } from './core/ensemble/rows.js';
export type { ErrorCode, HpsError, HpsErrorOptions } from './core/errors.js';
export type { AuxReport, HeadReport } from './core/evaluation/auxiliary.js';
export type { BaselineReport, MetricComparison } from './core/evaluation/baseline.js';
export type { Distribution, Distributions } from './core/evaluation/distributions.js';
export type { GroupDelta } from './core/evaluation/group-deltas.js';
export type { GroupGap, GroupReport, GroupsReport, WorstGroup } from './core/evaluation/groups.js';
export type { ReliabilityBin } from './core/evaluation/reliability.js';
export type { SuiteReport, SuiteSection, SuiteSubset } from './core/evaluation/suite.js';
export type { ExplanationDocument } from './core/explanation/document.js';
export type { MethodId, MethodSettings } from './core/explanation/methods/method.js';
export type { Budget } from './core/gate/budget.js';
export type { MovedOutput } from './core/gate/compare.js';
export type { Confusion, DecisionTable, MarginBin } from './core/gate/decision-table.js';
export type { DecisionDiff } from './core/gate/decisions.js';
export type { Divergence } from './core/gate/divergence.js';
export type { GoldenParity } from './core/gate/golden.js';
export type { GateCheck } from './core/gate/invariances.js';
export type { Probes } from './core/gate/probes.js';
export type { GateLevel, GateReport } from './core/gate/report.js';
export type { RemoteFileOptions, RemoteReport } from './core/hub/with-addresses.js';
export type { ExportName, LeftOut } from './core/labelling/exports.js';
export type { LeftOutByFile } from './core/labelling/folder.js';
export type { Choice as VoteChoice } from './core/labelling/vote.js';
export type { RaterFigures, SessionFigures } from './core/labelling/wire.js';
export type { DriftInputs } from './core/lifecycle/drift/inputs.js';
export type { ChatMessage, MediaSource } from './core/media/item.js';
export type { S3Access } from './core/media/remote/s3.js';
export type { Credentials } from './core/media/remote/sigv4.js';
export type { RemoteFile, RemoteOptions, RemoteStore } from './core/media/remote/store.js';
export type { ItemPart } from './core/modality.js';
export type { GraphBuilder, LinearShape } from './core/onnx/builder.js';
export type { Band, Curve } from './core/onnx/curve.js';
export type { Dim, GraphCore, NodeOptions, ParameterTransform, Value } from './core/onnx/graph-core.js';
export type { GraphIndexOps } from './core/onnx/graph-index-ops.js';
export type { ConvolutionOptions, GraphOps } from './core/onnx/graph-ops.js';
export type { ContractInput, ContractOutput, LineageStep, Manifest } from './core/onnx/manifest.js';
export type { Decision, Modality, Mode } from './core/onnx/manifest-names.js';
export type {
  AttributeProto,
  DeviceConfigurationProto,
  DimensionProto,
  ElementTypeProto,
  FunctionProto,
  GraphProto,
  IntIntListEntryProto,
  MapTypeProto,
  Message,
  ModelProto,
  NodeDeviceConfigurationProto,
  NodeProto,
  OnnxModel,
  OpaqueTypeProto,
  OperatorSetIdProto,
  Segment,
  ShardedDimProto,
  ShardingSpecProto,
  SimpleShardedDimProto,
  SparseTensorProto,
  StringStringEntryProto,
  TensorAnnotation,
  TensorProto,
  TensorShapeProto,
  TensorTypeProto,
  TrainingInfoProto,
  TypeProto,
  ValueInfoProto,
  WeightSource,
} from './core/onnx/model.js';
export type { Sizes } from './core/profiling/inputs.js';
export type { Profile } from './core/profiling/schema.js';
export type { Coverage as RangeCoverage, Equalization } from './core/quantization/ranges/calibrate.js';
export type { RangeMethodId } from './core/quantization/ranges/methods.js';
export type { RowSets } from './core/quantization/rows.js';
export type { Excluded } from './core/quantization/schemes/scheme.js';
export type { SchemeId } from './core/quantization/schemes/scheme-ids.js';
export type { AccuracyChange } from './core/quantization/search/accuracy.js';
export type { SearchReport, Trial } from './core/quantization/search/auto.js';
export type { Latency } from './core/quantization/search/latency.js';
export type { PickChange, PicksChange } from './core/quantization/search/picks.js';
export type { Layer, LayerSensitivity } from './core/quantization/search/sensitivity.js';
export type { Judgement } from './core/quantization/search/trial.js';
export type { Progress, ProgressUnit, Run } from './core/run.js';
export type { ModelLimits } from './core/runtime/child.js';
export type { Device, DeviceChoice } from './core/runtime/device.js';
export type { Processor } from './core/runtime/processors.js';
export type { OptimizationLevel, ValueInfo } from './core/runtime/session.js';
export type { TensorValue, ValueData, ValueDtype } from './core/runtime/value.js';
export type { ContractFile, ForeignScore, ScoringContract } from './core/samples/contract.js';
export type { ItemInput, MediaBytes } from './core/samples/resolve.js';
export type { RowGroups } from './core/scoring/calibration.js';
export type { TensorInterface, Work } from './core/scoring/engine.js';
export type { RuntimeInfo } from './core/scoring/model.js';
export type { CalibratedBy, ItemScore, PairScore, Score } from './core/scoring/result.js';
export type { Row as TensorRow } from './core/scoring/row.js';
export type {
  HPSv3Scorer,
  ItemSample,
  Latents,
  Outcome,
  PairSample,
  Sample,
  ScoreOptions,
  ScorerOptions,
} from './core/scoring/scorer.js';
export type { BatchTaken } from './core/scoring/stage.js';
export type { WindowOptions } from './core/scoring/windows/options.js';
export type { SelectionMethod } from './core/selection/acquisition.js';
export type { SelectionDocument, SelectReplayDocument } from './core/selection/document.js';
export type { ReplayMetric } from './core/selection/replay.js';
export type { HttpLimits, Tls } from './core/serving/http.js';
export type { ServerLog } from './core/serving/log.js';
export type { FileSource as ModelFileSource, LoadOptions, ModelSource } from './core/serving/model.js';
export type { Scope } from './core/serving/scopes.js';
export type { ServerLimits, ServerOptions } from './core/serving/server.js';
export type { TokenEntry } from './core/serving/tokens.js';
export type { Estimate } from './core/stats/bootstrap.js';
export type { Interval } from './core/stats/interval.js';
export type { PairedComparison, Verdict } from './core/stats/paired.js';
export type { SignFlipTest } from './core/stats/sign-flip.js';
export type { RowFile } from './core/synthesis/folder.js';
export type { SynthModalityId } from './core/synthesis/modality.js';
export type { Rater } from './core/synthesis/raters.js';
export type { DrawnSizes } from './core/synthesis/registry.js';
export type { SkippedFile } from './core/synthesis/sources.js';
export type { TallyCell } from './core/synthesis/tally.js';
export type { Dtype } from './core/tensor/dtype.js';
export type { Tensor, TensorInfo } from './core/tensor/tensor.js';
export type { TensorStatistics } from './core/tensor/transform.js';
export type {
  EngineId,
  EngineOptions,
  GradientSession,
  GradientStep,
  LossModel,
  TrainingEngine,
} from './core/training/engines/engine.js';
export type { RankOptions } from './core/training/ranks/group.js';
export type { RankPlace } from './core/training/ranks/place.js';
export type { BeforeAfter, Comparison } from './core/training/run/compare.js';
export type { TrainingSettings } from './core/training/run/config.js';
export type { FileRows, LeftOutRows } from './core/training/run/labelled-data.js';
export type { TrainingOutcome } from './core/training/run/run.js';
