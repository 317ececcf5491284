/**
 * What families, checkpoint formats and gradient rules are made of (`import … from 'hpsv3/graph'`): see docs/tasks.md. Importing it does
 * nothing and loads no runtime.
 */

export type {
  Architecture,
  ArchitectureExporter,
  Contract,
  ExportRequest,
  InitialModel,
  OptionSpecs,
  TensorInfos,
} from './core/architectures/architecture.js';
export * from './core/architectures/blocks/activations.js';
export * from './core/architectures/blocks/attention.js';
export * from './core/architectures/blocks/heads.js';
export * from './core/architectures/blocks/masks.js';
export * from './core/architectures/blocks/norms.js';
export * from './core/architectures/blocks/patches.js';
export * from './core/architectures/blocks/pooling.js';
export * from './core/architectures/blocks/positions.js';
export * from './core/architectures/blocks/transformer.js';
export { type ExampleOptions, type ExampleValue, exampleInputs } from './core/architectures/example-inputs.js';
export {
  architectureOf,
  type Encoded,
  type Family,
  type FamilyContext,
  type FamilyOutput,
  type IgnoredRule,
} from './core/architectures/family.js';
export { OptionReader, type PublishedShape } from './core/architectures/option-reader.js';
export { CLIP_STATISTICS, centreCropped, type PictureContract, squeezed } from './core/architectures/picture.js';
export { axisOf, modulesOf, type Reading } from './core/architectures/readings.js';
export { ARCHITECTURES } from './core/architectures/registry.js';
export { RULES } from './core/autodiff/registry.js';
export type { GradientContext, GradientRule } from './core/autodiff/rule.js';
export type { Checkpoint, CheckpointConfig } from './core/checkpoint/checkpoint.js';
export type { CheckpointFormat, CheckpointNode, RawCheckpoint } from './core/checkpoint/format.js';
export { type ErrorCode, HpsError, type HpsErrorOptions } from './core/errors.js';
export { GraphBuilder, type LinearShape } from './core/onnx/builder.js';
export type { Dim, GraphCore, NodeOptions, ParameterTransform, Value } from './core/onnx/graph-core.js';
export type { ContractInput, ContractOutput, Preprocess } from './core/onnx/manifest.js';
export { type Decision, type Modality, type Mode, TOKENIZER_KEY } from './core/onnx/manifest-names.js';
export type { Tensor, TensorInfo } from './core/tensor/tensor.js';

// What these are made of.

export type { HeadFile, HeadReading } from './core/architectures/head-file.js';
export type { LinearLayer } from './core/architectures/score-head/chain.js';
export type { Emitter } from './core/autodiff/emitter.js';
export type { BoundGraph, Operand, TensorType } from './core/autodiff/types.js';
export type { JsonObject, JsonValue } from './core/bytes/json.js';
export type { ByteSource, FileSource } from './core/bytes/source.js';
export type { FilesBeside } from './core/checkpoint/beside.js';
export { Explainer, type ExplainerOptions, type Explanation } from './core/explanation/explainer.js';
export type { PartMap } from './core/explanation/maps.js';
export { DEFAULT_SETTINGS, METHODS, type MethodId, type MethodSettings } from './core/explanation/methods/method.js';
export type { GraphIndexOps } from './core/onnx/graph-index-ops.js';
export type { ConvolutionOptions, GraphOps } from './core/onnx/graph-ops.js';
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
export type { TensorValue, ValueData, ValueDtype } from './core/runtime/value.js';
export type { Dtype } from './core/tensor/dtype.js';
