import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';

/**
 * What hides a key is the lowest finite float, not minus infinity: a query of padding that may see nothing would get NaN,
 * and NaN times zero stays NaN.
 */
export const HIDDEN = -3.4028234663852886e38; // float32's lowest

/** attention_mask [batch, tokens] -> additive bias [batch, 1, 1, tokens]: 0 where it is 1, `hidden` where it is 0. */
export function keyMask(graph: GraphBuilder, mask: Value, hidden = HIDDEN): Value {
  return graph.scope('mask', () => {
    const absent = graph.sub(graph.scalar(1, 'F32'), graph.cast(mask, 'F32'));
    return graph.unsqueeze(graph.mul(absent, graph.scalar(hidden, 'F32')), [1, 2]);
  });
}

/**
 * Additive bias [1, 1, tokens, tokens] that lets a query see itself and what is before it.
 * @param like - a value with the tokens along axis 1
 * @param window - a query sees the last `window` keys alone, its own among them; null for all
 */
export function causalMask(graph: GraphBuilder, like: Value, window: number | null = null): Value {
  return graph.scope('causal', () => {
    const places = graph.positionsOf(like, 1);
    const query = graph.unsqueeze(places, [1]);
    const key = graph.unsqueeze(places, [0]);
    const before = graph.lessOrEqual(key, query);
    const seen =
      window === null ? before : graph.and(before, graph.less(graph.sub(query, graph.scalar(window, 'I64')), key));
    return graph.unsqueeze(graph.where(seen, graph.scalar(0, 'F32'), graph.scalar(HIDDEN, 'F32')), [0, 1]);
  });
}

/** A bias that hides what either hides. The lower of both and not their sum, which would pass float32's range. */
export const bothMasks = (graph: GraphBuilder, a: Value, b: Value): Value => graph.min(a, b);
