import type { GraphProto, NodeProto, OnnxModel, TensorProto } from '../onnx/model.js';
import { countUses } from '../onnx/passes/uses.js';

/** Collects the new nodes and initializers of a graph that is rewritten from front to back. */
export class GraphEdit {
  readonly nodes: NodeProto[] = [];
  readonly constants: ReadonlyMap<string, TensorProto>;
  private readonly added = new Map<string, TensorProto>();
  private readonly retired = new Set<string>();
  private readonly taken: Set<string>;

  constructor(readonly model: OnnxModel) {
    this.constants = fixedInitializers(model.graph);
    this.taken = namesOf(model.graph);
  }

  /** A name that no value has, near `wanted`. */
  freshName(wanted: string): string {
    let name = wanted;
    for (let n = 1; this.taken.has(name); n++) name = `${wanted}_${n}`;
    this.taken.add(name);
    return name;
  }

  /** Appends a node and returns the name of its first output. */
  node(opType: string, input: readonly string[], output: string, rest: Partial<NodeProto> = {}): string {
    this.nodes.push({ opType, name: output, input: [...input], output: [output], attribute: [], ...rest });
    return output;
  }

  initializer(tensor: TensorProto): string {
    this.added.set(tensor.name ?? '', tensor);
    return tensor.name ?? '';
  }

  /** An initializer that goes unless something still reads it. */
  retire(name: string): void {
    this.retired.add(name);
  }

  /** The rewritten model; what was neither quantized nor replaced is as it was. */
  finish(): OnnxModel {
    const { graph } = this.model;
    const edited = { ...graph, node: this.nodes };
    const uses = countUses(edited);
    // A node's output may have taken over the name of its weight.
    const computed = new Set(this.nodes.flatMap(({ output }) => output));
    const gone = (name: string): boolean => this.retired.has(name) && (computed.has(name) || !uses.has(name));
    const kept = graph.initializer.filter(({ name = '' }) => !gone(name));
    const removed = new Set(graph.initializer.map(({ name = '' }) => name).filter(gone));
    const valueInfo = graph.valueInfo.filter(({ name }) => !removed.has(name) || computed.has(name));
    return { ...this.model, graph: { ...edited, initializer: [...kept, ...this.added.values()], valueInfo } };
  }
}

/** Initializers whose values are known: those that are no inputs too, which a caller could replace. */
export function fixedInitializers({ initializer, input }: GraphProto): Map<string, TensorProto> {
  const inputs = new Set(input.map(({ name }) => name));
  return new Map(initializer.filter(({ name = '' }) => !inputs.has(name)).map((tensor) => [tensor.name ?? '', tensor]));
}

const namesOf = ({ node, initializer, input }: GraphProto): Set<string> =>
  new Set([
    ...node.flatMap(({ output }) => output),
    ...initializer.map(({ name = '' }) => name),
    ...input.map(({ name }) => name),
  ]);
