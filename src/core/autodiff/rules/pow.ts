import type { GradientRule } from '../rule.js';

/** x^e: g e x^(e - 1), by the cheapest form where the exponent is known; and g y ln x for the exponent, 0 where x is not positive. */
export const pow: GradientRule = {
  opTypes: ['Pow'],
  backward({ node, graph, gradient, wants, give, input, output }) {
    const [x, exponent] = [input(0), graph.cast(input(1), input(0).dtype)];
    const g = gradient();
    if (wants(0)) {
      const known = graph.constantOf(node.input[1])?.data;
      const slope =
        known?.length === 1 && Number(known[0]) === 2
          ? graph.scale(x, 2)
          : graph.mul(exponent, graph.binary('Pow', x, graph.sub(exponent, graph.scalar(1, x.dtype))));
      give(0, graph.sumTo(graph.mul(g, slope), x.shape));
    }
    if (wants(1)) {
      const positive = graph.compare('Greater', x, graph.scalar(0, x.dtype));
      const log = graph.unary('Log', graph.where(positive, x, graph.scalar(1, x.dtype)));
      give(1, graph.cast(graph.sumTo(graph.mul(g, graph.mul(output(), log)), exponent.shape), input(1).dtype));
    }
  },
};
