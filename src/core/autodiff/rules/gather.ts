import { intOf, stringAttribute } from '../../onnx/model.js';
import { numel } from '../../tensor/shape.js';
import type { Emitter } from '../emitter.js';
import type { GradientRule } from '../rule.js';
import type { Operand } from '../types.js';
import { fromFront } from './layout.js';

/** Rows of a table by index: each row collects the gradients of all places it went to. */
export const gather: GradientRule = {
  opTypes: ['Gather'],
  backward({ node, graph, gradient, give, input }) {
    const { shape } = input(0);
    const axis = fromFront(intOf(node, 'axis', 0), shape.length);
    const indices = input(1);
    const known = graph.constantOf(node.input[1]);
    if (known?.data.length === 1) {
      // One row: zeros around it.
      const at = fromFront(Number(known.data[0]), shape[axis]);
      const row = graph.reshape(gradient(), shape.with(axis, 1));
      const none = shape.map(() => 0);
      give(0, graph.pad(row, none.with(axis, at), none.with(axis, shape[axis] - at - 1)));
      return;
    }
    const order = [axis, ...[...shape.keys()].filter((each) => each !== axis)];
    const count = numel(indices.shape);
    const rows = rowsFirst(graph, gradient(), axis, indices.shape.length, count);
    const collected = addRows(graph, rows, graph.reshape(indices, [count]), shape[axis]);
    give(
      0,
      graph.transpose(
        collected,
        [...shape.keys()].map((each) => order.indexOf(each)),
      ),
    );
  },
};

/** The axes of the indices as one, in front. */
function rowsFirst(graph: Emitter, g: Operand, axis: number, indexRank: number, count: number): Operand {
  const [before, after] = [g.shape.slice(0, axis), g.shape.slice(axis + indexRank)];
  const joined = graph.reshape(g, [...before, count, ...after]);
  return graph.transpose(joined, [axis, ...[...joined.shape.keys()].filter((each) => each !== axis)]);
}

/**
 * A table of `size` rows in which every row is the sum of the rows of x that have its index. By ScatterElements: onnxruntime's
 * ScatterND adds in several threads without a lock, and loses rows where an index comes twice (1.30; a quarter was seen).
 */
function addRows(graph: Emitter, x: Operand, indices: Operand, size: number): Operand {
  const table = graph.zeros({ dtype: x.dtype, shape: [size, ...x.shape.slice(1)] });
  const ofRows = graph.reshape(
    graph.cast(indices, 'I64'),
    x.shape.map((length, axis) => (axis === 0 ? length : 1)),
  );
  const at = graph.expand(ofRows, x.shape);
  return graph.node('ScatterElements', [table, at, x], table, [stringAttribute('reduction', 'add')]);
}

export const gatherElements: GradientRule = {
  opTypes: ['GatherElements'],
  backward({ node, graph, gradient, give, input }) {
    const axis = node.attribute.filter(({ name }) => name === 'axis');
    const zeros = graph.zeros(input(0));
    give(
      0,
      graph.node('ScatterElements', [zeros, input(1), gradient()], zeros, [
        ...axis,
        stringAttribute('reduction', 'add'),
      ]),
    );
  },
};
