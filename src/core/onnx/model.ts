/**
 * An ONNX model in memory: the messages of onnx.proto (IR version 14) with camel-cased names.
 *
 * One rule for 64-bit integers: those that count or address something (dims, versions, axes of a sharding) are `number`
 * and refused outside 2^53; those that are values (`i`, `ints`, `int64Data`, `uint64Data`) are bigint, exact.
 * Repeated numbers that are values are typed arrays. A field that is absent is undefined, never a default.
 * `unknown` holds the fields of a later onnx.proto as they came, and is written back.
 */

/** Bytes that may lie anywhere: in a checkpoint, in another model, or yet to be computed. */
export interface WeightSource {
  readonly byteLength: number;
  /** All bytes in order; a piece is valid until the next is asked for. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** What every message can carry. */
export interface Message {
  /** Fields not in the schema, as encoded. */
  unknown?: Uint8Array;
}

export interface ModelProto extends Message {
  irVersion: number;
  producerName?: string;
  producerVersion?: string;
  domain?: string;
  modelVersion?: number;
  docString?: string;
  graph: GraphProto;
  opsetImport: OperatorSetIdProto[];
  metadataProps: StringStringEntryProto[];
  trainingInfo?: TrainingInfoProto[];
  functions?: FunctionProto[];
  configuration?: DeviceConfigurationProto[];
}

export interface StringStringEntryProto extends Message {
  key: string;
  value?: string;
}

export interface OperatorSetIdProto extends Message {
  /** Absent or empty for the standard operators. */
  domain?: string;
  version: number;
}

export interface GraphProto extends Message {
  node: NodeProto[];
  name?: string;
  initializer: TensorProto[];
  docString?: string;
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  valueInfo: ValueInfoProto[];
  quantizationAnnotation?: TensorAnnotation[];
  sparseInitializer?: SparseTensorProto[];
  metadataProps?: StringStringEntryProto[];
}

export interface NodeProto extends Message {
  /** An empty name stands for an optional input that is left out. */
  input: string[];
  output: string[];
  name?: string;
  opType: string;
  attribute: AttributeProto[];
  docString?: string;
  domain?: string;
  overload?: string;
  metadataProps?: StringStringEntryProto[];
  deviceConfigurations?: NodeDeviceConfigurationProto[];
}

export interface AttributeProto extends Message {
  name: string;
  f?: number;
  i?: bigint;
  /** UTF-8. */
  s?: Uint8Array;
  t?: TensorProto;
  g?: GraphProto;
  floats?: Float32Array;
  ints?: BigInt64Array;
  strings?: Uint8Array[];
  tensors?: TensorProto[];
  graphs?: GraphProto[];
  docString?: string;
  tp?: TypeProto;
  typeProtos?: TypeProto[];
  /** One of ATTRIBUTE_TYPE. */
  type?: number;
  refAttrName?: string;
  sparseTensor?: SparseTensorProto;
  sparseTensors?: SparseTensorProto[];
}

export interface TensorProto extends Message {
  dims: number[];
  /** One of DATA_TYPE, or a number of a later onnx.proto. */
  dataType: number;
  segment?: Segment;
  floatData?: Float32Array;
  int32Data?: Int32Array;
  stringData?: Uint8Array[];
  int64Data?: BigInt64Array;
  name?: string;
  /** Little-endian. In memory, or where a checkpoint or another model has it; also for tensors that were external data. */
  rawData?: Uint8Array | WeightSource;
  doubleData?: Float64Array;
  uint64Data?: BigUint64Array;
  docString?: string;
  /** How a file says that bytes lie elsewhere. Neither it nor `dataLocation` is set in a model that is in memory. */
  externalData?: StringStringEntryProto[];
  dataLocation?: number;
  metadataProps?: StringStringEntryProto[];
}

export interface Segment extends Message {
  begin?: number;
  end?: number;
}

export interface SparseTensorProto extends Message {
  values?: TensorProto;
  indices?: TensorProto;
  dims?: number[];
}

export interface ValueInfoProto extends Message {
  name: string;
  type?: TypeProto;
  docString?: string;
  metadataProps?: StringStringEntryProto[];
}

/** At most one of the `…Type` fields is set. */
export interface TypeProto extends Message {
  tensorType?: TensorTypeProto;
  sequenceType?: ElementTypeProto;
  mapType?: MapTypeProto;
  denotation?: string;
  opaqueType?: OpaqueTypeProto;
  sparseTensorType?: TensorTypeProto;
  optionalType?: ElementTypeProto;
}

/** `TypeProto.Tensor` and `TypeProto.SparseTensor`. */
export interface TensorTypeProto extends Message {
  elemType?: number;
  /** Absent when not even the rank is known. */
  shape?: TensorShapeProto;
}

/** `TypeProto.Sequence` and `TypeProto.Optional`. */
export interface ElementTypeProto extends Message {
  elemType?: TypeProto;
}

export interface MapTypeProto extends Message {
  keyType?: number;
  valueType?: TypeProto;
}

export interface OpaqueTypeProto extends Message {
  domain?: string;
  name?: string;
}

export interface TensorShapeProto extends Message {
  dim: DimensionProto[];
}

/** A number, a symbol, or neither: unknown. */
export interface DimensionProto extends Message {
  dimValue?: number;
  dimParam?: string;
  denotation?: string;
}

export interface FunctionProto extends Message {
  name?: string;
  input: string[];
  output: string[];
  attribute: string[];
  node: NodeProto[];
  docString?: string;
  opsetImport: OperatorSetIdProto[];
  domain?: string;
  attributeProto?: AttributeProto[];
  valueInfo?: ValueInfoProto[];
  overload?: string;
  metadataProps?: StringStringEntryProto[];
}

export interface TrainingInfoProto extends Message {
  initialization?: GraphProto;
  algorithm?: GraphProto;
  initializationBinding?: StringStringEntryProto[];
  updateBinding?: StringStringEntryProto[];
}

export interface TensorAnnotation extends Message {
  tensorName?: string;
  quantParameterTensorNames?: StringStringEntryProto[];
}

export interface DeviceConfigurationProto extends Message {
  name?: string;
  numDevices?: number;
  device?: string[];
}

export interface NodeDeviceConfigurationProto extends Message {
  configurationId?: string;
  shardingSpec?: ShardingSpecProto[];
  pipelineStage?: number;
}

export interface ShardingSpecProto extends Message {
  tensorName?: string;
  device?: number[];
  indexToDeviceGroupMap?: IntIntListEntryProto[];
  shardedDim?: ShardedDimProto[];
}

export interface IntIntListEntryProto extends Message {
  key?: number;
  value?: number[];
}

export interface ShardedDimProto extends Message {
  axis?: number;
  simpleSharding?: SimpleShardedDimProto[];
}

export interface SimpleShardedDimProto extends Message {
  dimValue?: number;
  dimParam?: string;
  numShards?: number;
}

/** The whole model; the word used outside this folder. */
export type OnnxModel = ModelProto;

/** `AttributeProto.AttributeType`. */
export const ATTRIBUTE_TYPE = {
  FLOAT: 1,
  INT: 2,
  STRING: 3,
  TENSOR: 4,
  GRAPH: 5,
  FLOATS: 6,
  INTS: 7,
  STRINGS: 8,
  TENSORS: 9,
  GRAPHS: 10,
  SPARSE_TENSOR: 11,
  SPARSE_TENSORS: 12,
  TYPE_PROTO: 13,
  TYPE_PROTOS: 14,
} as const;

/** `TensorProto.DataType`. */
export const DATA_TYPE = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
  COMPLEX64: 14,
  COMPLEX128: 15,
  BFLOAT16: 16,
  FLOAT8E4M3FN: 17,
  FLOAT8E4M3FNUZ: 18,
  FLOAT8E5M2: 19,
  FLOAT8E5M2FNUZ: 20,
  UINT4: 21,
  INT4: 22,
  FLOAT4E2M1: 23,
  FLOAT8E8M0: 24,
  UINT2: 25,
  INT2: 26,
} as const;

/** `TensorProto.DataLocation.EXTERNAL`. */
export const EXTERNAL_LOCATION = 1;

const utf8 = new TextEncoder();

export const floatAttribute = (name: string, f: number): AttributeProto => ({ name, f, type: ATTRIBUTE_TYPE.FLOAT });

export const floatsAttribute = (name: string, values: ArrayLike<number>): AttributeProto => ({
  name,
  floats: Float32Array.from(values),
  type: ATTRIBUTE_TYPE.FLOATS,
});

export const intAttribute = (name: string, value: number | bigint): AttributeProto => ({
  name,
  i: BigInt(value),
  type: ATTRIBUTE_TYPE.INT,
});

export const intsAttribute = (name: string, values: readonly (number | bigint)[]): AttributeProto => ({
  name,
  ints: BigInt64Array.from(values, BigInt),
  type: ATTRIBUTE_TYPE.INTS,
});

export const stringAttribute = (name: string, value: string): AttributeProto => ({
  name,
  s: utf8.encode(value),
  type: ATTRIBUTE_TYPE.STRING,
});

export const tensorAttribute = (name: string, t: TensorProto): AttributeProto => ({
  name,
  t,
  type: ATTRIBUTE_TYPE.TENSOR,
});

export const graphAttribute = (name: string, g: GraphProto): AttributeProto => ({
  name,
  g,
  type: ATTRIBUTE_TYPE.GRAPH,
});

/** The attribute of that name, or undefined. */
export const findAttribute = (node: NodeProto, name: string): AttributeProto | undefined =>
  node.attribute.find((attribute) => attribute.name === name);

/** An integer attribute as a number, or `fallback` where the node leaves it to its default. INT64_MAX and the like lose precision. */
export const intOf = (node: NodeProto, name: string, fallback: number): number =>
  Number(findAttribute(node, name)?.i ?? fallback);

/** An integer-list attribute as numbers, or undefined where it is absent. */
export function intsOf(node: NodeProto, name: string): number[] | undefined {
  const ints = findAttribute(node, name)?.ints;
  return ints && Array.from(ints, Number);
}

export const floatOf = (node: NodeProto, name: string, fallback: number): number =>
  findAttribute(node, name)?.f ?? fallback;

export function stringOf(node: NodeProto, name: string, fallback: string): string {
  const s = findAttribute(node, name)?.s;
  return s ? Buffer.from(s).toString('utf8') : fallback;
}

/** The value of a `metadata_props` key, or undefined. */
export const metadataOf = (model: OnnxModel, key: string): string | undefined =>
  model.metadataProps.find((entry) => entry.key === key)?.value;

/** Sets a `metadata_props` key in place, keeping the order of the others. */
export function setMetadata(model: OnnxModel, key: string, value: string): void {
  const entry = model.metadataProps.find((candidate) => candidate.key === key);
  if (entry) entry.value = value;
  else model.metadataProps.push({ key, value });
}

/** The version of the standard operators a model is written for, or undefined where it imports none. */
export const opsetOf = (model: OnnxModel): number | undefined =>
  model.opsetImport.find(({ domain }) => !domain || domain === 'ai.onnx')?.version;

/** The graphs inside a node (the branches of If, the body of Loop and Scan). */
export function* subgraphsOf(node: NodeProto): Generator<GraphProto> {
  for (const { g, graphs } of node.attribute) {
    if (g) yield g;
    if (graphs) yield* graphs;
  }
}
