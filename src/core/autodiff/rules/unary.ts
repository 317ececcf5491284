import type { Emitter } from '../emitter.js';
import type { GradientContext, GradientRule } from '../rule.js';
import type { Operand } from '../types.js';

/** A rule for y = f(x) elementwise: `slope` is f'(x) times the gradient. */
function elementwise(
  opType: string,
  slope: (graph: Emitter, g: Operand, context: GradientContext) => Operand,
): GradientRule {
  return {
    opTypes: [opType],
    backward(context) {
      context.give(0, slope(context.graph, context.gradient(), context));
    },
  };
}

/** Functions of one number whose derivative is short. */
export const unary: readonly GradientRule[] = [
  elementwise('Neg', (graph, g) => graph.neg(g)),
  elementwise('Abs', (graph, g, { input }) => graph.mul(g, graph.unary('Sign', input(0)))),
  elementwise('Exp', (graph, g, { output }) => graph.mul(g, output())),
  elementwise('Log', (graph, g, { input }) => graph.div(g, input(0))),
  elementwise('Sqrt', (graph, g, { output }) => graph.div(graph.scale(g, 0.5), output())),
  elementwise('Reciprocal', (graph, g, { output }) => graph.neg(graph.mul(g, graph.mul(output(), output())))),
  elementwise('Sin', (graph, g, { input }) => graph.mul(g, graph.unary('Cos', input(0)))),
  elementwise('Cos', (graph, g, { input }) => graph.neg(graph.mul(g, graph.unary('Sin', input(0))))),
  // 2 / sqrt(pi) exp(-x^2)
  elementwise('Erf', (graph, g, { input }) => {
    const x = input(0);
    const bell = graph.unary('Exp', graph.neg(graph.mul(x, x)));
    return graph.mul(g, graph.scale(bell, 2 / Math.sqrt(Math.PI)));
  }),
];
