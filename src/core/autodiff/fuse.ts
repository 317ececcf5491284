import { floatAttribute, type GraphProto, intAttribute, type NodeProto } from '../onnx/model.js';
import { countUses, isOp, producers } from '../onnx/passes/uses.js';
import type { BoundGraph } from './types.js';

/** Relative difference at which a constant still is the one of a formula: exporters write them in float32. */
const CONSTANT_TOLERANCE = 1e-6;

/**
 * Writes norms and GELUs that older opsets take apart as one operator again, as a runtime does for inference. It could not do so
 * in a training graph, where the gradient reads what lies between. The results are the same but for rounding.
 * @param keep - values that must stay, however they are used
 */
export function fuseOperators(bound: BoundGraph, keep: ReadonlySet<string> = new Set()): BoundGraph {
  const { graph } = bound.model;
  const search = new Search(bound, graph, keep);
  const replaced = new Map<NodeProto, NodeProto>();
  const gone = new Set<NodeProto>();
  for (const last of graph.node) {
    const fusion = layerNormalization(search, last) ?? gelu(search, last);
    if (fusion === undefined) continue;
    replaced.set(last, fusion.node);
    for (const node of fusion.inner) gone.add(node);
  }
  if (replaced.size === 0) return bound;
  const node = graph.node.flatMap((each) => replaced.get(each) ?? (gone.has(each) ? [] : each));
  const hidden = new Set([...gone].flatMap(({ output }) => output));
  const types = new Map([...bound.types].filter(([name]) => !hidden.has(name)));
  return { ...bound, types, model: { ...bound.model, graph: { ...graph, node } } };
}

interface Fusion {
  readonly node: NodeProto;
  /** Nodes that go, the last one aside. */
  readonly inner: readonly NodeProto[];
}

/** Looks at a graph from results to inputs. */
class Search {
  private readonly made: ReadonlyMap<string, NodeProto>;
  private readonly uses: ReadonlyMap<string, number>;

  constructor(
    private readonly bound: BoundGraph,
    graph: GraphProto,
    private readonly keep: ReadonlySet<string>,
  ) {
    this.made = producers(graph);
    this.uses = countUses(graph);
  }

  /** The node of that operator that makes a value which is read `uses` times and nowhere kept. */
  maker(value: string, opType: string, uses = 1): NodeProto | undefined {
    const node = this.made.get(value);
    if (!isOp(node, opType) || this.uses.get(value) !== uses || this.keep.has(value)) return undefined;
    return node;
  }

  /** Both ways round: the node of that operator among two inputs, and the other input. */
  either(node: NodeProto, opType: string): { found: NodeProto; other: string } | undefined {
    for (const index of [0, 1]) {
      const found = this.maker(node.input[index], opType);
      if (found) return { found, other: node.input[1 - index] };
    }
    return undefined;
  }

  /** The one element of a constant. */
  number(value: string): number | undefined {
    const data = this.bound.constants.get(value)?.data;
    return data?.length === 1 ? Number(data[0]) : undefined;
  }

  isNumber(value: string, expected: number): boolean {
    const actual = this.number(value);
    return actual !== undefined && Math.abs(actual - expected) <= CONSTANT_TOLERANCE * Math.abs(expected);
  }

  shapeOf(value: string): readonly number[] {
    return this.bound.types.get(value)?.shape ?? [];
  }

  /** A mean over the last axis that keeps it. */
  isMeanOfRows(node: NodeProto, of: string): boolean {
    const shape = this.shapeOf(of);
    const reduced = this.shapeOf(node.output[0]);
    const axes = this.bound.constants.get(node.input[1] ?? '')?.data;
    const axis = axes?.length === 1 ? Number(axes[0]) : Number.NaN;
    return reduced.length === shape.length && (axis === -1 || axis === shape.length - 1);
  }
}

/** (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) weight + bias over the last axis. */
function layerNormalization(search: Search, last: NodeProto): Fusion | undefined {
  if (!isOp(last, 'Add')) return undefined;
  const scaled = search.either(last, 'Mul');
  const divided = scaled && search.either(scaled.found, 'Div');
  if (!divided) return undefined;
  const [weight, bias] = [divided.other, scaled.other];
  const div = divided.found;
  const centre = search.maker(div.input[0], 'Sub', 2);
  const sqrt = search.maker(div.input[1], 'Sqrt');
  const shifted = sqrt && search.maker(sqrt.input[0], 'Add');
  const variance = shifted && search.either(shifted, 'ReduceMean');
  const square = variance && search.maker(variance.found.input[0], 'Pow');
  const mean = centre && search.maker(centre.input[1], 'ReduceMean');
  if (!centre || !variance || !square || !mean || !sqrt || !shifted) return undefined;
  const [x] = centre.input;
  const epsilon = search.number(variance.other);
  const width = search.shapeOf(x).slice(-1);
  const isParameter = (value: string): boolean => search.shapeOf(value).join() === width.join();
  const isNorm =
    square.input[0] === centre.output[0] &&
    search.isNumber(square.input[1], 2) &&
    mean.input[0] === x &&
    search.isMeanOfRows(mean, x) &&
    search.isMeanOfRows(variance.found, square.output[0]) &&
    [weight, bias].every(isParameter);
  if (!isNorm || epsilon === undefined) return undefined;
  return {
    node: {
      name: last.name,
      opType: 'LayerNormalization',
      input: [x, weight, bias],
      output: last.output,
      attribute: [intAttribute('axis', -1), floatAttribute('epsilon', epsilon)],
    },
    inner: [scaled.found, div, centre, sqrt, shifted, variance.found, square, mean],
  };
}

/** x (erf(x / sqrt 2) + 1) / 2, in the order of PyTorch's exporter and ours. */
function gelu(search: Search, last: NodeProto): Fusion | undefined {
  if (!isOp(last, 'Mul')) return undefined;
  const product = search.either(last, 'Mul');
  if (!product || !search.isNumber(product.other, 0.5)) return undefined;
  const shifted = search.either(product.found, 'Add');
  const erf = shifted && search.either(shifted.found, 'Erf');
  if (!erf || !search.isNumber(erf.other, 1)) return undefined;
  const scaled = search.maker(erf.found.input[0], 'Div');
  const x = shifted.other;
  if (!scaled || scaled.input[0] !== x || !search.isNumber(scaled.input[1], Math.SQRT2)) return undefined;
  return {
    node: { name: last.name, opType: 'Gelu', input: [x], output: last.output, attribute: [] },
    inner: [product.found, shifted.found, erf.found, scaled],
  };
}
