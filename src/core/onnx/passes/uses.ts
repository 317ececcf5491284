import { type GraphProto, type NodeProto, subgraphsOf } from '../model.js';

/** How often each value is read: by nodes, by subgraphs from the inside, and as an output of the graph. */
export function countUses(graph: GraphProto): Map<string, number> {
  const uses = new Map<string, number>();
  const read = (name: string): void => void (name && uses.set(name, (uses.get(name) ?? 0) + 1));
  const visit = (inner: GraphProto): void => {
    for (const node of inner.node) {
      node.input.forEach(read);
      for (const sub of subgraphsOf(node)) visit(sub);
    }
    for (const { name } of inner.output) read(name);
  };
  visit(graph);
  return uses;
}

/** The node that makes each value. */
export function producers(graph: GraphProto): Map<string, NodeProto> {
  return new Map(graph.node.flatMap((node) => node.output.filter(Boolean).map((name) => [name, node] as const)));
}

export const isStandard = (node: NodeProto): boolean => !node.domain || node.domain === 'ai.onnx';

export const isOp = <T extends string>(node: NodeProto | undefined, opType: T): node is NodeProto & { opType: T } =>
  node?.opType === opType && isStandard(node);
