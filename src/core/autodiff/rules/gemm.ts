import { floatOf, intOf } from '../../onnx/model.js';
import type { GradientRule } from '../rule.js';

/** y = alpha op(a) op(b) + beta c: again products with Gemm, so that nothing is copied to be transposed. */
export const gemm: GradientRule = {
  opTypes: ['Gemm'],
  backward({ node, graph, gradient, wants, give, input, hasInput }) {
    const [transA, transB] = [intOf(node, 'transA', 0) === 1, intOf(node, 'transB', 0) === 1];
    const alpha = floatOf(node, 'alpha', 1);
    const [a, b, g] = [input(0), input(1), gradient()];
    if (wants(0)) {
      give(
        0,
        transA
          ? graph.gemm(b, g, { transA: transB, transB: true, alpha })
          : graph.gemm(g, b, { transB: !transB, alpha }),
      );
    }
    if (wants(1)) {
      give(
        1,
        transB
          ? graph.gemm(g, a, { transA: true, transB: transA, alpha })
          : graph.gemm(a, g, { transA: !transA, alpha }),
      );
    }
    if (hasInput(2) && wants(2)) give(2, graph.scale(graph.sumTo(g, input(2).shape), floatOf(node, 'beta', 1)));
  },
};
