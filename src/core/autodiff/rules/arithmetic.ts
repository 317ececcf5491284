import type { GradientRule } from '../rule.js';

/** a + b, with broadcasting. */
export const add: GradientRule = {
  opTypes: ['Add'],
  backward({ graph, gradient, wants, give, input }) {
    for (const index of [0, 1]) if (wants(index)) give(index, graph.sumTo(gradient(), input(index).shape));
  },
};

/** a - b. */
export const sub: GradientRule = {
  opTypes: ['Sub'],
  backward({ graph, gradient, wants, give, input }) {
    if (wants(0)) give(0, graph.sumTo(gradient(), input(0).shape));
    // Summed first: the sign then changes on the smaller value.
    if (wants(1)) give(1, graph.neg(graph.sumTo(gradient(), input(1).shape)));
  },
};

/** a b: each side takes the gradient times the other. */
export const mul: GradientRule = {
  opTypes: ['Mul'],
  backward({ graph, gradient, wants, give, input }) {
    for (const index of [0, 1]) {
      if (wants(index)) give(index, graph.sumTo(graph.mul(gradient(), input(1 - index)), input(index).shape));
    }
  },
};

/** a / b: g / b, and -g (a / b) / b with the quotient that is there already. */
export const div: GradientRule = {
  opTypes: ['Div'],
  backward({ graph, gradient, wants, give, input, output }) {
    const scaled = graph.div(gradient(), input(1));
    if (wants(0)) give(0, graph.sumTo(scaled, input(0).shape));
    if (wants(1)) give(1, graph.neg(graph.sumTo(graph.mul(scaled, output()), input(1).shape)));
  },
};

/** The sum of any number of values. */
export const sum: GradientRule = {
  opTypes: ['Sum'],
  backward({ node, graph, gradient, wants, give, input }) {
    for (const index of node.input.keys()) if (wants(index)) give(index, graph.sumTo(gradient(), input(index).shape));
  },
};

/** The mean of any number of values. */
export const mean: GradientRule = {
  opTypes: ['Mean'],
  backward({ node, graph, gradient, wants, give, input }) {
    const share = graph.scale(gradient(), 1 / node.input.length);
    for (const index of node.input.keys()) if (wants(index)) give(index, graph.sumTo(share, input(index).shape));
  },
};
