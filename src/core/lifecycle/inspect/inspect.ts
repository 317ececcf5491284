import { basename } from 'node:path';
import { publishedModelOf } from '../../architectures/published.js';
import { recogniseArchitecture } from '../../architectures/registry.js';
import type { JsonValue } from '../../bytes/json.js';
import { FileSource } from '../../bytes/source.js';
import { weightsElsewhere } from '../../checkpoint/elsewhere.js';
import { namedAsBase } from '../../checkpoint/lora.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { CHECKPOINT_FORMATS } from '../../checkpoint/registry.js';
import { type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { type RemoteFileOptions, type RemoteReport, withAddresses } from '../../hub/with-addresses.js';
import { LIMITS } from '../../limits.js';
import { MANIFEST_KEY, type Manifest, manifestOf, TOKENIZER_KEY } from '../../onnx/manifest.js';
import type { OnnxModel, TensorProto, TypeProto } from '../../onnx/model.js';
import { openOnnx } from '../../onnx/read.js';
import { dataTypeName, tensorOf } from '../../onnx/tensor-data.js';
import type { Run } from '../../run.js';
import { numel } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type TensorStatistics, tensorStatistics } from '../../tensor/transform.js';

export interface InspectOptions extends Run {
  readonly path: string;
  /** Path of the state dict inside a nested checkpoint. */
  readonly key?: string;
  /** Only tensors whose name matches this glob: `*` any characters, `?` one. */
  readonly match?: string;
  /** Reads the listed tensors' values; without it only headers are read. */
  readonly statistics?: boolean;
  /** How a file on another machine is reached: hf://, https://, s3://. */
  readonly remote?: RemoteFileOptions;
}

export const INSPECT_DEFAULTS = { statistics: false } as const satisfies Partial<InspectOptions>;

type Settled = Filled<InspectOptions, typeof INSPECT_DEFAULTS>;

export interface InspectedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly statistics?: TensorStatistics;
}

export interface InspectReport {
  readonly file: string;
  /** `id` of the checkpoint format, or `onnx`. */
  readonly format: string;
  readonly architecture: string | null;
  /** The published model whose sizes the tensors have; null where none has them. */
  readonly looksLike: string | null;
  /** Elements of all tensors, those that `match` hides included. */
  readonly parameters: number;
  readonly tensorCount: number;
  readonly tensors: readonly InspectedTensor[];
  readonly checkpoint: {
    readonly key: string;
    readonly strippedPrefix: string;
    /** Steps of wrappers removed inside of names, e.g. `_orig_mod`. */
    readonly strippedInside: readonly string[];
    readonly config: Readonly<Record<string, JsonValue>> | null;
    readonly ignored: readonly { readonly name: string; readonly reason: string }[];
    readonly warnings: readonly string[];
  } | null;
  readonly onnx: OnnxFacts | null;
  /** What was read over the network; null for a file of this machine. */
  readonly remote: RemoteReport | null;
}

export interface OnnxFacts {
  readonly irVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  readonly producer: string;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly nodes: number;
  /** Nodes by operator, most frequent first. */
  readonly operators: Readonly<Record<string, number>>;
  readonly manifest: Manifest | null;
  readonly hasTokenizer: boolean;
  readonly metadataKeys: readonly string[];
  readonly warnings: readonly string[];
}

export interface OnnxValue {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[] | null;
}

/**
 * What a checkpoint or a model holds, from its headers alone.
 * @throws HpsError as `openCheckpoint` and `openOnnx`
 */
export function inspectFile(given: InspectOptions): Promise<InspectReport> {
  return withAddresses(given, { checkpoints: ['path'] }, async (found, sources) => {
    const options = filled(found, INSPECT_DEFAULTS);
    const report = await (looksLikeOnnx(options.path) ? inspectOnnx(options) : inspectCheckpoint(options));
    return { ...report, remote: sources.report() };
  });
}

/** A ModelProto opens with its IR version: field 1, a small number. The header length of a safetensors file may look alike. */
function looksLikeOnnx(path: string): boolean {
  let source: FileSource;
  try {
    source = FileSource.open(path);
  } catch (error) {
    if (error instanceof HpsError && error.code === 'FILE_UNREADABLE') return false; // a model folder, perhaps
    throw error;
  }
  try {
    const head = source.readSync(0, Math.min(LIMITS.sniffBytes, source.byteLength));
    if (CHECKPOINT_FORMATS.some((format) => format.sniff(head))) return false;
    const [tag, version] = head;
    return (tag === 0x08 && version > 0 && version < 0x80) || path.endsWith('.onnx');
  } finally {
    source.close();
  }
}

async function inspectCheckpoint(options: Settled): Promise<Omit<InspectReport, 'remote'>> {
  const checkpoint = await openCheckpoint(options.path, { key: options.key });
  try {
    const all = [...checkpoint.tensors.values()];
    const elsewhere = weightsElsewhere(checkpoint);
    const tensors = namedAsBase(checkpoint.tensors);
    return {
      file: basename(options.path),
      format: checkpoint.format,
      architecture: recogniseArchitecture({ tensors, config: checkpoint.config })?.id ?? null,
      looksLike: publishedModelOf(tensors),
      parameters: all.reduce((sum, { shape }) => sum + numel(shape), 0),
      tensorCount: all.length,
      tensors: await describeTensors(all, options),
      checkpoint: {
        key: checkpoint.key,
        strippedPrefix: checkpoint.strippedPrefix,
        strippedInside: checkpoint.strippedInside,
        config: checkpoint.config,
        ignored: checkpoint.ignored,
        warnings: elsewhere ? [`${elsewhere.what}. ${elsewhere.hint}`] : [],
      },
      onnx: null,
    };
  } finally {
    checkpoint.close();
  }
}

async function inspectOnnx(options: Settled): Promise<Omit<InspectReport, 'remote'>> {
  const file = openOnnx(options.path);
  try {
    const { model, warnings, source } = file;
    const { initializer } = model.graph;
    const manifest = manifestOf(model, source.name);
    return {
      file: source.name,
      format: 'onnx',
      architecture: manifest?.architecture ?? null,
      looksLike: null,
      parameters: initializer.reduce((sum, { dims }) => sum + numel(dims), 0),
      tensorCount: initializer.length,
      tensors: await describeInitializers(initializer, options),
      checkpoint: null,
      onnx: { ...onnxFacts(model), manifest, warnings },
    };
  } finally {
    file.close();
  }
}

function onnxFacts(model: OnnxModel): Omit<OnnxFacts, 'manifest' | 'warnings'> {
  const counts = new Map<string, number>();
  for (const { opType, domain } of model.graph.node) {
    const name = domain && domain !== 'ai.onnx' ? `${domain}.${opType}` : opType;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const initializers = new Set(model.graph.initializer.map(({ name }) => name));
  const keys = model.metadataProps.map(({ key }) => key);
  return {
    irVersion: model.irVersion,
    opsets: Object.fromEntries(model.opsetImport.map(({ domain, version }) => [domain || 'ai.onnx', version])),
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
    inputs: model.graph.input
      .filter(({ name }) => !initializers.has(name))
      .map(({ name, type }) => describeValue(name, type)),
    outputs: model.graph.output.map(({ name, type }) => describeValue(name, type)),
    nodes: model.graph.node.length,
    operators: Object.fromEntries([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))),
    hasTokenizer: keys.includes(TOKENIZER_KEY),
    metadataKeys: keys.filter((key) => key !== MANIFEST_KEY && key !== TOKENIZER_KEY),
  };
}

function describeValue(name: string, type: TypeProto | undefined): OnnxValue {
  const tensor = type?.tensorType;
  const shape = tensor?.shape?.dim.map(({ dimValue, dimParam }) => dimValue ?? dimParam ?? '?') ?? null;
  return { name, dtype: tensor?.elemType === undefined ? 'not a tensor' : dataTypeName(tensor.elemType), shape };
}

async function describeTensors(tensors: readonly Tensor[], options: Settled): Promise<InspectedTensor[]> {
  const described: InspectedTensor[] = [];
  for (const tensor of tensors.filter(matcher(options.match))) {
    options.signal?.throwIfAborted();
    const { name, dtype, shape } = tensor;
    described.push({
      name,
      dtype,
      shape,
      ...(options.statistics && hasStatistics(dtype) ? { statistics: await tensorStatistics(tensor) } : {}),
    });
  }
  return described;
}

async function describeInitializers(
  initializers: readonly TensorProto[],
  options: Settled,
): Promise<InspectedTensor[]> {
  const described: InspectedTensor[] = [];
  const matches = matcher(options.match);
  for (const proto of initializers.filter(({ name = '' }) => matches({ name }))) {
    options.signal?.throwIfAborted();
    const info = { name: proto.name ?? '', dtype: dataTypeName(proto.dataType), shape: proto.dims };
    const statistics =
      options.statistics && hasStatistics(info.dtype) ? await tensorStatistics(tensorOf(proto)) : undefined;
    described.push(statistics ? { ...info, statistics } : info);
  }
  return described;
}

/** Complex numbers, strings and 4-bit types have no minimum or mean here. */
const hasStatistics = (dtype: string): boolean => /^(F64|F32|F16|BF16|[IU](8|16|32|64)|BOOL)$/.test(dtype);

/** A glob over tensor names. */
function matcher(glob: string | undefined): (tensor: { readonly name: string }) => boolean {
  if (glob === undefined) return () => true;
  if (glob.length > LIMITS.tensorNameLength)
    throw new HpsError('USAGE', 'the glob is longer than any tensor name', { hint: 'Shorten `match`.' });
  const pattern = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.');
  const expression = new RegExp(`^${pattern}$`, 'u');
  return ({ name }) => expression.test(name);
}
