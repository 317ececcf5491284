import type { GradientRule } from 'hpsv3/graph';

/** y = tan x: g (1 + y^2) */
export const tan: GradientRule = {
  opTypes: ['Tan'],
  backward({ graph, gradient, output, give }) {
    const [g, y] = [gradient(), output()];
    give(0, graph.add(g, graph.mul(g, graph.mul(y, y))));
  },
};
