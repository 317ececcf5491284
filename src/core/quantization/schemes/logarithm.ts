import type { GraphProto, NodeProto } from '../../onnx/model.js';
import { isOp, isStandard, producers } from '../../onnx/passes/uses.js';
import { fixedInitializers } from '../graph-edit.js';
import { nodeLabel } from './scheme.js';

const WHY = 'the logarithm of its result is taken: steps of equal width lose what is small, and that counts as much';

const PRODUCTS: ReadonlySet<string> = new Set(['Conv', 'MatMul', 'Gemm']);
/** What leaves small values small, so that what lies in front matters as much as what lies behind. */
const KEEPING: ReadonlySet<string> = new Set([
  ...['Add', 'Sub', 'Pow', 'Sqrt', 'Abs', 'Max', 'Min', 'Clip', 'Pad', 'Cast', 'Identity'],
  ...['ReduceSum', 'ReduceSumSquare', 'ReduceL2', 'AveragePool', 'BatchNormalization'],
  ...['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Transpose', 'Slice', 'Split', 'Gather', 'Concat'],
]);

/**
 * Products by a weight whose result goes into a logarithm, by label with the reason: spectra in front of a log-mel, above all.
 * The walk back from a Log ends at every other operator (Exp, Softmax, norms, gates, activations), and so spares the layers
 * behind a loss such as log-softmax.
 */
export function logarithmInputs(graph: GraphProto): Map<string, string> {
  const makers = producers(graph);
  const constants = fixedInitializers(graph);
  const isConstant = (value: string): boolean => constants.has(value) || isOp(makers.get(value), 'Constant');
  const keepsSmall = (node: NodeProto): boolean => {
    const [left, right] = node.input;
    if (node.opType === 'Mul') return left === right || isConstant(left) || isConstant(right);
    if (node.opType === 'Div') return isConstant(right);
    return KEEPING.has(node.opType) || PRODUCTS.has(node.opType);
  };
  const found = new Map<string, string>();
  const seen = new Set<NodeProto>();
  const waiting = graph.node.filter((node) => isOp(node, 'Log')).flatMap(({ input }) => input);
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    const node = makers.get(value);
    if (node === undefined || seen.has(node) || !isStandard(node) || !keepsSmall(node)) continue;
    seen.add(node);
    if (PRODUCTS.has(node.opType)) found.set(nodeLabel(node), WHY);
    waiting.push(...node.input);
  }
  return found;
}
