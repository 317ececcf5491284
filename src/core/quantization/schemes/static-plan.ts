import { DATA_TYPE, floatOf, intOf, type NodeProto, type OnnxModel, opsetOf, subgraphsOf } from '../../onnx/model.js';
import { countUses, isOp, isStandard } from '../../onnx/passes/uses.js';
import { numel } from '../../tensor/shape.js';
import { fixedInitializers } from '../graph-edit.js';
import { type Excluded, nodeLabel, type SchemeRequest } from './scheme.js';

/** u8 MaxPool exists since this opset. */
const INTEGER_MAX_POOL_OPSET = 12;
/** What a convolution computes together with. */
export const ACTIVATIONS: ReadonlySet<string> = new Set(['Relu', 'Clip']);

/** How a node is quantized: by its weight, or because what it joins or pools is quantized already. */
export type StaticNode =
  | { readonly kind: 'weighted'; readonly node: NodeProto; readonly output: string | undefined }
  | { readonly kind: 'pass'; readonly node: NodeProto; readonly output: string; readonly sharesRange: boolean };

/** What static quantization does to a graph, before any range is known. */
export interface StaticPlan {
  readonly nodes: ReadonlyMap<NodeProto, StaticNode>;
  /** Values made by quantized nodes: all that read them read what their 8 bits say. */
  readonly owned: ReadonlySet<string>;
  /** Every value whose range is needed. */
  readonly observed: readonly string[];
  readonly excluded: readonly Excluded[];
}

/**
 * Chooses the nodes that onnxruntime has fast integer kernels for. The result of a Conv is quantized behind its Relu or Clip; a
 * MatMul or Gemm takes 8 bits and gives float, so that no rounding is added between it and its bias; Add, Concat and the pools
 * join only where all they read is quantized already.
 */
export function planStatic(model: OnnxModel, { exclude }: SchemeRequest): StaticPlan {
  const { graph } = model;
  const constants = fixedInitializers(graph);
  const uses = countUses(graph);
  const outputs = new Set(graph.output.map(({ name }) => name));
  const readers = firstReaders(graph.node);
  const nodes = new Map<NodeProto, StaticNode>();
  const owned = new Set<string>();
  const observed = new Set<string>();
  const excluded: Excluded[] = [];
  const opset = opsetOf(model) ?? 0;

  /** The value behind the activation that follows a node, if nothing else reads between. */
  const settledOutput = (node: NodeProto): string => {
    const [result] = node.output;
    const next = readers.get(result);
    return next && uses.get(result) === 1 && !outputs.has(result) && isStandard(next) && ACTIVATIONS.has(next.opType)
      ? next.output[0]
      : result;
  };
  const own = (node: NodeProto, entry: StaticNode): void => {
    nodes.set(node, entry);
    if (entry.output === undefined) return;
    owned.add(entry.output);
    observed.add(entry.output);
  };

  for (const node of graph.node) {
    if (!isStandard(node)) continue;
    if (hasConstantWeight(node, constants)) {
      const why = exclude(node) ?? unsuited(node, constants);
      if (why !== undefined) {
        excluded.push({ node: nodeLabel(node), why });
        continue;
      }
      if (!owned.has(node.input[0])) observed.add(node.input[0]);
      own(node, { kind: 'weighted', node, output: isOp(node, 'Conv') ? settledOutput(node) : undefined });
      continue;
    }
    const joins = JOINING.has(node.opType) && node.input.length > 0 && node.input.every((name) => owned.has(name));
    if (!joins || node.output.slice(1).some(Boolean)) continue;
    if (node.opType === 'MaxPool' && opset < INTEGER_MAX_POOL_OPSET) continue;
    const why = exclude(node);
    if (why !== undefined) excluded.push({ node: nodeLabel(node), why });
    else own(node, { kind: 'pass', node, output: settledOutput(node), sharesRange: node.opType === 'MaxPool' });
  }
  return { nodes, owned, observed: [...observed], excluded };
}

const JOINING: ReadonlySet<string> = new Set(['Add', 'Concat', 'MaxPool', 'AveragePool', 'GlobalAveragePool']);

function firstReaders(nodes: readonly NodeProto[]): Map<string, NodeProto> {
  const readers = new Map<string, NodeProto>();
  for (const node of nodes) for (const name of node.input) if (name && !readers.has(name)) readers.set(name, node);
  // A value that a subgraph reads from the inside has more readers than this: uses count them.
  for (const node of nodes)
    for (const { output } of subgraphsOf(node)) for (const { name } of output) readers.delete(name);
  return readers;
}

const hasConstantWeight = (node: NodeProto, constants: ReadonlyMap<string, { dims: readonly number[] }>): boolean =>
  ['Conv', 'MatMul', 'Gemm'].includes(node.opType) &&
  (constants.get(node.input[1])?.dims.length ?? 0) >= 2 &&
  !constants.has(node.input[0]);

/** Results of a place, and products of a result, from which an integer convolution is faster than a float one (AVX2, no VNNI). */
const LEAST_CHANNELS = 16;

/** A convolution of few channels gains no time from 8 bits, and loses most by them: what few values carry, no others make up for. */
function isNarrow(node: NodeProto, { dims: [outputs, ...products] }: { dims: readonly number[] }): boolean {
  const groups = intOf(node, 'group', 1);
  return isOp(node, 'Conv') && groups === 1 && Math.min(outputs, numel(products)) < LEAST_CHANNELS;
}

function unsuited(
  node: NodeProto,
  constants: ReadonlyMap<string, { dims: readonly number[]; dataType: number }>,
): string | undefined {
  const weight = constants.get(node.input[1])!;
  if (weight.dataType !== DATA_TYPE.FLOAT) return 'its weight is not float32';
  if (isNarrow(node, weight)) return 'a convolution of few channels is no faster in 8 bits';
  if (node.opType === 'MatMul' && weight.dims.length > 2) return 'its weight is a stack of matrices';
  if (node.opType === 'Gemm') {
    const plain = intOf(node, 'transA', 0) === 0 && floatOf(node, 'alpha', 1) === 1 && floatOf(node, 'beta', 1) === 1;
    if (!plain) return 'a Gemm that scales or transposes its input has no integer form';
  }
  const bias = node.input[2] ? constants.get(node.input[2]) : undefined;
  if (node.input[2] && (bias?.dataType !== DATA_TYPE.FLOAT || bias.dims.length !== 1))
    return 'its bias is no constant vector';
  return undefined;
}
