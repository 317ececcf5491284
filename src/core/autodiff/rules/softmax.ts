import { intOf } from '../../onnx/model.js';
import type { GradientContext, GradientRule } from '../rule.js';

function axisOf({ node, input }: GradientContext): number {
  const axis = intOf(node, 'axis', -1);
  return axis < 0 ? axis + input(0).shape.length : axis;
}

/** y (g - sum(g y)) */
export const softmax: GradientRule = {
  opTypes: ['Softmax'],
  backward(context) {
    const { graph, gradient, give, output } = context;
    const [y, g] = [output(), gradient()];
    const total = graph.reduce('ReduceSum', graph.mul(g, y), [axisOf(context)], true);
    give(0, graph.mul(y, graph.sub(g, total)));
  },
};

/** g - e^y sum(g) */
export const logSoftmax: GradientRule = {
  opTypes: ['LogSoftmax'],
  backward(context) {
    const { graph, gradient, give, output } = context;
    const g = gradient();
    const total = graph.reduce('ReduceSum', g, [axisOf(context)], true);
    give(0, graph.sub(g, graph.mul(graph.unary('Exp', output()), total)));
  },
};
