import type { Curve, KnotCurve } from '../onnx/curve.js';
import type { Value } from '../onnx/graph-core.js';
import { GraphOps } from '../onnx/graph-ops.js';
import type { OnnxModel } from '../onnx/model.js';
import { type Tensor, tensorFromBytes } from '../tensor/tensor.js';
import { bytesOf } from '../tensor/values.js';

/** Names of the graph's input and output. */
export const CURVE_INPUT = 'logit';
export const CURVE_OUTPUT = 'value';

/** Initializers of a knot curve: one column a stretch between two knots. */
const STARTS = 'starts';
const WIDTHS = 'widths';
const RISES = 'rises';

const column = (name: string, shape: readonly number[], values: readonly number[]): Tensor =>
  tensorFromBytes({ name, dtype: 'F32', shape }, bytesOf(Float32Array.from(values)));

function knotTensors({ x, y }: KnotCurve): Map<string, Tensor> {
  const stretches = x.length - 1;
  const differences = (values: readonly number[]) => values.slice(1).map((value, i) => value - values[i]);
  return new Map(
    [
      column(STARTS, [stretches], x.slice(0, -1)),
      column(WIDTHS, [stretches], differences(x)),
      column(RISES, [stretches, 1], differences(y)),
    ].map((tensor) => [tensor.name, tensor]),
  );
}

/**
 * The sum of what each stretch adds: its rise, times how much of its width lies below x. Exact at the knots, and elsewhere a sum of
 * products that rounding moves by some 1e-7. (A nearest-knot lookup, as other converters write, is off by whole steps.)
 */
function riseUpTo(graph: GraphOps, x: Value): Value {
  const [starts, widths, rises] = [STARTS, WIDTHS, RISES].map((key) => graph.parameter(key, 'F32'));
  const beyond = graph.sub(graph.unsqueeze(x, [x.shape.length]), starts);
  const positive = graph.max(beyond, graph.scalar(0, 'F32'));
  const [inside] = graph.node('Min', [positive, widths], [positive]);
  const risen = graph.matmul(graph.div(inside, widths), rises);
  return graph.squeeze(risen, x.shape.length);
}

function knotGraph(graph: GraphOps, { y, mirrored }: KnotCurve, x: Value): Value {
  if (!mirrored) return graph.add(graph.scalar(y[0], 'F32'), riseUpTo(graph, x));
  const [size] = graph.node('Abs', [x], [x]);
  const [sign] = graph.node('Sign', [x], [x]);
  return graph.add(graph.scalar(0.5, 'F32'), graph.mul(sign, riseUpTo(graph, size)));
}

function lineGraph(graph: GraphOps, { slope, intercept }: { slope: number; intercept: number }, x: Value): Value {
  const scaled = graph.mul(x, graph.scalar(slope, 'F32'));
  return intercept === 0 ? scaled : graph.add(scaled, graph.scalar(intercept, 'F32'));
}

function betaGraph(graph: GraphOps, { a, b, c }: Extract<Curve, { kind: 'beta' }>, x: Value): Value {
  const scalar = (value: number) => graph.scalar(value, 'F32');
  const softplus = (value: Value) => graph.node('Softplus', [value], [value])[0];
  const [negative] = graph.node('Neg', [x], [x]);
  const forRight = graph.mul(softplus(x), scalar(b)); // -b log(1 - q)
  const forLeft = graph.mul(softplus(negative), scalar(a)); // -a log q
  return graph.sigmoid(graph.add(graph.sub(forRight, forLeft), scalar(c)));
}

function curveValue(graph: GraphOps, curve: Curve, x: Value): Value {
  switch (curve.kind) {
    case 'sigmoid':
      return graph.sigmoid(lineGraph(graph, curve, x));
    case 'beta':
      return betaGraph(graph, curve, x);
    case 'knots':
      return knotGraph(graph, curve, x);
    case 'line':
      return lineGraph(graph, curve, x);
  }
}

/**
 * The curve as a graph of ai.onnx operators, in float32: `logit` of the given shape in, `value` of the same shape out.
 *
 * @throws RangeError for an opset that no graph can be built for
 */
export function buildCurveGraph(
  curve: Curve,
  opset: number,
  input: { readonly dtype: 'F32' | 'F16'; readonly shape: readonly (number | string)[] },
): OnnxModel {
  const graph = new GraphOps(opset, curve.kind === 'knots' ? knotTensors(curve) : new Map());
  const logit = graph.input(CURVE_INPUT, input.dtype, input.shape);
  graph.output(CURVE_OUTPUT, curveValue(graph, curve, graph.cast(logit, 'F32')));
  return graph.build('calibrator');
}
