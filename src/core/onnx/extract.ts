import { HpsError } from '../errors.js';
import { type GraphProto, type NodeProto, type OnnxModel, subgraphsOf, type ValueInfoProto } from './model.js';

export interface Cut {
  /** Values that become inputs; what leads to them is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Types of cut values that the model does not state. */
  readonly types?: ReadonlyMap<string, ValueInfoProto>;
}

/**
 * The part of a model between given values: its nodes in their order, with the initializers they use. Weights are shared, not read.
 * @throws HpsError INPUTS_INVALID where a value is unknown or has no stated type, or an output depends on an input that is not given
 */
export function extractSubgraph(model: OnnxModel, { inputs, outputs, types }: Cut): OnnxModel {
  const { graph } = model;
  const stated = new Map([...graph.valueInfo, ...graph.input, ...graph.output].map((info) => [info.name, info]));
  const typeOf = (name: string): ValueInfoProto => {
    const info = types?.get(name) ?? stated.get(name);
    if (info === undefined) throw invalidCut(name, 'its type is not stated in the model');
    return info;
  };
  const used = trace(graph, inputs, outputs);
  return {
    ...model,
    graph: {
      ...graph,
      node: graph.node.filter((node) => used.nodes.has(node)).map((node) => withoutOutputs(node, inputs)),
      initializer: graph.initializer.filter(({ name = '' }) => used.values.has(name)),
      sparseInitializer: graph.sparseInitializer?.filter(({ values }) => used.values.has(values?.name ?? '')),
      input: inputs.map(typeOf),
      output: outputs.map(typeOf),
      valueInfo: graph.valueInfo.filter(
        ({ name }) => used.values.has(name) && !inputs.includes(name) && !outputs.includes(name),
      ),
      quantizationAnnotation: graph.quantizationAnnotation?.filter(({ tensorName = '' }) =>
        used.values.has(tensorName),
      ),
    },
  };
}

interface Used {
  readonly nodes: ReadonlySet<NodeProto>;
  /** Inputs and outputs of those nodes, seen from the inside of subgraphs too. */
  readonly values: ReadonlySet<string>;
}

/** Walks back from the outputs until the inputs and the initializers. */
function trace(graph: GraphProto, inputs: readonly string[], outputs: readonly string[]): Used {
  const producers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const constants = new Set([
    ...graph.initializer.map(({ name = '' }) => name),
    ...(graph.sparseInitializer ?? []).map(({ values }) => values?.name ?? ''),
  ]);
  const nodes = new Set<NodeProto>();
  const values = new Set<string>(inputs);
  const pending = outputs.filter((name) => !values.has(name));
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (values.has(name)) continue;
    values.add(name);
    const node = producers.get(name);
    if (node === undefined) {
      if (!constants.has(name)) throw invalidCut(name, 'the cut depends on it, but it is neither computed nor given');
      continue;
    }
    if (nodes.has(node)) continue;
    nodes.add(node);
    pending.push(...freeValues(node));
  }
  return { nodes, values };
}

/** A node stays for one of its outputs while another is given from outside now. */
const withoutOutputs = (node: NodeProto, given: readonly string[]): NodeProto =>
  node.output.some((name) => given.includes(name))
    ? { ...node, output: node.output.map((name) => (given.includes(name) ? '' : name)) }
    : node;

/** What a node needs from its graph: its inputs, and what its subgraphs take from around them. */
export function freeValues(node: NodeProto): string[] {
  const free = node.input.filter((name) => name !== '');
  for (const graph of subgraphsOf(node)) {
    const own = new Set([
      ...graph.input.map(({ name }) => name),
      ...graph.initializer.map(({ name = '' }) => name),
      ...graph.node.flatMap(({ output }) => output),
    ]);
    const needed = [...graph.node.flatMap(freeValues), ...graph.output.map(({ name }) => name)];
    free.push(...needed.filter((name) => !own.has(name)));
  }
  return free;
}

const invalidCut = (value: string, rule: string): HpsError =>
  new HpsError('INPUTS_INVALID', `value ${value}: ${rule}`, {
    hint: 'Name inputs and outputs that the model states, such that the inputs are all the outputs need.',
    details: { value, rule },
  });
