import { stringOf } from '../../onnx/model.js';
import type { Emitter } from '../emitter.js';
import type { GradientRule } from '../rule.js';
import type { Operand } from '../types.js';

/** x Phi(x): g (Phi(x) + x phi(x)), or the derivative of its tanh approximation. */
export const gelu: GradientRule = {
  opTypes: ['Gelu'],
  backward({ node, graph, gradient, give, input }) {
    const slope = stringOf(node, 'approximate', 'none') === 'tanh' ? tanhSlope : erfSlope;
    give(0, graph.mul(gradient(), slope(graph, input(0))));
  },
};

/** With phi the standard normal density, Phi its integral: Phi(x) = (1 + erf(x / sqrt 2)) / 2. */
function erfSlope(graph: Emitter, x: Operand): Operand {
  const erf = graph.unary('Erf', graph.scale(x, Math.SQRT1_2));
  const integral =
    x.dtype === 'F32' ? graph.hardSigmoid(erf, 0.5, 0.5) : graph.scale(graph.add(erf, graph.scalar(1, x.dtype)), 0.5);
  const density = graph.unary('Exp', graph.mul(graph.scale(x, -0.5), x));
  return graph.add(integral, graph.mul(graph.scale(x, 1 / Math.sqrt(2 * Math.PI)), density));
}

const CUBIC = 0.044715; // of the approximation, from the paper on GELU

/** Of x (1 + tanh u) / 2, with u = sqrt(2 / pi) (x + 0.044715 x^3): (1 + t) / 2 + x (1 - t^2) u' / 2. */
function tanhSlope(graph: Emitter, x: Operand): Operand {
  const factor = Math.sqrt(2 / Math.PI);
  const one = graph.scalar(1, x.dtype);
  const square = graph.mul(x, x);
  const u = graph.mul(graph.scale(x, factor), graph.add(graph.scale(square, CUBIC), one));
  const t = graph.unary('Tanh', u);
  const slopeOfU = graph.scale(graph.add(graph.scale(square, 3 * CUBIC), one), factor);
  const rest = graph.mul(graph.mul(x, slopeOfU), graph.sub(one, graph.mul(t, t)));
  return graph.scale(graph.add(graph.add(one, t), rest), 0.5);
}
