import { type GraphProto, type NodeProto, type OnnxModel, subgraphsOf } from '../model.js';

/** Every value a node reads, the outer ones that its subgraphs read included. */
function reads(node: NodeProto): string[] {
  const inner = (graph: GraphProto): string[] => [
    ...graph.node.flatMap(reads),
    ...graph.output.map(({ name }) => name),
  ];
  return [...node.input, ...[...subgraphsOf(node)].flatMap(inner)].filter(Boolean);
}

/** Removes nodes and initializers that no output depends on. Inputs and outputs of the graph stay as they are. */
export function removeDeadCode(model: OnnxModel): OnnxModel {
  const { graph } = model;
  const live = new Set(graph.output.map(({ name }) => name));
  // Nodes stand in topological order, so one sweep from the end finds everything that is needed.
  const node = graph.node
    .toReversed()
    .filter((candidate) => {
      if (!candidate.output.some((name) => live.has(name))) return false;
      for (const name of reads(candidate)) live.add(name);
      return true;
    })
    .toReversed();
  const inputs = new Set(graph.input.map(({ name }) => name));
  const initializer = graph.initializer.filter(({ name = '' }) => live.has(name) || inputs.has(name));
  const kept = new Set([
    ...node.flatMap((each) => each.output),
    ...inputs,
    ...initializer.map(({ name = '' }) => name),
  ]);
  return {
    ...model,
    graph: { ...graph, node, initializer, valueInfo: graph.valueInfo.filter(({ name }) => kept.has(name)) },
  };
}
