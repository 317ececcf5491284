import type { AttributeProto, GraphProto, NodeProto, TensorAnnotation, ValueInfoProto } from '../onnx/model.js';

/** The same graph with every value, node and initializer under another name, inside subgraphs too. Weights are shared, not read. */
export function renameGraph(graph: GraphProto, rename: (name: string) => string): GraphProto {
  const info = (value: ValueInfoProto): ValueInfoProto => ({ ...value, name: rename(value.name) });
  return {
    ...graph,
    node: graph.node.map((node) => renameNode(node, rename)),
    initializer: graph.initializer.map((tensor) => ({ ...tensor, name: rename(tensor.name ?? '') })),
    sparseInitializer: graph.sparseInitializer?.map((sparse) => ({
      ...sparse,
      values: sparse.values && { ...sparse.values, name: rename(sparse.values.name ?? '') },
    })),
    input: graph.input.map(info),
    output: graph.output.map(info),
    valueInfo: graph.valueInfo.map(info),
    quantizationAnnotation: graph.quantizationAnnotation?.map((annotation) => renameAnnotation(annotation, rename)),
  };
}

function renameNode(node: NodeProto, rename: (name: string) => string): NodeProto {
  // An empty name stands for an optional input or output that is left out.
  const value = (name: string): string => (name === '' ? '' : rename(name));
  return {
    ...node,
    name: node.name && rename(node.name),
    input: node.input.map(value),
    output: node.output.map(value),
    attribute: node.attribute.map((attribute) => renameAttribute(attribute, rename)),
  };
}

const renameAttribute = (attribute: AttributeProto, rename: (name: string) => string): AttributeProto => {
  const { g, graphs } = attribute;
  if (!g && !graphs) return attribute;
  return {
    ...attribute,
    ...(g && { g: renameGraph(g, rename) }),
    ...(graphs && { graphs: graphs.map((graph) => renameGraph(graph, rename)) }),
  };
};

/** The parameters of an annotation are names of initializers. */
const renameAnnotation = (annotation: TensorAnnotation, rename: (name: string) => string): TensorAnnotation => ({
  ...annotation,
  tensorName: annotation.tensorName && rename(annotation.tensorName),
  quantParameterTensorNames: annotation.quantParameterTensorNames?.map((entry) => ({
    ...entry,
    value: entry.value && rename(entry.value),
  })),
});
