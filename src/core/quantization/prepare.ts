import {
  DATA_TYPE,
  findAttribute,
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

/** Before IR version 4 every initializer had to be an input as well; now that would make it one a caller may replace. */
function freeInitializers(model: OnnxModel): OnnxModel {
  if (model.irVersion >= FREE_INITIALIZERS_IR) return model;
  const initializers = new Set(model.graph.initializer.map(({ name }) => name));
  const input = model.graph.input.filter(({ name }) => !initializers.has(name));
  return { ...model, irVersion: FREE_INITIALIZERS_IR, graph: { ...model.graph, input } };
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
