import type { GradientRule } from '../rule.js';
import type { Operand } from '../types.js';

/**
 * The larger or smaller of several values. Where several that are differentiated are equal they share the gradient evenly, as
 * in torch.maximum; a single one has it whole, as in torch.clamp.
 */
export const extreme: GradientRule = {
  opTypes: ['Max', 'Min'],
  backward({ node, graph, gradient, wants, give, input, output }) {
    const wanted = [...node.input.keys()].filter(wants);
    const y = output();
    const chosen = new Map(wanted.map((index) => [index, graph.compare('Equal', input(index), y)] as const));
    let share = gradient();
    if (wanted.length > 1) {
      const counts = wanted.map((index) => graph.expand(graph.cast(chosen.get(index) as Operand, y.dtype), y.shape));
      // Where a value that is not differentiated was chosen, none is: the count must not be 0 there.
      share = graph.div(share, graph.binary('Max', graph.sum(counts), graph.scalar(1, y.dtype)));
    }
    for (const [index, mask] of chosen) give(index, graph.sumTo(graph.keepWhere(mask, share), input(index).shape));
  },
};

/** The gradient inside the bounds and on them, as torch.clamp. */
export const clip: GradientRule = {
  opTypes: ['Clip'],
  backward({ graph, gradient, wants, give, input, hasInput, unsupported }) {
    if (wants(1) || wants(2)) unsupported('its bounds must not be differentiated');
    const x = input(0);
    let g = gradient();
    if (hasInput(1)) g = graph.keepWhere(graph.compare('GreaterOrEqual', x, input(1)), g);
    if (hasInput(2)) g = graph.keepWhere(graph.compare('LessOrEqual', x, input(2)), g);
    give(0, g);
  },
};

export const where: GradientRule = {
  opTypes: ['Where'],
  backward({ graph, gradient, wants, give, input }) {
    const [condition, g] = [input(0), gradient()];
    const zero = graph.scalar(0, g.dtype);
    if (wants(1)) give(1, graph.sumTo(graph.where(condition, g, zero), input(1).shape));
    if (wants(2)) give(2, graph.sumTo(graph.where(condition, zero, g), input(2).shape));
  },
};
