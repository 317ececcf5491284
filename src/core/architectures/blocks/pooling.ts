import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import { attend, type Reads, splitHeads } from './attention.js';

/** Which token stands for a text: x [batch, tokens, width] -> [batch, width]. */

/**
 * Tokens that the last block of a stack is read at, one a rule, in their order: it need not compute the others, and what comes of it
 * has them alone, [batch, rules, width].
 */
export const readAt =
  (graph: GraphBuilder, ...rules: readonly ((x: Value) => Value)[]): Reads =>
  (x) =>
    graph.scope('read', () => {
      const tokens = rules.map((rule) => graph.unsqueeze(rule(x), [1]));
      return tokens.length === 1 ? tokens[0] : graph.concat(tokens, 1);
    });

/** The first token. */
export const firstToken = (graph: GraphBuilder, x: Value): Value => graph.at(x, 1, 0);

/** The token with the highest id of its row, the first of equals: CLIP's end of text, whose id is the highest of the plain vocabulary. */
export const atHighestId = (graph: GraphBuilder, x: Value, ids: Value): Value =>
  graph.scope('pool', () => graph.tokenAt(x, graph.argMax(graph.cast(ids, 'I32'), 1)));

/** The first token with the given id; the first of the row where none has it. */
export const atFirstOf = (graph: GraphBuilder, x: Value, ids: Value, id: number): Value =>
  graph.scope('pool', () => graph.tokenAt(x, firstPlaceOf(graph, ids, id)));

/** Place int64 [batch] of the first token with the given id. */
export const firstPlaceOf = (graph: GraphBuilder, ids: Value, id: number): Value =>
  graph.argMax(graph.cast(graph.equal(ids, graph.scalar(id, 'I64')), 'I32'), 1);

/** The last token whose id is not `pad`, wherever the padding lies (transformers' rule: by id, not by mask). */
export const atLastBut = (graph: GraphBuilder, x: Value, ids: Value, pad: number): Value =>
  graph.scope('pool', () => {
    const isText = graph.cast(graph.not(graph.equal(ids, graph.scalar(pad, 'I64'))), 'I64');
    return lastWhere(graph, x, isText);
  });

/** The token that begins the last run of the given ids, of which no two neighbours are equal; the first of the row where there is none. */
export const atLastRunOf = (graph: GraphBuilder, x: Value, ids: Value, run: readonly number[]): Value =>
  graph.scope('pool', () => {
    const matches = run.map((id, i) =>
      graph.cast(graph.equal(i === 0 ? ids : graph.movedLeft(ids, i), graph.scalar(id, 'I64')), 'I64'),
    );
    return lastWhere(
      graph,
      x,
      matches.reduce((all, match) => graph.mul(all, match)),
    );
  });

/** The last token that the mask int64 [batch, tokens] keeps: of a row without padding, its end. */
export const atLastSeen = (graph: GraphBuilder, x: Value, mask: Value): Value =>
  graph.scope('pool', () => lastWhere(graph, x, mask));

function lastWhere(graph: GraphBuilder, x: Value, counts: Value): Value {
  const place = graph.mul(graph.positionsOf(counts, 1), counts);
  return graph.tokenAt(x, graph.argMax(graph.cast(place, 'I32'), 1));
}

/** The last token of the row, padding or not. */
export const lastToken = (graph: GraphBuilder, x: Value): Value => graph.at(x, 1, -1);

/** Mean of the tokens that the mask [batch, tokens] keeps, or weights; of all without one. In float32. */
export function meanOfTokens(graph: GraphBuilder, x: Value, mask: Value | null = null): Value {
  return graph.scope('pool', () => {
    const wide = graph.cast(x, 'F32');
    if (mask === null) return graph.reduceMean(wide, 1, false);
    const kept = graph.unsqueeze(graph.cast(mask, 'F32'), [2]);
    const count = graph.max(graph.reduceSum(kept, 1, false), graph.scalar(1e-9, 'F32')); // sentence-transformers' floor
    return graph.div(graph.reduceSum(graph.mul(wide, kept), 1, false), count);
  });
}

/** Largest value of each column over the tokens that the mask [batch, tokens] keeps. In float32. */
export function maxOfTokens(graph: GraphBuilder, x: Value, mask: Value): Value {
  return graph.scope('pool', () => {
    const kept = graph.unsqueeze(graph.equal(mask, graph.scalar(1, 'I64')), [2]);
    return graph.reduceMax(graph.where(kept, graph.cast(x, 'F32'), graph.scalar(-1e9, 'F32')), 1, false); // sentence-transformers' lowest
  });
}

/** Sum of states of one shape by the softmax of learnt weights, as many as there are states. @param key - of the weights */
export function weightedSum(graph: GraphBuilder, states: readonly Value[], key: string): Value {
  return graph.scope('weighted', () => {
    const weights = graph.softmax(graph.parameter(key, 'F32', 'identity', [states.length]));
    const shares = graph.split(weights, 0, states.length);
    const parts = states.map((state, i) => graph.mul(graph.cast(state, 'F32'), shares[i]));
    return parts.reduce((sum, part) => graph.add(sum, part));
  });
}

/**
 * What a learnt probe reads of all tokens: [batch, width], by one attention whose query it is.
 * @param probe - key of the probe, `width` values in any shape
 * @param attention - key of an nn.MultiheadAttention: q, k and v stacked in `in_proj`
 */
export function probePooling(graph: GraphBuilder, x: Value, probe: string, attention: string, heads: number): Value {
  return graph.scope('pool', () => {
    const width = x.shape[2] as number;
    const dtype = x.dtype === 'F16' ? 'F16' : 'F32';
    const weights = graph.split(
      graph.parameter(`${attention}.in_proj_weight`, dtype, 'transpose', [3 * width, width]),
      1,
      3,
    );
    const biases = graph.split(graph.parameter(`${attention}.in_proj_bias`, dtype, 'identity', [3 * width]), 0, 3);
    const query = graph.parameter(probe, dtype, 'identity', [1, 1, width]);
    const [q, k, v] = [query, x, x].map((from, i) => graph.add(graph.matmul(from, weights[i]), biases[i]));
    const read = attend(
      graph,
      splitHeads(graph, q, heads),
      splitHeads(graph, k, heads, true),
      splitHeads(graph, v, heads),
      { bias: null },
    );
    return firstToken(graph, graph.linear(read, `${attention}.out_proj`, { outputs: width, bias: true }));
  });
}
