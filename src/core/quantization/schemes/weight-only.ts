import {
  DATA_TYPE,
  intAttribute,
  type NodeProto,
  type OnnxModel,
  opsetOf,
  type TensorProto,
} from '../../onnx/model.js';
import { KEEP_QUANTIZED } from '../../runtime/memory.js';
import { numel } from '../../tensor/shape.js';
import { GraphEdit } from '../graph-edit.js';
import { quantizedWeight } from '../kernels/int8-weight.js';
import { floats } from '../tensors.js';
import { paysOff, type ScaledWeight, scaleWeight, weightAxis } from '../weights.js';
import { GatherRewriter } from './gather.js';
import {
  type Excluded,
  nodeLabel,
  type QuantizationScheme,
  type QuantizedModel,
  type SchemeRequest,
} from './scheme.js';

/** DequantizeLinear has an axis since this opset. */
const PER_AXIS_OPSET = 13;

/** Share of the weights that stay float for the sake of decisions. */
const SMALLEST_SHARE = 0.02;

/**
 * The option that keeps onnxruntime from fusing DequantizeLinear and MatMul into MatMulNBits, which quantizes activations too:
 * scores would then depend on the version of the runtime and on the neighbours of a row. Dequantized weights are folded once, but
 * for those of a large model (see `LARGE_BYTES`).
 */
const EXACT_SESSION: Readonly<Record<string, string>> = { 'session.disable_quant_qdq': '1' };

/**
 * Weights as int8, activations as they are: a row's result depends on the row alone, and a MatMul runs as fast as in float.
 * The dequantized weight keeps the name of the float one, so that the nodes that read it stay as they are.
 */
export const weightOnly: QuantizationScheme = {
  id: 'weight-only',
  label: 'int8 weights, float activations',
  minOpset: 7, // Mul broadcasts as it does now
  foldsNorms: false,
  determinism: 'exact',
  tolerance: 0.05,
  apply: applyWeightOnly,
};

/**
 * From so many bytes on that the weights take as float32, memory counts for more than the tenth of its time that a batch spends on
 * dequantizing them: they stay int8.
 */
const LARGE_BYTES = 2 ** 30;

interface Found {
  readonly axis: number;
  readonly readers: NodeProto[];
}

async function applyWeightOnly(model: OnnxModel, request: SchemeRequest): Promise<QuantizedModel> {
  const edit = new GraphEdit(model);
  const excluded: Excluded[] = [];
  const weights = findWeights(model, edit, request, excluded);
  const standard = (opsetOf(model) ?? 0) >= PER_AXIS_OPSET && request.hasManifest;
  const quantized: string[] = [];
  let floatBytes = 0;
  const gathers = new GatherRewriter(edit, request);
  for (const [name, { axis, readers }] of weights) {
    const scaled = await scaleWeight(edit.constants.get(name)!, { axis: request.perChannel ? axis : null });
    if (typeof scaled === 'string') {
      excluded.push(...readers.map((node) => ({ node: nodeLabel(node), why: scaled })));
      continue;
    }
    if (standard) dequantize(edit, name, scaled);
    else multiply(edit, name, scaled);
    floatBytes += 4 * numel(scaled.tensor.shape);
    quantized.push(...readers.map(nodeLabel));
  }
  for (const node of model.graph.node) {
    if (!gathers.reads(node) || weights.has(node.input[0])) {
      edit.nodes.push(node);
      continue;
    }
    const why = await gathers.rewrite(node);
    if (why === undefined) quantized.push(nodeLabel(node));
    else {
      edit.nodes.push(node);
      excluded.push({ node: nodeLabel(node), why });
    }
  }
  return {
    model: edit.finish(),
    quantized,
    excluded,
    session: standard && weights.size > 0 ? sessionFor(floatBytes) : {},
    notes: [],
  };
}

/** @param floatBytes - of the quantized weights as float32 */
export const sessionFor = (floatBytes: number): Readonly<Record<string, string>> =>
  floatBytes < LARGE_BYTES ? EXACT_SESSION : { ...EXACT_SESSION, ...KEEP_QUANTIZED };

/** Weights that nodes of the main graph read, each with the axis of its first reader. */
function findWeights(
  model: OnnxModel,
  edit: GraphEdit,
  { exclude, perChannel }: SchemeRequest,
  excluded: Excluded[],
): Map<string, Found> {
  const weights = new Map<string, Found>();
  const smallest = smallestWeights(edit.constants);
  const forbidden = new Set<string>();
  // A table that is only looked up is quantized by its rows (see GatherRewriter).
  const multiplied = new Set(
    model.graph.node.filter(({ opType }) => opType !== 'Gather').flatMap(({ input }) => input),
  );
  for (const node of model.graph.node) {
    for (const [input, name] of node.input.entries()) {
      const proto = edit.constants.get(name);
      const axis = proto ? weightAxis(node, input, proto.dims.length) : null;
      if (!proto || axis === null || (node.opType === 'Gather' && !multiplied.has(name))) continue;
      const pays = paysOff(proto, perChannel ? proto.dims[axis] : 1);
      const why =
        exclude(node) ??
        (pays ? undefined : 'its weight is too small to gain from int8') ??
        (smallest.has(name) ? 'its weight is one of the smallest, which together save next to nothing' : undefined);
      if (why !== undefined) {
        forbidden.add(name);
        excluded.push({ node: nodeLabel(node), why });
      } else if (weights.has(name)) weights.get(name)!.readers.push(node);
      else weights.set(name, { axis, readers: [node] });
    }
  }
  for (const name of forbidden) weights.delete(name);
  return weights;
}

/**
 * The smallest weights, which together make up at most a fiftieth of all: float, they cost 1.5 % of the size. They are those of
 * few inputs, whose sums average little of the rounding out, and stand at both ends of a network, where all else passes through.
 */
export function smallestWeights(constants: ReadonlyMap<string, Pick<TensorProto, 'dims'>>): Set<string> {
  const weights = Array.from(constants, ([name, { dims }]) => ({ name, dims, size: numel(dims) }))
    .filter(({ dims }) => dims.length > 1)
    .sort((a, b) => a.size - b.size);
  let left = SMALLEST_SHARE * weights.reduce((sum, { size }) => sum + size, 0);
  const smallest = new Set<string>();
  for (const { name, size } of weights) {
    left -= size;
    if (left < 0) break;
    smallest.add(name);
  }
  return smallest;
}

function dequantize(edit: GraphEdit, name: string, { tensor, layout, axis, scales }: ScaledWeight): void {
  const values = edit.initializer(quantizedWeight(edit.freshName(`${name}.quantized`), tensor, layout, scales));
  const scale = edit.initializer(floats(edit.freshName(`${name}.scale`), axis === null ? [] : [scales.length], scales));
  const attribute = axis === null ? [] : [intAttribute('axis', axis)];
  edit.retire(name);
  edit.node('DequantizeLinear', [values, scale], name, { attribute, name: edit.freshName(`${name}.dequantize`) });
}

/** The same product spelt out, for opsets without an axis, and for files that cannot say which session options they need. */
function multiply(edit: GraphEdit, name: string, { tensor, layout, axis, scales }: ScaledWeight): void {
  const dims = tensor.shape.map((size, i) => (i === axis ? size : 1));
  const values = edit.initializer(quantizedWeight(edit.freshName(`${name}.quantized`), tensor, layout, scales));
  const scale = edit.initializer(floats(edit.freshName(`${name}.scale`), axis === null ? [] : dims, scales));
  edit.retire(name);
  const cast = edit.node('Cast', [values], edit.freshName(`${name}.cast`), {
    attribute: [intAttribute('to', DATA_TYPE.FLOAT)],
  });
  edit.node('Mul', [cast, scale], name, { name: edit.freshName(`${name}.dequantize`) });
}
