/**
 * What families, checkpoint formats and gradient rules are made of (`import … from 'hpsv3/graph'`): see docs/tasks.md. Importing it does
 * nothing and loads no runtime.
 */

export type { Architecture, ArchitectureExporter, Contract, ExportRequest } from './core/architectures/architecture.js';
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
export type { Checkpoint } from './core/checkpoint/checkpoint.js';
export type { CheckpointFormat, CheckpointNode, RawCheckpoint } from './core/checkpoint/format.js';
export { HpsError } from './core/errors.js';
export { GraphBuilder } from './core/onnx/builder.js';
export type { Dim, Value } from './core/onnx/graph-core.js';
export type { ContractInput, ContractOutput } from './core/onnx/manifest.js';
export { type Modality, type Mode, TOKENIZER_KEY } from './core/onnx/manifest-names.js';
export type { Tensor, TensorInfo } from './core/tensor/tensor.js';
