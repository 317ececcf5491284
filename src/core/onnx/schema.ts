import type * as onnx from './model.js';

/**
 * onnx.proto as a table (IR version 14, onnx 1.23), which the codec in decode.ts and encode.ts follows.
 *
 * Why a codec of our own. The packages there are lose or cost too much (measured, Node 20): onnx-proto 8.0.1 knows IR version 8
 * and drops later fields (`NodeProto.metadata_props`, `overload`) without a word, overflows the stack on nested graphs, and makes
 * 923 MB of objects from 10 MB of empty nodes; @bufbuild/protobuf needs every weight in memory, twice on writing. This one keeps
 * what it does not know, leaves weights where they are, and stops at LIMITS while it reads.
 */
export interface MessageTypes {
  ModelProto: onnx.ModelProto;
  StringStringEntryProto: onnx.StringStringEntryProto;
  OperatorSetIdProto: onnx.OperatorSetIdProto;
  GraphProto: onnx.GraphProto;
  NodeProto: onnx.NodeProto;
  AttributeProto: onnx.AttributeProto;
  TensorProto: onnx.TensorProto;
  Segment: onnx.Segment;
  SparseTensorProto: onnx.SparseTensorProto;
  ValueInfoProto: onnx.ValueInfoProto;
  TypeProto: onnx.TypeProto;
  TensorTypeProto: onnx.TensorTypeProto;
  ElementTypeProto: onnx.ElementTypeProto;
  MapTypeProto: onnx.MapTypeProto;
  OpaqueTypeProto: onnx.OpaqueTypeProto;
  TensorShapeProto: onnx.TensorShapeProto;
  DimensionProto: onnx.DimensionProto;
  FunctionProto: onnx.FunctionProto;
  TrainingInfoProto: onnx.TrainingInfoProto;
  TensorAnnotation: onnx.TensorAnnotation;
  DeviceConfigurationProto: onnx.DeviceConfigurationProto;
  NodeDeviceConfigurationProto: onnx.NodeDeviceConfigurationProto;
  ShardingSpecProto: onnx.ShardingSpecProto;
  IntIntListEntryProto: onnx.IntIntListEntryProto;
  ShardedDimProto: onnx.ShardedDimProto;
  SimpleShardedDimProto: onnx.SimpleShardedDimProto;
}

export type MessageName = keyof MessageTypes;

/** `int64` is a number, checked to be safe; `bigint64` and `biguint64` keep every value; `weight` is bytes that may stay elsewhere. */
export type ScalarKind =
  | 'int32'
  | 'int64'
  | 'bigint64'
  | 'biguint64'
  | 'float'
  | 'double'
  | 'string'
  | 'bytes'
  | 'weight';

export interface Field {
  readonly id: number;
  readonly kind: ScalarKind | MessageName;
  readonly repeated: boolean;
  /** Written as one run of bytes; read either way. */
  readonly packed: boolean;
  /** A file without it is refused (a scalar or message), or it reads as an empty list (repeated). */
  readonly required: boolean;
  /** At most one of a message's fields with this mark is set. */
  readonly oneof: boolean;
}

export type Fields<T> = { readonly [K in Exclude<keyof T, 'unknown'>]-?: Field };

type Kind = Field['kind'];
const field = (id: number, kind: Kind, more: Partial<Field> = {}): Field => ({
  id,
  kind,
  repeated: false,
  packed: false,
  required: false,
  oneof: false,
  ...more,
});
const optional = (id: number, kind: Kind) => field(id, kind);
const required = (id: number, kind: Kind) => field(id, kind, { required: true });
const repeated = (id: number, kind: Kind) => field(id, kind, { repeated: true });
const list = (id: number, kind: Kind) => field(id, kind, { repeated: true, required: true });
const packed = (id: number, kind: Kind) => field(id, kind, { repeated: true, packed: true });
const oneof = (id: number, kind: Kind) => field(id, kind, { oneof: true });

const tensorType = { elemType: optional(1, 'int32'), shape: optional(2, 'TensorShapeProto') };

/** Fields of every message, in the order of their numbers: the order they are written in, as protobuf's own writers do. */
export const MESSAGES: { readonly [N in MessageName]: Fields<MessageTypes[N]> } = {
  ModelProto: {
    irVersion: required(1, 'int64'),
    producerName: optional(2, 'string'),
    producerVersion: optional(3, 'string'),
    domain: optional(4, 'string'),
    modelVersion: optional(5, 'int64'),
    docString: optional(6, 'string'),
    graph: required(7, 'GraphProto'),
    opsetImport: list(8, 'OperatorSetIdProto'),
    metadataProps: list(14, 'StringStringEntryProto'),
    trainingInfo: repeated(20, 'TrainingInfoProto'),
    functions: repeated(25, 'FunctionProto'),
    configuration: repeated(26, 'DeviceConfigurationProto'),
  },
  StringStringEntryProto: { key: required(1, 'string'), value: optional(2, 'string') },
  OperatorSetIdProto: { domain: optional(1, 'string'), version: required(2, 'int64') },
  GraphProto: {
    node: list(1, 'NodeProto'),
    name: optional(2, 'string'),
    initializer: list(5, 'TensorProto'),
    docString: optional(10, 'string'),
    input: list(11, 'ValueInfoProto'),
    output: list(12, 'ValueInfoProto'),
    valueInfo: list(13, 'ValueInfoProto'),
    quantizationAnnotation: repeated(14, 'TensorAnnotation'),
    sparseInitializer: repeated(15, 'SparseTensorProto'),
    metadataProps: repeated(16, 'StringStringEntryProto'),
  },
  NodeProto: {
    input: list(1, 'string'),
    output: list(2, 'string'),
    name: optional(3, 'string'),
    opType: required(4, 'string'),
    attribute: list(5, 'AttributeProto'),
    docString: optional(6, 'string'),
    domain: optional(7, 'string'),
    overload: optional(8, 'string'),
    metadataProps: repeated(9, 'StringStringEntryProto'),
    deviceConfigurations: repeated(10, 'NodeDeviceConfigurationProto'),
  },
  AttributeProto: {
    name: required(1, 'string'),
    f: optional(2, 'float'),
    i: optional(3, 'bigint64'),
    s: optional(4, 'bytes'),
    t: optional(5, 'TensorProto'),
    g: optional(6, 'GraphProto'),
    floats: repeated(7, 'float'),
    ints: repeated(8, 'bigint64'),
    strings: repeated(9, 'bytes'),
    tensors: repeated(10, 'TensorProto'),
    graphs: repeated(11, 'GraphProto'),
    docString: optional(13, 'string'),
    tp: optional(14, 'TypeProto'),
    typeProtos: repeated(15, 'TypeProto'),
    type: optional(20, 'int32'),
    refAttrName: optional(21, 'string'),
    sparseTensor: optional(22, 'SparseTensorProto'),
    sparseTensors: repeated(23, 'SparseTensorProto'),
  },
  TensorProto: {
    dims: list(1, 'int64'),
    dataType: required(2, 'int32'),
    segment: optional(3, 'Segment'),
    floatData: packed(4, 'float'),
    int32Data: packed(5, 'int32'),
    stringData: repeated(6, 'bytes'),
    int64Data: packed(7, 'bigint64'),
    name: optional(8, 'string'),
    rawData: optional(9, 'weight'),
    doubleData: packed(10, 'double'),
    uint64Data: packed(11, 'biguint64'),
    docString: optional(12, 'string'),
    externalData: repeated(13, 'StringStringEntryProto'),
    dataLocation: optional(14, 'int32'),
    metadataProps: repeated(16, 'StringStringEntryProto'),
  },
  Segment: { begin: optional(1, 'int64'), end: optional(2, 'int64') },
  SparseTensorProto: {
    values: optional(1, 'TensorProto'),
    indices: optional(2, 'TensorProto'),
    dims: repeated(3, 'int64'),
  },
  ValueInfoProto: {
    name: required(1, 'string'),
    type: optional(2, 'TypeProto'),
    docString: optional(3, 'string'),
    metadataProps: repeated(4, 'StringStringEntryProto'),
  },
  TypeProto: {
    tensorType: oneof(1, 'TensorTypeProto'),
    sequenceType: oneof(4, 'ElementTypeProto'),
    mapType: oneof(5, 'MapTypeProto'),
    denotation: optional(6, 'string'),
    opaqueType: oneof(7, 'OpaqueTypeProto'),
    sparseTensorType: oneof(8, 'TensorTypeProto'),
    optionalType: oneof(9, 'ElementTypeProto'),
  },
  TensorTypeProto: tensorType,
  ElementTypeProto: { elemType: optional(1, 'TypeProto') },
  MapTypeProto: { keyType: optional(1, 'int32'), valueType: optional(2, 'TypeProto') },
  OpaqueTypeProto: { domain: optional(1, 'string'), name: optional(2, 'string') },
  TensorShapeProto: { dim: list(1, 'DimensionProto') },
  DimensionProto: { dimValue: oneof(1, 'int64'), dimParam: oneof(2, 'string'), denotation: optional(3, 'string') },
  FunctionProto: {
    name: optional(1, 'string'),
    input: list(4, 'string'),
    output: list(5, 'string'),
    attribute: list(6, 'string'),
    node: list(7, 'NodeProto'),
    docString: optional(8, 'string'),
    opsetImport: list(9, 'OperatorSetIdProto'),
    domain: optional(10, 'string'),
    attributeProto: repeated(11, 'AttributeProto'),
    valueInfo: repeated(12, 'ValueInfoProto'),
    overload: optional(13, 'string'),
    metadataProps: repeated(14, 'StringStringEntryProto'),
  },
  TrainingInfoProto: {
    initialization: optional(1, 'GraphProto'),
    algorithm: optional(2, 'GraphProto'),
    initializationBinding: repeated(3, 'StringStringEntryProto'),
    updateBinding: repeated(4, 'StringStringEntryProto'),
  },
  TensorAnnotation: {
    tensorName: optional(1, 'string'),
    quantParameterTensorNames: repeated(2, 'StringStringEntryProto'),
  },
  DeviceConfigurationProto: {
    name: optional(1, 'string'),
    numDevices: optional(2, 'int32'),
    device: repeated(3, 'string'),
  },
  NodeDeviceConfigurationProto: {
    configurationId: optional(1, 'string'),
    shardingSpec: repeated(2, 'ShardingSpecProto'),
    pipelineStage: optional(3, 'int32'),
  },
  ShardingSpecProto: {
    tensorName: optional(1, 'string'),
    device: repeated(2, 'int64'),
    indexToDeviceGroupMap: repeated(3, 'IntIntListEntryProto'),
    shardedDim: repeated(4, 'ShardedDimProto'),
  },
  IntIntListEntryProto: { key: optional(1, 'int64'), value: repeated(2, 'int64') },
  ShardedDimProto: { axis: optional(1, 'int64'), simpleSharding: repeated(2, 'SimpleShardedDimProto') },
  SimpleShardedDimProto: { dimValue: oneof(1, 'int64'), dimParam: oneof(2, 'string'), numShards: optional(3, 'int64') },
};

export const isMessage = (kind: Kind): kind is MessageName => Object.hasOwn(MESSAGES, kind);

/** Something worked out once from the fields of every message. */
export function perMessage<T>(
  make: (fields: readonly (readonly [key: string, field: Field])[]) => T,
): Readonly<Record<MessageName, T>> {
  return Object.fromEntries(
    Object.entries(MESSAGES).map(([name, fields]) => [name, make(Object.entries(fields))]),
  ) as Record<MessageName, T>;
}
