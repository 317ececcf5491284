import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import { ACTIVATIONS, type ActivationName } from './activations.js';

/** torch.nn.functional.normalize's floor of the norm. */
export const TORCH_NORM_FLOOR = 1e-12;

/** x / ||x|| over the last axis, in float32. @param floor - least norm that is divided by; 0 for none (transformers' CLIP) */
export function unitLength(graph: GraphBuilder, x: Value, floor: number): Value {
  return graph.scope('normalize', () => {
    const wide = graph.cast(x, 'F32');
    const norm = graph.reduceL2(wide, -1, true);
    return graph.div(wide, floor > 0 ? graph.max(norm, graph.scalar(floor, 'F32')) : norm);
  });
}

/** Inner product of the rows of two matrices [batch, width]: [batch]. The cosine, where both have length 1. */
export const innerProduct = (graph: GraphBuilder, a: Value, b: Value): Value =>
  graph.scope('cosine', () => graph.reduceSum(graph.mul(a, b), 1, false));

export interface LinearStep {
  readonly key: string;
  readonly outputs: number;
  readonly bias: boolean;
  /** After the layer; none by default. */
  readonly activation?: ActivationName;
}

/** A chain of linear layers over [batch, width], in float32: what is decided here is what a model is for. */
export function linearSteps(graph: GraphBuilder, x: Value, steps: readonly LinearStep[]): Value {
  return graph.exactly(() =>
    steps.reduce(
      (value, { key, outputs, bias, activation }) => {
        const product = graph.linear(value, key, { outputs, bias });
        return activation ? ACTIVATIONS[activation](graph, product) : product;
      },
      graph.cast(x, 'F32'),
    ),
  );
}

/** One column of scores [batch, labels] as [batch]. */
export const column = (graph: GraphBuilder, scores: Value, index: number): Value => graph.at(scores, 1, index);
