import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';

/** The norm of a family, over the last axis: all its layers have the same. */
export interface Norm {
  readonly kind: 'layer' | 'rms';
  readonly epsilon: number;
  /** Added to the stored weight of an rms norm: 1 where it is stored as the difference from 1 (Gemma); 0 by default. */
  readonly offset?: number;
}

/** The norm with the parameters `key.weight` and, for a LayerNorm, `key.bias`. */
export const normalize = (graph: GraphBuilder, x: Value, key: string, { kind, epsilon, offset }: Norm): Value =>
  kind === 'layer' ? graph.layerNorm(x, key, epsilon) : graph.rmsNorm(x, key, epsilon, offset);
