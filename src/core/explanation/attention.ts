import { intOf, type NodeProto, type OnnxModel } from '../onnx/model.js';
import { isStandard } from '../onnx/passes/uses.js';
import { LOGIT } from './decision.js';
import { leadingTo, producersOf } from './graph-walk.js';

/** One attention of the graph: which tokens look at which. */
export interface Attention {
  /** The weights [1, heads, queries, keys], or without heads: rows sum to 1. */
  readonly weights: string;
  /** What they gather: weights times values. */
  readonly gathered: string;
  /** Tokens that look. */
  readonly queries: Stream;
  /** Tokens looked at: one stream, or several in a row. */
  readonly keys: readonly Segment[];
}

/** A row of tokens that keeps its places through the network. */
export interface Stream {
  readonly id: number;
  readonly tokens: number;
  /** Inputs that its tokens are made of before any attention; none for learned queries. */
  readonly sources: readonly string[];
}

/** A stream's place among the tokens looked at. */
export interface Segment {
  readonly stream: Stream;
  readonly start: number;
}

type ShapeOf = (value: string) => readonly number[];

/** Between the weights and their product with the values. */
const BETWEEN: ReadonlySet<string> = new Set(['Identity', 'Cast', 'Dropout', 'Reshape', 'Where', 'Mul']);

/**
 * The attentions of a graph in its order, found by their pattern: a Softmax over the last axis whose result is the first factor of a
 * matrix product. Which tokens look at which follows from the graph: what queries and keys are computed from without another
 * attention between.
 */
export function findAttention(model: OnnxModel, inputs: readonly string[], shapeOf: ShapeOf): Attention[] {
  const producers = producersOf(model);
  const leading = leadingTo(model, LOGIT);
  const found: { softmax: NodeProto; product: NodeProto }[] = [];
  for (const softmax of model.graph.node) {
    if (softmax.opType !== 'Softmax' || !isStandard(softmax) || !leading.has(softmax.output[0])) continue;
    const shape = shapeOf(softmax.output[0]);
    const axis = intOf(softmax, 'axis', -1);
    if (shape.length < 3 || (axis !== -1 && axis !== shape.length - 1)) continue;
    const product = productOf(model, softmax.output[0]);
    if (product) found.push({ softmax, product });
  }
  return new Streams(
    producers,
    inputs,
    shapeOf,
    new Map(found.map(({ product }) => [product.output[0], product])),
  ).assign(found);
}

/** Streams that f reads without another attention between. */
export function readStreams(model: OnnxModel, attentions: readonly Attention[]): Map<Stream, Attention> {
  const producers = producersOf(model);
  const byGathered = new Map(attentions.map((attention) => [attention.gathered, attention]));
  const last = new Map<Stream, Attention>();
  const pending = [LOGIT];
  const seen = new Set(pending);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const attention = byGathered.get(name);
    if (attention) {
      const known = last.get(attention.queries);
      if (!known || attentions.indexOf(known) < attentions.indexOf(attention)) last.set(attention.queries, attention);
      continue;
    }
    for (const input of producers.get(name)?.input ?? [])
      if (input && !seen.has(input)) {
        seen.add(input);
        pending.push(input);
      }
  }
  return last;
}

function productOf(model: OnnxModel, weights: string): NodeProto | undefined {
  for (const node of model.graph.node) {
    if (!node.input.includes(weights)) continue;
    if (node.opType === 'MatMul' && node.input[0] === weights) return node;
    if (BETWEEN.has(node.opType)) return productOf(model, node.output[0]);
  }
  return undefined;
}

/** Finds out which stream the queries and keys of each attention belong to. */
class Streams {
  private readonly all: Stream[] = [];
  /** The stream whose tokens an attention's results are added to. */
  private readonly ofGathered = new Map<string, Stream>();

  constructor(
    private readonly producers: ReadonlyMap<string, NodeProto>,
    private readonly inputs: readonly string[],
    private readonly shapeOf: ShapeOf,
    private readonly products: ReadonlyMap<string, NodeProto>,
  ) {}

  assign(found: readonly { softmax: NodeProto; product: NodeProto }[]): Attention[] {
    return found.flatMap(({ softmax, product }) => {
      const [queries, keys] = this.shapeOf(softmax.output[0]).slice(-2);
      const scores = this.scoresOf(softmax.input[0]);
      if (!scores) return [];
      const own = this.streamOf(scores.input[0], queries);
      const looked = this.segmentsOf(product.input[1], keys);
      this.ofGathered.set(product.output[0], own);
      return [{ weights: softmax.output[0], gathered: product.output[0], queries: own, keys: looked }];
    });
  }

  /** The product of queries and keys that a softmax is taken of, behind scales, masks and biases. */
  private scoresOf(value: string): NodeProto | undefined {
    for (let name = value; ; ) {
      const node = this.producers.get(name);
      if (!node) return undefined;
      if (node.opType === 'MatMul' || node.opType === 'Einsum') return node;
      const wanted = this.shapeOf(value).slice(-2).join();
      const next = node.input.find(
        (input) =>
          this.producers.has(input) && this.shapeOf(input).slice(-2).join() === wanted && this.leadsToProduct(input),
      );
      if (next === undefined) return undefined;
      name = next;
    }
  }

  /** Whether a product of two computed values lies behind: not a mask, nor a bias by position. */
  private leadsToProduct(value: string, depth = 12): boolean {
    const node = this.producers.get(value);
    if (!node || depth === 0) return false;
    if (node.opType === 'MatMul') return node.input.every((input) => this.producers.has(input));
    return node.input.some((input) => this.leadsToProduct(input, depth - 1));
  }

  private segmentsOf(value: string, tokens: number): Segment[] {
    const parts = this.concatenated(value, tokens);
    if (!parts) return [{ stream: this.streamOf(value, tokens), start: 0 }];
    let start = 0;
    return parts.flatMap(({ name, size }) => {
      const segment = { stream: this.streamOf(name, size), start };
      start += size;
      return [segment];
    });
  }

  /**
   * The parts where tokens of several origins are put in a row, each of which has inputs or attention behind it; null where there is
   * one, perhaps with learned tokens before it.
   */
  private concatenated(value: string, tokens: number): { name: string; size: number }[] | null {
    const pending = [value];
    const seen = new Set(pending);
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      if (this.products.has(name)) continue;
      const node = this.producers.get(name);
      if (!node) continue;
      if (node.opType === 'Concat' && node.input.length > 1) {
        const axis = this.joinedAxis(node, tokens);
        const parts = node.input.map((input) => ({ name: input, size: this.shapeOf(input)[axis] ?? 0 }));
        if (axis >= 0 && parts.every(({ name: part }) => !this.isLearned(part))) return parts;
      }
      for (const input of node.input)
        if (input && !seen.has(input)) {
          seen.add(input);
          pending.push(input);
        }
    }
    return null;
  }

  /** The axis along which a Concat makes `tokens` of fewer; -1 where it joins something else. */
  private joinedAxis(node: NodeProto, tokens: number): number {
    const shape = this.shapeOf(node.output[0]);
    const given = intOf(node, 'axis', 0);
    const axis = given < 0 ? given + shape.length : given;
    // Tokens lie before the last axis of a value [1, tokens, width].
    return shape.length === 3 && axis === 1 && shape[axis] === tokens ? axis : -1;
  }

  private isLearned(value: string): boolean {
    const { gathered, sources } = this.behind(value);
    return gathered.length === 0 && sources.length === 0;
  }

  private streamOf(value: string, tokens: number): Stream {
    const { gathered, sources } = this.behind(value);
    const known = gathered.map((name) => this.ofGathered.get(name)).filter((stream) => stream?.tokens === tokens);
    if (known.length > 0) return known[known.length - 1]!;
    const same = this.all.find(
      (stream) =>
        gathered.length === 0 &&
        stream.tokens === tokens &&
        stream.sources.join() === sources.join() &&
        sources.length > 0,
    );
    if (same) return same;
    const stream = { id: this.all.length, tokens, sources };
    this.all.push(stream);
    return stream;
  }

  /** What a value is computed from with no attention between: results of attentions, in the order of the graph, and inputs. */
  private behind(value: string): { gathered: string[]; sources: string[] } {
    const gathered = new Set<string>();
    const sources = new Set<string>();
    const pending = [value];
    const seen = new Set(pending);
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (this.products.has(name)) {
        gathered.add(name);
        continue;
      }
      if (this.inputs.includes(name)) sources.add(name);
      const node = this.producers.get(name);
      // How large an input is says nothing of what is in it.
      if (node?.opType === 'Shape') continue;
      for (const input of node?.input ?? [])
        if (input && !seen.has(input)) {
          seen.add(input);
          pending.push(input);
        }
    }
    return {
      gathered: [...this.products.keys()].filter((name) => gathered.has(name)),
      sources: this.inputs.filter((name) => sources.has(name)),
    };
  }
}
