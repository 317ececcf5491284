import { numel } from '../../tensor/shape.js';
import type { Emitter } from '../emitter.js';
import type { GradientRule } from '../rule.js';
import type { Operand } from '../types.js';

/**
 * y = a b over the last two axes: da = g b^T and db = a^T g, summed over broadcast batches. Where b is one matrix for all rows
 * of a, as in a linear layer, both are a Gemm over all rows at once, which needs no transposed copy and no sum over the batch.
 */
export const matmul: GradientRule = {
  opTypes: ['MatMul'],
  backward({ graph, gradient, wants, give, input }) {
    const [a, b] = [asMatrix(graph, input(0), 'row'), asMatrix(graph, input(1), 'column')];
    const g = graph.reshape(gradient(), [...batchOf(a, b), a.shape[a.shape.length - 2], b.shape[b.shape.length - 1]]);
    const back = (index: number, value: Operand): void => give(index, graph.reshape(value, input(index).shape));
    if (b.shape.length === 2) {
      const [rows, grows] = [asRows(graph, a), asRows(graph, g)];
      if (wants(0)) back(0, graph.gemm(grows, b, { transB: true }));
      if (wants(1)) back(1, graph.gemm(rows, grows, { transA: true }));
      return;
    }
    if (wants(0)) back(0, graph.sumTo(graph.matmul(g, graph.transposed(b)), a.shape));
    if (wants(1)) back(1, graph.sumTo(graph.matmul(graph.transposed(a), g), b.shape));
  },
};

/** A vector as the matrix that MatMul takes it for. */
function asMatrix(graph: Emitter, x: Operand, as: 'row' | 'column'): Operand {
  if (x.shape.length > 1) return x;
  return graph.reshape(x, as === 'row' ? [1, x.shape[0]] : [x.shape[0], 1]);
}

/** All but the last axis as one. */
const asRows = (graph: Emitter, x: Operand): Operand => {
  const width = x.shape[x.shape.length - 1];
  return graph.reshape(x, [numel(x.shape.slice(0, -1)), width]);
};

/** The axes of a product before its last two. */
function batchOf(a: Operand, b: Operand): number[] {
  const [first, second] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const rank = Math.max(first.length, second.length);
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(first[axis - rank + first.length] ?? 1, second[axis - rank + second.length] ?? 1),
  );
}
