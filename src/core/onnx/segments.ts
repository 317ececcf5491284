import type { Dtype } from '../tensor/dtype.js';
import { freeValues } from './extract.js';
import { typeProto } from './graph-core.js';
import type { NodeProto, OnnxModel, ValueInfoProto } from './model.js';
import { rawBytesOf } from './tensor-data.js';

/** Consecutive nodes of a model, with what passes between them and the others. */
export interface Segment {
  readonly nodes: readonly NodeProto[];
  /** Values it reads: inputs of the model and values that segments before it compute. Weights are not among them. */
  readonly inputs: readonly string[];
  /** Values it computes that segments after it read, or that the model gives. */
  readonly outputs: readonly string[];
  /** Bytes of its weights. */
  readonly weightBytes: number;
}

/**
 * Cuts a model into segments of at most `maxBytes` of weights (one node alone may have more), where the fewest values pass: between
 * the blocks of a network, whose only link is the stream of their states.
 */
export function planSegments({ graph }: OnnxModel, maxBytes: number): Segment[] {
  const weights = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', rawBytesOf(tensor).byteLength]));
  const uses = graph.node.map((node) => [...new Set(freeValues(node))]);
  const lastUse = new Map<string, number>();
  for (const [i, names] of uses.entries()) for (const name of names) if (!weights.has(name)) lastUse.set(name, i);
  for (const { name } of graph.output) lastUse.set(name, graph.node.length);
  const passing = countPassing(
    graph.node,
    graph.input.map(({ name }) => name).filter((name) => !weights.has(name)),
    lastUse,
  );

  const segments: Segment[] = [];
  const close = (from: number, to: number): void => {
    const nodes = graph.node.slice(from, to);
    const made = new Set(nodes.flatMap(({ output }) => output));
    const read = new Set(uses.slice(from, to).flat());
    const own = [...read].filter((name) => weights.has(name));
    segments.push({
      nodes,
      inputs: [...read].filter((name) => !weights.has(name) && !made.has(name)),
      outputs: [...made].filter((name) => (lastUse.get(name) ?? -1) >= to),
      weightBytes: own.reduce((sum, name) => sum + weights.get(name)!, 0),
    });
  };
  let from = 0;
  while (from < graph.node.length) {
    const to = endOf(from, uses, { weights, passing, maxBytes });
    close(from, to);
    from = to;
  }
  return segments;
}

/** How many values pass each place: after node i, those that a later node reads. */
function countPassing(
  nodes: readonly NodeProto[],
  inputs: readonly string[],
  lastUse: ReadonlyMap<string, number>,
): Int32Array {
  const change = new Int32Array(nodes.length + 1);
  const span = (name: string, made: number): void => {
    const last = lastUse.get(name) ?? -1;
    if (last <= made) return;
    change[made]++;
    change[Math.min(last, nodes.length)]--;
  };
  for (const name of inputs) span(name, 0);
  for (const [i, { output }] of nodes.entries()) for (const name of output) span(name, i);
  let count = 0;
  return change.map((each) => {
    count += each;
    return count;
  });
}

interface Cutting {
  readonly weights: ReadonlyMap<string, number>;
  readonly passing: Int32Array;
  readonly maxBytes: number;
}

/** The node that the next segment begins with: after the place with the fewest passing values in the fuller half, the last of equals. */
function endOf(from: number, uses: readonly string[][], { weights, passing, maxBytes }: Cutting): number {
  const held = new Set<string>();
  let bytes = 0;
  let best = -1;
  for (let i = from; i < uses.length; i++) {
    for (const name of uses[i]) {
      if (held.has(name)) continue;
      held.add(name);
      bytes += weights.get(name) ?? 0;
    }
    if (bytes > maxBytes && i > from) return (best < 0 ? i - 1 : best) + 1;
    if (best < 0 || bytes < maxBytes / 2 || passing[i] <= passing[best]) best = i;
  }
  return uses.length;
}

/** Type and number of axes of a value that passes between segments, as a run shows it. */
export interface SeenValue {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/**
 * A segment as a model of its own; its weights are those of the whole, unread.
 * @param seen - its inputs that are no inputs of the model
 */
export function segmentModel(model: OnnxModel, segment: Segment, seen: ReadonlyMap<string, SeenValue>): OnnxModel {
  const { graph } = model;
  const stated = new Map([...graph.input, ...graph.output].map((info) => [info.name, info]));
  const read = new Set(segment.nodes.flatMap(freeValues));
  const inputType = (name: string): ValueInfoProto => {
    const value = seen.get(name);
    if (!value) return stated.get(name) ?? { name };
    const sizes = value.shape.map((_, axis) => `${name}.${axis}`);
    return { name, type: typeProto(value.dtype, sizes) };
  };
  return {
    ...model,
    metadataProps: [],
    graph: {
      ...graph,
      node: [...segment.nodes],
      initializer: graph.initializer.filter(({ name = '' }) => read.has(name)),
      input: segment.inputs.map(inputType),
      // A runtime infers the types of outputs.
      output: segment.outputs.map((name) => stated.get(name) ?? { name }),
      valueInfo: [],
    },
  };
}
