import { intOf } from '../../onnx/model.js';
import { numel } from '../../tensor/shape.js';
import type { GradientContext, GradientRule } from '../rule.js';
import type { Operand } from '../types.js';

/** Axes that a reduction goes over, counted from the front. */
function axesOf({ node, numbers, input }: GradientContext): number[] {
  const rank = input(0).shape.length;
  const axes = numbers(1) ?? [];
  if (axes.length > 0) return axes.map((axis) => (axis < 0 ? axis + rank : axis));
  return intOf(node, 'noop_with_empty_axes', 0) === 1 ? [] : [...Array(rank).keys()];
}

/** A reduced value with the axes back as 1, so that it broadcasts against the input. */
function spread(context: GradientContext, reduced: Operand): Operand {
  const axes = axesOf(context);
  return context.graph.reshape(
    reduced,
    context.input(0).shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
  );
}

/** Every summand takes the gradient of the sum. */
export const reduceSum: GradientRule = {
  opTypes: ['ReduceSum'],
  backward(context) {
    const { graph, gradient, give, input } = context;
    give(0, graph.expand(spread(context, gradient()), input(0).shape));
  },
};

export const reduceMean: GradientRule = {
  opTypes: ['ReduceMean'],
  backward(context) {
    const { graph, gradient, give, input } = context;
    const { shape } = input(0);
    const count = numel(axesOf(context).map((axis) => shape[axis]));
    give(0, graph.expand(graph.scale(spread(context, gradient()), 1 / count), shape));
  },
};

/** Elements equal to the extreme share its gradient evenly, as torch.amax does. */
export const reduceExtreme: GradientRule = {
  opTypes: ['ReduceMax', 'ReduceMin'],
  backward(context) {
    const { graph, gradient, give, input, output } = context;
    const x = input(0);
    const chosen = graph.cast(graph.compare('Equal', x, spread(context, output())), x.dtype);
    const count = graph.reduce('ReduceSum', chosen, axesOf(context), true);
    give(0, graph.mul(chosen, graph.div(spread(context, gradient()), count)));
  },
};

/** The Euclidean norm: g x / norm, and 0 where the norm is 0. */
export const reduceL2: GradientRule = {
  opTypes: ['ReduceL2'],
  backward(context) {
    const { graph, gradient, give, input, output } = context;
    const [g, norm] = [spread(context, gradient()), spread(context, output())];
    const positive = graph.compare('Greater', norm, graph.scalar(0, norm.dtype));
    const safe = graph.where(positive, norm, graph.scalar(1, norm.dtype));
    give(0, graph.mul(input(0), graph.keepWhere(positive, graph.div(g, safe))));
  },
};

export const reduceSumSquare: GradientRule = {
  opTypes: ['ReduceSumSquare'],
  backward(context) {
    const { graph, gradient, give, input } = context;
    give(0, graph.mul(input(0), graph.scale(spread(context, gradient()), 2)));
  },
};

export const reduceL1: GradientRule = {
  opTypes: ['ReduceL1'],
  backward(context) {
    const { graph, gradient, give, input } = context;
    give(0, graph.mul(graph.unary('Sign', input(0)), spread(context, gradient())));
  },
};

/** The gradient is shared as a softmax: exp(x - logsumexp). */
export const reduceLogSumExp: GradientRule = {
  opTypes: ['ReduceLogSumExp'],
  backward(context) {
    const { graph, gradient, give, input, output } = context;
    const share = graph.unary('Exp', graph.sub(input(0), spread(context, output())));
    give(0, graph.mul(share, spread(context, gradient())));
  },
};
