import { intOf, intsOf } from '../../onnx/model.js';
import type { Emitter } from '../emitter.js';
import type { GradientRule } from '../rule.js';
import type { Operand } from '../types.js';

export const transpose: GradientRule = {
  opTypes: ['Transpose'],
  backward({ node, graph, gradient, give, input }) {
    const axes = [...input(0).shape.keys()];
    const permutation = intsOf(node, 'perm') ?? axes.toReversed();
    give(
      0,
      graph.transpose(
        gradient(),
        axes.map((axis) => permutation.indexOf(axis)),
      ),
    );
  },
};

export const expand: GradientRule = {
  opTypes: ['Expand'],
  backward({ graph, gradient, give, input }) {
    give(0, graph.sumTo(gradient(), input(0).shape));
  },
};

/** Copies along axes: their sum, with every axis as [copies, size]. */
export const tile: GradientRule = {
  opTypes: ['Tile'],
  backward({ graph, gradient, give, input, numbers }) {
    const { shape } = input(0);
    const copies = numbers(1) ?? [];
    const parted = graph.reshape(
      gradient(),
      shape.flatMap((size, axis) => [copies[axis], size]),
    );
    const summed = graph.reduce(
      'ReduceSum',
      parted,
      shape.map((_, axis) => 2 * axis),
      false,
    );
    give(0, graph.reshape(summed, shape));
  },
};

export const concat: GradientRule = {
  opTypes: ['Concat'],
  backward({ node, graph, gradient, wants, give, input, output }) {
    const axis = fromFront(intOf(node, 'axis', 0), output().shape.length);
    let start = 0;
    for (const index of node.input.keys()) {
      const end = start + input(index).shape[axis];
      if (wants(index)) give(index, graph.slice(gradient(), [axis], [start], [end]));
      start = end;
    }
  },
};

/** Parts that the loss does not read count as zeros. */
export const split: GradientRule = {
  opTypes: ['Split'],
  backward({ node, graph, gradient, give, input }) {
    const axis = fromFront(intOf(node, 'axis', 0), input(0).shape.length);
    const parts = [...node.output.keys()].map((index) => gradient(index));
    give(0, graph.concat(parts, axis));
  },
};

/** The gradient back at the places that were taken, zeros between them. */
export const slice: GradientRule = {
  opTypes: ['Slice'],
  backward({ graph, gradient, give, input, numbers }) {
    const { shape } = input(0);
    const starts = numbers(1) ?? [];
    const axes = numbers(3) ?? [...starts.keys()];
    const steps = numbers(4) ?? starts.map(() => 1);
    let g = gradient();
    for (const [i, given] of axes.entries()) {
      const axis = fromFront(given, shape.length);
      g = unslice(graph, g, { axis, start: starts[i], step: steps[i], size: shape[axis] });
    }
    give(0, g);
  },
};

interface Taken {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  /** Of the axis before the slice. */
  readonly size: number;
}

function unslice(graph: Emitter, g: Operand, { axis, start, step, size }: Taken): Operand {
  const count = g.shape[axis];
  if (count === 0) return graph.zeros({ dtype: g.dtype, shape: g.shape.with(axis, size) });
  const from = Math.max(step < 0 ? -1 : 0, Math.min(start < 0 ? start + size : start, step < 0 ? size - 1 : size));
  const ordered = step < 0 ? graph.reverse(g, [axis]) : g;
  const first = step < 0 ? from + (count - 1) * step : from;
  const spaced = spread(graph, ordered, axis, Math.abs(step));
  const none = spaced.shape.map(() => 0);
  return graph.pad(spaced, none.with(axis, first), none.with(axis, size - first - spaced.shape[axis]));
}

/** `step` - 1 zeros between the elements of an axis. */
export function spread(graph: Emitter, x: Operand, axis: number, step: number): Operand {
  const count = x.shape[axis];
  if (step === 1 || count === 1) return x;
  const apart = graph.reshape(x, [...x.shape.slice(0, axis + 1), 1, ...x.shape.slice(axis + 1)]);
  const none = apart.shape.map(() => 0);
  const padded = graph.pad(apart, none, none.with(axis + 1, step - 1));
  const joined = graph.reshape(padded, x.shape.with(axis, count * step));
  return graph.slice(joined, [axis], [0], [(count - 1) * step + 1]);
}

export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
