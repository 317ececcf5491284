import type { NodeProto, OnnxModel } from '../onnx/model.js';

/** Values that some values reach. */
export function reachedFrom({ graph }: OnnxModel, values: Iterable<string>): Set<string> {
  const reached = new Set(values);
  for (const { input, output } of graph.node)
    if (input.some((name) => reached.has(name))) for (const name of output) reached.add(name);
  return reached;
}

/** Values that lead to one. */
export function leadingTo({ graph }: OnnxModel, value: string): Set<string> {
  const leading = new Set([value]);
  for (const { input, output } of graph.node.toReversed())
    if (output.some((name) => leading.has(name))) for (const name of input) leading.add(name);
  return leading;
}

/** The node that computes each value. */
export const producersOf = ({ graph }: OnnxModel): Map<string, NodeProto> =>
  new Map(graph.node.flatMap((node) => node.output.filter(Boolean).map((name) => [name, node] as const)));
