import {
  DATA_TYPE,
  findAttribute,
  type GraphProto,
  type NodeProto,
  type OnnxModel,
  subgraphsOf,
  type TensorProto,
} from '../onnx/model.js';
import { foldBatchNorm } from '../onnx/passes/fold-batch-norm.js';
import { isOp } from '../onnx/passes/uses.js';
import { refuseQuantized } from './schemes/refusal.js';

/** Since this IR version initializers need not be inputs too. */
const FREE_INITIALIZERS_IR = 4;
const QUANTIZED_OPERATORS =
  /^(QLinear.*|(Dynamic)?QuantizeLinear|DequantizeLinear|MatMulInteger.*|ConvInteger|MatMulNBits|QGemm|DynamicQuantize.*|MatMulBnb4|GatherBlockQuantized)$/;

/**
 * A model in the form that schemes read: weights are initializers that no caller can replace, and batch norms are in their
 * convolutions where the scheme asks for it. Nothing else changes.
 * @throws HpsError ALREADY_QUANTIZED
 */
export async function prepareModel(model: OnnxModel, file: string, foldNorms: boolean): Promise<OnnxModel> {
  const found = firstQuantized(model.graph.node);
  if (found) throw refuseQuantized(file, found.opType);
  const prepared = hoistConstants(freeInitializers(model));
  return foldNorms ? foldBatchNorm(prepared) : prepared;
}

function firstQuantized(nodes: readonly NodeProto[]): NodeProto | undefined {
  for (const node of nodes) {
    if (QUANTIZED_OPERATORS.test(node.opType)) return node;
    for (const graph of subgraphsOf(node)) {
      const inner = firstQuantized(graph.node);
      if (inner) return inner;
    }
  }
  return undefined;
}

/** What preparing a model takes from it, one sentence each. */
export function preparationNotes(model: OnnxModel): string[] {
  const names = model.irVersion < FREE_INITIALIZERS_IR ? [] : [...replaceableWeights(model.graph)];
  if (names.length === 0) return [];
  const listed = names.slice(0, 3).join(', ') + (names.length > 3 ? `, … (${names.length} in all)` : '');
  return [`Initializers that are graph inputs too, which a caller could replace, are constants here: ${listed}.`];
}

/** Before IR version 4 every initializer had to be an input as well; since then that makes it one a caller may replace. */
function freeInitializers(model: OnnxModel): OnnxModel {
  const weights = replaceableWeights(model.graph);
  if (weights.size === 0) return model;
  const input = model.graph.input.filter(({ name }) => !weights.has(name));
  return { ...model, irVersion: Math.max(model.irVersion, FREE_INITIALIZERS_IR), graph: { ...model.graph, input } };
}

/** Names of initializers that are inputs too, of just their shape: one that may have another is a default for what callers give. */
function replaceableWeights({ initializer, input }: GraphProto): Set<string> {
  const shapes = new Map(input.map(({ name, type }) => [name, type?.tensorType?.shape?.dim]));
  const isWeight = ({ name = '', dims }: TensorProto): boolean => {
    if (!shapes.has(name)) return false;
    const stated = shapes.get(name);
    return stated === undefined || dims.every((size, axis) => stated[axis]?.dimValue === size);
  };
  return new Set(initializer.filter(isWeight).map(({ name = '' }) => name));
}

/** Float tensors of Constant nodes as initializers: some exporters keep all weights there. */
function hoistConstants(model: OnnxModel): OnnxModel {
  const { graph } = model;
  const outputs = new Set(graph.output.map(({ name }) => name));
  const hoisted: TensorProto[] = [];
  const node = graph.node.filter((each) => {
    const value = isOp(each, 'Constant') ? findAttribute(each, 'value')?.t : undefined;
    if (value?.dataType !== DATA_TYPE.FLOAT || outputs.has(each.output[0])) return true;
    hoisted.push({ ...value, name: each.output[0] });
    return false;
  });
  return hoisted.length === 0
    ? model
    : { ...model, graph: { ...graph, node, initializer: [...graph.initializer, ...hoisted] } };
}
