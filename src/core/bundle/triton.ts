import { HpsError } from '../errors.js';
import { DATA_TYPE, type OnnxModel, type ValueInfoProto } from '../onnx/model.js';

/** Triton's name of each type that it takes. */
const TYPES: Readonly<Record<number, string>> = {
  [DATA_TYPE.BOOL]: 'TYPE_BOOL',
  [DATA_TYPE.UINT8]: 'TYPE_UINT8',
  [DATA_TYPE.UINT16]: 'TYPE_UINT16',
  [DATA_TYPE.UINT32]: 'TYPE_UINT32',
  [DATA_TYPE.UINT64]: 'TYPE_UINT64',
  [DATA_TYPE.INT8]: 'TYPE_INT8',
  [DATA_TYPE.INT16]: 'TYPE_INT16',
  [DATA_TYPE.INT32]: 'TYPE_INT32',
  [DATA_TYPE.INT64]: 'TYPE_INT64',
  [DATA_TYPE.FLOAT16]: 'TYPE_FP16',
  [DATA_TYPE.FLOAT]: 'TYPE_FP32',
  [DATA_TYPE.DOUBLE]: 'TYPE_FP64',
  [DATA_TYPE.STRING]: 'TYPE_STRING',
  [DATA_TYPE.BFLOAT16]: 'TYPE_BF16',
};

/** Rows of a request at most. */
const MAX_BATCH = 32;
const BATCH_AXIS = 'batch';

export interface TritonOptions {
  readonly name: string;
  /** Base name of the model's file. */
  readonly file: string;
  /** Whether rows of a batch change each other: each is a request of its own. */
  readonly mixesRows: boolean;
}

/**
 * The `config.pbtxt` of a model, for Triton's backend of onnxruntime: its tensors as the graph has them. Where every tensor counts rows on
 * its first axis, that axis is Triton's own; else requests state all axes. Requests are not joined: scores would depend on who else asks.
 *
 * @throws HpsError ONNX_UNSUPPORTED for a tensor of a type or rank that Triton has no word for
 * @see https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
 */
export function tritonConfig({ graph }: OnnxModel, { name, file, mixesRows }: TritonOptions): string {
  const weights = new Set(graph.initializer.map((tensor) => tensor.name));
  const inputs = graph.input.filter((value) => !weights.has(value.name)).map((value) => tensorOf(value, file));
  const outputs = graph.output.map((value) => tensorOf(value, file));
  const rows = [...inputs, ...outputs].every(({ dims }) => dims[0] === BATCH_AXIS);
  const list = (field: string, tensors: readonly Tensor[]): string =>
    `${field} [\n${tensors.map((tensor) => tensorText(tensor, rows)).join(',\n')}\n]\n`;
  return `name: ${JSON.stringify(name)}
platform: "onnxruntime_onnx"
max_batch_size: ${rows ? (mixesRows ? 1 : MAX_BATCH) : 0}
${list('input', inputs)}${list('output', outputs)}# One thread in an operator, as hpsv3 has it: with more, the last digits of a score depend on their number.
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
parameters { key: "inter_op_thread_count" value: { string_value: "1" } }
# Add \`dynamic_batching {}\` to join requests that come at the same time: faster, and the last digits of a score may then depend on the others.
`;
}

interface Tensor {
  readonly name: string;
  readonly type: string;
  /** A number, a symbol, or null where nothing is known. */
  readonly dims: readonly (number | string | null)[];
}

function tensorOf({ name, type }: ValueInfoProto, file: string): Tensor {
  const { elemType = 0, shape } = type?.tensorType ?? {};
  if (!(elemType in TYPES) || shape === undefined) {
    throw new HpsError('ONNX_UNSUPPORTED', `${file}: Triton has no word for the type or the axes of ${name}`, {
      hint: 'Export the model with tensors of numbers, whose ranks are known.',
      details: { file, tensor: name },
    });
  }
  const dims = shape.dim.map(({ dimValue, dimParam }) => (dimParam ? dimParam : (dimValue ?? null)));
  return { name, type: TYPES[elemType], dims };
}

/** Without the axis of rows where that is Triton's; what is left of a list of numbers is a number, which Triton has as a list of one. */
function tensorText({ name, type, dims }: Tensor, rows: boolean): string {
  const own = (rows ? dims.slice(1) : dims).map((dim) => (typeof dim === 'number' ? dim : -1));
  const shape = own.length > 0 ? `dims: [ ${own.join(', ')} ]` : 'dims: [ 1 ]\n    reshape: { shape: [ ] }';
  return `  {\n    name: ${JSON.stringify(name)}\n    data_type: ${type}\n    ${shape}\n  }`;
}

/** What Triton calls a model: the folder's name, of letters that a path and an address can have. */
export const tritonName = (file: string): string => file.replace(/\.onnx$/i, '').replace(/[^\w.-]+/g, '_') || 'model';

/** How the repository is used. */
export function tritonText(name: string, logit: string): string {
  return `# Serving ${name} with Triton

\`\`\`bash
tritonserver --model-repository "$PWD"
curl -s http://localhost:8000/v2/models/${name}/config
\`\`\`

Requests hold tensors, not texts, pictures or sounds: what is done to these is in the manifest of the model (\`hpsv3 inspect ${name}/1/model.onnx\`), and
\`hpsv3 serve\` does it. The output that decides is \`${logit}\`. What Triton needs for a GPU (\`instance_group\`, accelerators) is left to it.
`;
}
