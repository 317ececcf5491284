import {
  DATA_TYPE,
  findAttribute,
  type GraphProto,
  intAttribute,
  intsOf,
  type NodeProto,
  type OnnxModel,
  opsetOf,
  stringAttribute,
  stringOf,
  type TensorProto,
} from '../onnx/model.js';
import { assertOpset } from '../onnx/opset.js';
import { isStandard } from '../onnx/passes/uses.js';
import { bytesOf } from '../tensor/values.js';

/** IR version that came with opset 20 (onnx, docs/Versioning.md). */
const IR_VERSION_OF_20 = 9;

/** A constant that a converted node reads; `name` must be free. */
interface Added {
  readonly node: NodeProto;
  readonly constant?: TensorProto;
}

interface Conversion {
  readonly opTypes: readonly string[];
  /** The opset that changed the form. */
  readonly since: number;
  convert(node: NodeProto, freshName: () => string): Added;
}

const without = (node: NodeProto, ...names: string[]): NodeProto => ({
  ...node,
  attribute: node.attribute.filter(({ name }) => !names.includes(name)),
});

/** Since opset 18 the axes of a reduction are an input (ReduceSum: since 13). */
const reductionAxes: Conversion = {
  opTypes: [
    ...['ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2'],
    ...['ReduceLogSum', 'ReduceLogSumExp', 'ReduceSumSquare'],
  ],
  since: 18,
  convert(node, freshName) {
    const axes = intsOf(node, 'axes');
    if (axes === undefined) return { node };
    const name = freshName();
    const constant: TensorProto = {
      name,
      dims: [axes.length],
      dataType: DATA_TYPE.INT64,
      rawData: bytesOf(BigInt64Array.from(axes, BigInt)),
    };
    return { node: { ...without(node, 'axes'), input: [node.input[0], name] }, constant };
  },
};

/** Since opset 18 a Split into equal parts says how many. */
const splitCount: Conversion = {
  opTypes: ['Split'],
  since: 18,
  convert(node) {
    if (node.input[1] || findAttribute(node, 'num_outputs')) return { node };
    return { node: { ...node, attribute: [...node.attribute, intAttribute('num_outputs', node.output.length)] } };
  },
};

const GRID_MODES: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' };

/** Opset 20 renamed the modes of GridSample. */
const gridModes: Conversion = {
  opTypes: ['GridSample'],
  since: 20,
  convert(node) {
    const mode = stringOf(node, 'mode', 'bilinear');
    const renamed = stringAttribute('mode', GRID_MODES[mode] ?? mode);
    return { node: { ...node, attribute: [...without(node, 'mode').attribute, renamed] } };
  },
};

const CONVERSIONS: readonly Conversion[] = [reductionAxes, splitCount, gridModes];

/**
 * The same model in a newer opset; as it is where it is that new already.
 * @throws HpsError OPSET_UNSUPPORTED naming operator and node where a form has no counterpart
 */
export function raiseOpset(model: OnnxModel, target: number): OnnxModel {
  const opset = opsetOf(model);
  if (opset !== undefined && opset >= target) return model;
  const taken = new Set(model.graph.node.flatMap(({ output }) => output));
  for (const { name = '' } of model.graph.initializer) taken.add(name);
  let count = 0;
  const freshName = (): string => {
    let name: string;
    do name = `raised.axes.${count++}`;
    while (taken.has(name));
    return name;
  };
  const raised: OnnxModel = {
    ...model,
    irVersion: Math.max(model.irVersion, IR_VERSION_OF_20),
    graph: raiseGraph(model.graph, opset ?? 1, target, freshName),
    opsetImport: [
      { domain: '', version: target },
      ...model.opsetImport.filter(({ domain }) => domain && domain !== 'ai.onnx'),
    ],
  };
  assertOpset(raised, target, model.graph.name || 'the model');
  return raised;
}

function raiseGraph(graph: GraphProto, from: number, to: number, freshName: () => string): GraphProto {
  const constants: TensorProto[] = [];
  const node = graph.node.map((each) => {
    let result = raiseSubgraphs(each, from, to, freshName);
    if (!isStandard(each)) return result;
    for (const { opTypes, since, convert } of CONVERSIONS) {
      if (!opTypes.includes(each.opType) || since <= from || since > to) continue;
      const added = convert(result, freshName);
      result = added.node;
      if (added.constant) constants.push(added.constant);
    }
    return result;
  });
  return { ...graph, node, initializer: [...graph.initializer, ...constants] };
}

const raiseSubgraphs = (node: NodeProto, from: number, to: number, freshName: () => string): NodeProto => ({
  ...node,
  attribute: node.attribute.map((attribute) =>
    attribute.g ? { ...attribute, g: raiseGraph(attribute.g, from, to, freshName) } : attribute,
  ),
});
